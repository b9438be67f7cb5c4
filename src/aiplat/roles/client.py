"""The client: finds a gateway for the requests of this node's own faces."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec
import trio

from aiplat.control.messages import ModelStatus
from aiplat.domain.answers import Inference
from aiplat.domain.errors import AiplatError, NoPeer
from aiplat.domain.ids import PeerId, short
from aiplat.protocol.messages import Call, Drain
from aiplat.roles.base import Role
from aiplat.roles.counted import Counted
from aiplat.roles.gateway import Gateway
from aiplat.roles.settings import ClientSettings

if TYPE_CHECKING:
    from aiplat.node.channel import Channel
    from aiplat.node.node import Node

_MODELS = msgspec.msgpack.Decoder(tuple[ModelStatus, ...])


class RemoteGateway(Counted):
    """A gateway behind a channel; `draining` once it said that it takes no more."""

    def __init__(self, channel: Channel) -> None:
        super().__init__(channel)
        self.channel = channel
        self.draining = False


class Client(Role):
    """The client role of a node.

    A node that is a gateway too asks itself. Another asks the gateway with the shortest round
    trip among those that it has a channel to; one that drains comes last.

    Arguments:
        local: the gateway of the same node, if it has that role.
    """

    def __init__(self, settings: ClientSettings, local: Gateway | None = None) -> None:
        self._settings = settings
        self._local = local
        self._gateways: dict[PeerId, RemoteGateway] = {}
        self._arrived = trio.Event()

    @property
    def gateways(self) -> Mapping[PeerId, RemoteGateway]:
        """The gateways that can be asked now, the local one left out."""
        return self._gateways

    @property
    def active(self) -> set[str]:
        """The names of the requests that other nodes' gateways have of this one's."""
        return {under_way.request for g in self._gateways.values() for under_way in g.active}

    @property
    def taken(self) -> int:
        """How many requests went to the gateways that can be asked now."""
        return sum(gateway.taken for gateway in self._gateways.values())

    def fail_all(self, error: AiplatError) -> None:
        """End with an error all that other nodes' gateways have of this one's."""
        for gateway in self._gateways.values():
            gateway.fail_all(error)

    async def inference(self, node: Node, peer: str = "") -> Inference:
        """Who answers a request now.

        Arguments:
            node: dials `peer` when there is no channel to it yet.
            peer: the multiaddr of one gateway, and no other; empty for any.

        Raises:
            NoPeer: there is none, or that one cannot be reached or is no gateway.
        """
        if peer:
            return await self._exactly(node, peer)
        if self._local is not None:
            return self._local
        return await self._nearest(node)

    async def _exactly(self, node: Node, peer: str) -> Inference:
        channel = await node.reach(peer)
        if channel.is_ended:
            raise NoPeer(f"The gateway {short(channel.peer)} went as it was reached. Ask again.")
        if "gateway" not in channel.roles:
            if channel.dialed and all(w.peer_id != channel.peer for w in node.wanted):
                channel.close("bye", "It is no gateway.")  # it was reached for this request alone
            raise NoPeer(
                f"The peer {short(channel.peer)} is no gateway (it is: "
                f"{', '.join(channel.roles)}). Name the address of a gateway."
            )
        node.keep(peer)
        return self._remote(channel)

    def _remote(self, channel: Channel) -> RemoteGateway:
        """The gateway behind a channel; `reach` may come back before `opened` is called."""
        gateway = self._gateways.get(channel.peer)
        if gateway is None or gateway.channel is not channel:
            gateway = self._gateways[channel.peer] = RemoteGateway(channel)
            self._arrived.set()
        return gateway

    async def _nearest(self, node: Node) -> RemoteGateway:
        with trio.move_on_after(self._settings.gateway_seconds if node.wanted else 0):
            while not self._gateways:
                await self._arrived.wait()
        live = [g for g in self._gateways.values() if not g.channel.is_ended]
        if not live:
            raise NoPeer(_nobody([wanted.note for wanted in node.wanted if wanted.note]))
        return min(
            live,
            key=lambda gateway: (gateway.draining, gateway.channel.latency or 0.0),
        )

    async def models(self, node: Node) -> tuple[ModelStatus, ...]:
        """The models that a request may name.

        Raises:
            AiplatError: no gateway, or it gave no answer that can be read.
        """
        if self._local is not None:
            return self._local.models()
        channel = (await self._nearest(node)).channel
        reply = await channel.call(Call("models"), self._settings.call_seconds)
        if reply.failed is not None:
            raise reply.failed.error()
        try:
            return _MODELS.decode(reply.body)
        except msgspec.MsgspecError as fault:
            raise NoPeer(
                f"The gateway {short(channel.peer)} gave a list of models that cannot be read: "
                f"{fault}."
            ) from None

    # -- over channels (`Role`) ----------------------------------------------------------------

    def opened(self, channel: Channel) -> None:
        """A gateway can be asked."""
        if "gateway" in channel.roles:
            self._remote(channel)

    def drained(self, channel: Channel, drain: Drain) -> None:
        """A gateway takes no more."""
        gateway = self._gateways.get(channel.peer)
        if gateway is not None:
            gateway.draining = True

    def ended(self, channel: Channel, reason: str) -> None:
        """A gateway is gone."""
        gateway = self._gateways.get(channel.peer)
        if gateway is not None and gateway.channel is channel:
            del self._gateways[channel.peer]
            self._arrived = trio.Event()


def _nobody(notes: list[str]) -> str:
    tried = f" Tried: {'; '.join(notes[:3])}" if notes else ""
    return (
        "This node is a client and has no gateway to ask: name one with `--peer ADDRESS` "
        f'("aiplat status" on the gateway prints its address).{tried}'
    )
