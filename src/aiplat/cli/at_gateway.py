"""A gateway's accounts, for a command: through the node that runs here, or one that is started."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import typer

from aiplat.cli import output
from aiplat.cli.face import Face, face_of

if TYPE_CHECKING:
    import msgspec

    from aiplat.control.messages import Done
    from aiplat.runtime.reach import NodeClient

    Reply = TypeVar("Reply", bound=msgspec.Struct)


@dataclass(frozen=True)
class AtGateway:
    """Whom a command asks.

    Arguments:
        client: of this home's node.
        gateway: what ``--gateway`` said; empty for its own, or the one that one is known at.
    """

    client: NodeClient
    gateway: str

    def ask(
        self, method: str, wish: msgspec.Struct, wanted: type[Reply], *, insecure: bool = False
    ) -> Reply:
        """Ask one thing (`ControlClient.accounts`).

        Raises:
            InvalidRequest: what was typed is no text; the system passes its bytes as surrogates.
        """
        from aiplat.domain.errors import InvalidRequest

        try:
            return self.client.accounts(
                method, wish, wanted, gateway=self.gateway, insecure=insecure
            )
        except UnicodeEncodeError:  # a ValueError, whose text would hold what was typed
            raise InvalidRequest(
                "What was typed is not UTF-8 text. Set your terminal to UTF-8."
            ) from None


def at_gateway(context: typer.Context, gateway: str | None) -> AtGateway:
    """Find the node that asks for a command; start one when none runs.

    Arguments:
        context: of the command.
        gateway: what its ``--gateway`` said.

    Raises:
        BadParameter: that is empty.
        AiplatError: the node does not answer, or could not start.
    """
    if gateway is not None and not gateway.strip():  # an unset variable of a script's, say
        raise typer.BadParameter(
            "it is empty: leave it out to ask the gateway that you are known at",
            param_hint="--gateway",
        )
    return AtGateway(_node(face_of(context), elsewhere=gateway is not None), gateway or "")


def _node(face: Face, *, elsewhere: bool) -> NodeClient:
    """Any node of the home will do, also one that takes no prompts: a gateway's operator's."""
    from aiplat.control.client import NoNode
    from aiplat.runtime.keyring_state import is_known_elsewhere
    from aiplat.runtime.takeover import is_stranded

    try:
        client, status = face.running()
        if elsewhere or not is_stranded(status) or is_known_elsewhere(face.places):
            return client
    except NoNode:
        pass
    from aiplat.cli.ensure import ensure

    return ensure(face, elsewhere=elsewhere or is_known_elsewhere(face.places))


def tell(done: Done, *, json: bool) -> None:
    """Say what was done; a gateway's words are text in one line."""
    from aiplat.cli.whole import give

    give(done, lambda done: output.say(output.flat(done.message), "done"), json=json)
