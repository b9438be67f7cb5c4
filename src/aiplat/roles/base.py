"""What every role has in common: a life, and the channels it hears of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from aiplat.domain.errors import PermissionDenied
from aiplat.domain.ids import Role as RoleName
from aiplat.domain.ids import short
from aiplat.protocol.messages import Announce, Call, Drain, Reply

if TYPE_CHECKING:
    from aiplat.node.channel import Channel
    from aiplat.node.incoming import Incoming


class Role:
    """A role of a node. Each overrides what concerns it; the rest does nothing.

    The methods are called from the node's loop and return at once.
    """

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Live until cancelled; says that it is ready through `task_status`."""
        task_status.started()
        await trio.sleep_forever()

    def opened(self, channel: Channel) -> None:
        """A channel to a peer came up."""

    def submitted(self, incoming: Incoming) -> None:
        """A peer asks this role for an answer."""
        raise PermissionDenied(f"This node does not serve as {incoming.submission.to}.")

    @staticmethod
    def refuse_all_but(roles: tuple[RoleName, ...], incoming: Incoming) -> None:
        """See that a peer may ask: what counts is what it was granted, not what it says.

        Raises:
            PermissionDenied: it was granted none of `roles`.
        """
        channel = incoming.channel
        if not set(roles) & set(channel.roles):
            raise PermissionDenied(
                f"A {incoming.submission.to} takes requests of {' and '.join(roles)}s only, and "
                f"the peer {short(channel.peer)} is here as {' and '.join(channel.roles)}. It "
                "needs an invitation for that role."
            )

    def announced(self, channel: Channel, announce: Announce) -> None:
        """A processor said what it offers now."""

    def drained(self, channel: Channel, drain: Drain) -> None:
        """A peer takes no new requests."""

    async def called(self, channel: Channel, call: Call) -> Reply | None:
        """A peer asks a small question; None when it is not for this role."""
        return None

    def ended(self, channel: Channel, reason: str) -> None:
        """A channel is gone; its requests were told already."""
