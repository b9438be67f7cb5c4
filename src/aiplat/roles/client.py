"""The client: finds a gateway for the requests of this node's own faces."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import trio

from aiplat.control.messages import ModelStatus
from aiplat.domain.answers import Inference
from aiplat.domain.errors import NoPeer
from aiplat.domain.ids import PeerId, short
from aiplat.protocol.messages import Call, Drain
from aiplat.roles.base import Role
from aiplat.roles.gateway import Gateway
from aiplat.roles.settings import ClientSettings

if TYPE_CHECKING:
    from aiplat.node.channel import Channel
    from aiplat.node.node import Node

_MODELS = msgspec.msgpack.Decoder(tuple[ModelStatus, ...])


class Client(Role):
    """The client role of a node.

    A node that is a gateway too asks itself. Another asks the gateway with the shortest round
    trip among those that it has a channel to; one that drains comes last.
    """

    def __init__(self, settings: ClientSettings, local: Gateway | None = None) -> None:
        self._settings = settings
        self._local = local
        self._gateways: dict[PeerId, Channel] = {}
        self._draining: set[PeerId] = set()
        self._arrived = trio.Event()

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
        if "gateway" not in channel.hello.roles:
            raise NoPeer(
                f"The peer {short(channel.peer)} is no gateway (it is: "
                f"{', '.join(channel.hello.roles)}). Name the address of a gateway."
            )
        node.keep(peer)
        return channel

    async def _nearest(self, node: Node) -> Channel:
        with trio.move_on_after(self._settings.gateway_seconds if node.wanted else 0):
            while not self._gateways:
                await self._arrived.wait()
        if not self._gateways:
            raise NoPeer(_nobody([wanted.note for wanted in node.wanted if wanted.note]))
        return min(
            self._gateways.values(),
            key=lambda channel: (channel.peer in self._draining, channel.latency or 0.0),
        )

    async def models(self, node: Node) -> tuple[ModelStatus, ...]:
        """The models that a request may name.

        Raises:
            AiplatError: no gateway, or it gave no answer that can be read.
        """
        if self._local is not None:
            return self._local.models()
        channel = await self._nearest(node)
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
        if "gateway" in channel.hello.roles:
            self._gateways[channel.peer] = channel
            self._draining.discard(channel.peer)
            self._arrived.set()

    def drained(self, channel: Channel, drain: Drain) -> None:
        """A gateway takes no more."""
        self._draining.add(channel.peer)

    def ended(self, channel: Channel, reason: str) -> None:
        """A gateway is gone."""
        if self._gateways.get(channel.peer) is channel:
            del self._gateways[channel.peer]
            self._draining.discard(channel.peer)
            self._arrived = trio.Event()


def _nobody(notes: list[str]) -> str:
    tried = f" Tried: {'; '.join(notes[:3])}" if notes else ""
    return (
        "This node is a client and has no gateway to ask: name one with `--peer ADDRESS` "
        f"(`aiplat status` on the gateway prints its address).{tried}"
    )
