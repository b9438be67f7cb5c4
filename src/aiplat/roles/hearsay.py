"""What the gateways of a client tell of the network, kept for a moment."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import trio

from aiplat.domain.errors import AiplatError
from aiplat.domain.ids import PeerId, short
from aiplat.node.addresses import parse_peer
from aiplat.protocol.framing import UNREADABLE
from aiplat.protocol.messages import Call
from aiplat.roles import told
from aiplat.roles.settings import ClientSettings
from aiplat.roles.told import ToldPeer
from aiplat.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from aiplat.node.channel import Channel
    from aiplat.roles.client import RemoteGateway

log = logging.getLogger("aiplat.client")


@dataclass(frozen=True)
class Heard:
    """A peer, and the gateway that told of it."""

    peer: ToldPeer
    by: PeerId


class Hearsay:
    """Asks the gateways that a client has, all at once, and each for no longer than its deadline.

    Arguments:
        settings: deadlines and bounds.
        gateways: gives those that can be asked now.
        metrics: where hits of bounds are counted.
        now: the clock, in seconds.
    """

    def __init__(
        self,
        settings: ClientSettings,
        gateways: Callable[[], Mapping[PeerId, RemoteGateway]],
        metrics: Metrics,
        now: Callable[[], float] = trio.current_time,
    ) -> None:
        self._settings = settings
        self._gateways = gateways
        self._metrics = metrics
        self._now = now
        self._heard: dict[PeerId, Heard] = {}
        self._asked: frozenset[PeerId] = frozenset()
        self._good_until = 0.0
        self._turn: trio.Lock | None = None

    @property
    def known(self) -> Mapping[PeerId, Heard]:
        """What was heard last, from gateways that are still there."""
        there = self._gateways()
        return {peer: heard for peer, heard in self._heard.items() if heard.by in there}

    async def listen(self) -> Mapping[PeerId, Heard]:
        """Whom the gateways see; asked anew if that was a while ago, or others are there now."""
        if self._turn is None:
            self._turn = trio.Lock()
        async with self._turn:  # who comes meanwhile is answered from what the first one heard
            there = frozenset(self._gateways())
            if self._now() >= self._good_until or not there <= self._asked:
                await self._ask_all()
                self._asked = there
                self._good_until = self._now() + self._settings.peers_kept_seconds
        return self.known

    async def _ask_all(self) -> None:
        """The nearest gateway's word counts, unless another knows what a peer offers."""
        answers: dict[PeerId, list[ToldPeer]] = {}
        gateways = sorted(self._gateways().values(), key=lambda g: g.channel.latency or 0.0)
        async with trio.open_nursery() as nursery:
            for gateway in gateways:
                nursery.start_soon(self._ask, gateway.channel, answers)
        heard: dict[PeerId, Heard] = {}
        for gateway in gateways:
            by = gateway.channel.peer
            for peer in answers.get(by, ()):
                known = heard.get(peer.peer_id)
                if known is None or (not known.peer.models and peer.models):
                    heard[peer.peer_id] = Heard(peer, by)
        self._heard = heard

    async def _ask(self, channel: Channel, answers: dict[PeerId, list[ToldPeer]]) -> None:
        """What one gateway says; one that says nothing costs its own rows alone."""
        try:
            reply = await channel.call(Call(told.METHOD), self._settings.peers_seconds)
            if reply.failed is not None:
                raise reply.failed.error()
            rows, left_out = told.decode(reply.body, self._settings.peers_heard)
            if left_out:
                self._metrics.bound_hits.labels(bound="peers_heard").inc()
            for row in rows:
                parse_peer(row.peer_id)
        except (AiplatError, *UNREADABLE) as fault:
            log.debug("the gateway %s did not tell whom it sees: %s", short(channel.peer), fault)
            return
        answers[channel.peer] = rows
