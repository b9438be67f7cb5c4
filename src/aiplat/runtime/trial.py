"""A doctor's look at a home in which no node runs: one is made for as long as the look takes."""

from __future__ import annotations

import socket

import msgspec
import trio

from aiplat.control.messages import ModelStatus
from aiplat.domain.errors import AiplatError
from aiplat.domain.ids import Role, short
from aiplat.node.channel import Channel
from aiplat.node.identity import Identity
from aiplat.node.incarnation import next_incarnation, wall_ms
from aiplat.node.known import KnownPeers
from aiplat.node.listening import PortMemory
from aiplat.node.membership.membership import Membership
from aiplat.node.node import Node
from aiplat.node.settings import NodeSettings
from aiplat.protocol.framing import UNREADABLE
from aiplat.protocol.messages import Call, Hello
from aiplat.roles.dispatch import Dispatch
from aiplat.runtime.places import Places
from aiplat.runtime.steps import Steps, few, note_revoked
from aiplat.telemetry.metrics import Metrics

MAX_DIALS = 8
CALL_SECONDS = 5.0

_MODELS = msgspec.msgpack.Decoder(tuple[ModelStatus, ...])


class Trial:
    """Takes the steps itself. The caller holds the home.

    Arguments:
        steps: hears what was found.
        places: the home's folders.
        settings: where the node would listen; deadlines.
        identity: the home's.
        membership: in which network it is.
    """

    def __init__(
        self,
        steps: Steps,
        places: Places,
        settings: NodeSettings,
        identity: Identity,
        membership: Membership,
    ) -> None:
        self._steps = steps
        self._places = places
        self._settings = settings
        self._identity = identity
        self._membership = membership

    async def look(self) -> None:
        """Take the steps from the addresses on."""
        membership = self._membership
        record, own = membership.record, membership.own
        kept = KnownPeers(self._places.known_peers, MAX_DIALS).addresses
        known = [*kept, *(record.addresses if record is not None else ())]
        addresses = list(dict.fromkeys(known))[:MAX_DIALS]
        was_revoked = membership.is_revoked
        self._own_address()
        if not addresses:
            self._without_peers()
            return
        can_ask = own is None or membership.is_public or "client" in own.roles
        roles: tuple[Role, ...] = ("client",) if can_ask or own is None else own.roles
        settings = msgspec.structs.replace(self._settings, listen=("/ip4/127.0.0.1/tcp/0",))
        node = Node(
            settings, self._identity, roles, "aiplat-doctor/1", Metrics(), membership=membership,
            incarnation=next_incarnation(self._places.incarnation, wall_ms()), passing=True,
        )  # fmt: skip
        dispatch = Dispatch({})
        async with trio.open_nursery() as nursery:
            await nursery.start(node.run, dispatch.on_channel, _anyone)
            channels = await self._dial_each(node, addresses)
            if was_revoked or not note_revoked(self._steps, membership):
                await self._ask(channels)
            nursery.cancel_scope.cancel()

    def _own_address(self) -> None:
        """Where it would listen: others know the port that it had."""
        port = PortMemory(self._places.port).port
        taken = self._membership.record is not None and not self._settings.listen and _taken(port)
        self._steps.note(
            "addresses", not taken,
            f"no node runs here, and another program has the port {port} that this node had"
            if taken
            else "no node runs here: it would listen when it starts",
            "End that program, or the node takes another port, and who knows this one alone does "
            "not find it.",
        )  # fmt: skip

    @property
    def _is_gateway(self) -> bool:
        own = self._membership.own
        return self._membership.record is None or (own is not None and "gateway" in own.roles)

    def _without_peers(self) -> None:
        if self._is_gateway:
            self._steps.note("dial", True, "no address of a peer is known, and none is needed")
            self._steps.note("gateway", True, "this node is one itself when it runs")
        else:
            self._steps.note(
                "dial", False, "no address of a peer is known",
                "Leave, and join with a new token: `aiplat network leave`.",
            )  # fmt: skip

    async def _dial_each(self, node: Node, addresses: list[str]) -> list[Channel]:
        channels: list[Channel] = []
        problems: list[str] = []

        async def one(address: str) -> None:
            try:
                channels.append(await node.reach(address))
            except AiplatError as fault:
                problems.append(str(fault))

        async with trio.open_nursery() as nursery:
            for address in addresses:
                nursery.start_soon(one, address)
        self._steps.note(
            "dial", bool(channels), f"{len(channels)} of {len(addresses)} addresses answered",
            problems[0] if problems else "",
        )  # fmt: skip
        return list(dict.fromkeys(channels))

    async def _ask(self, channels: list[Channel]) -> None:
        gateways = [channel for channel in channels if "gateway" in channel.roles]
        if self._is_gateway and not gateways:
            self._steps.note("gateway", True, "this node is one itself when it runs")
            return
        self._steps.note(
            "gateway", bool(gateways),
            few([f"{short(c.peer)} ({c.hello.agent})" for c in gateways]) or "none answered",
            "Start a gateway of the network, or ask its owner for its new address.",
        )  # fmt: skip
        for channel in gateways[:1]:
            try:
                found = await _models(channel)
            except (AiplatError, *UNREADABLE) as fault:
                self._steps.note("model", False, "the gateway did not tell its models", str(fault))
                return
            self._steps.models(found)


async def _models(channel: Channel) -> tuple[ModelStatus, ...]:
    reply = await channel.call(Call("models"), CALL_SECONDS)
    if reply.failed is not None:
        raise reply.failed.error()
    return _MODELS.decode(reply.body)


def _taken(port: int) -> bool:
    """Whether something of this machine has that TCP port; 0 is none."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the node does
        try:
            probe.bind(("0.0.0.0", port))
        except OSError:
            return True
    return False


def _anyone(peer: object, hello: Hello) -> None:
    """Membership decides alone."""
