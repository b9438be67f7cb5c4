"""The connections that others open to this node: whom it lets in, and for how long.

Anybody may connect, so a connection proves nothing until its peer has a channel here. Those that
are unproven are bounded by where they come from, and do not stay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import trio
from libp2p.stream_muxer.yamux.yamux import Yamux

from aiplat.domain.ids import PeerId
from aiplat.node.halfopen import HalfOpen
from aiplat.node.places import Recent
from aiplat.node.settings import NodeSettings
from aiplat.telemetry.metrics import Metrics

CLOSE_SECONDS = 1.0
"""For saying that a connection is closed: who reads nothing hears nothing."""


class _Living:
    """One connection, its handshakes done."""

    def __init__(self, source: str, peer: PeerId, began: float) -> None:
        self.source = source
        self.peer = peer
        self.began = began
        self.proven = False
        self.scope = trio.CancelScope()


class Inbound:
    """The inbound connections of one host.

    Arguments:
        settings: bounds and deadlines.
        metrics: where hits of bounds are counted.
        total: gives how many connections there are, both ways.
        clock: gives seconds that only grow.
    """

    def __init__(
        self,
        settings: NodeSettings,
        metrics: Metrics,
        total: Callable[[], int],
        clock: Callable[[], float] = trio.current_time,
    ) -> None:
        self.has_channel: Callable[[PeerId], bool] = lambda peer: False
        self._settings = settings
        self._metrics = metrics
        self._total = total
        self._clock = clock
        self._half_open = HalfOpen(settings.max_half_open, lambda: self._hit("half_open"), clock)
        self._recent = Recent(settings.connects_per_minute, clock)
        self._living: dict[int, _Living] = {}

    def prove(self, peer: PeerId) -> None:
        """A peer has a channel now: its connections may stay."""
        for one in self._living.values():
            if one.peer == peer and not one.proven:
                one.proven = True
                self._recent.forgive(one.source)

    @contextmanager
    def arriving(self, source: str) -> Iterator[bool]:
        """Let a connection do its handshakes while the block lasts; gives whether it may.

        Arguments:
            source: where it comes from.
        """
        if not self._may_come(source):
            yield False
            return
        with self._half_open.place(source) as may:
            yield may

    def _may_come(self, source: str) -> bool:
        if not self._recent.may(source):
            return self._hit("connects_per_minute")
        unproven = sum(one.source == source and not self._is_proven(one) for one in self._all())
        if unproven + self._half_open.of(source) >= self._settings.max_unproven_per_source:
            return self._hit("unproven_per_source")
        if self._total() + len(self._half_open) >= self._settings.max_connections:
            self._make_room()
            return self._hit("connections")
        return True

    async def live(self, muxed: Yamux, source: str, streams: Callable[[], int]) -> None:
        """Stay with a connection until it ends, and see that it does.

        Arguments:
            muxed: the connection.
            source: where it comes from.
            streams: gives how many streams it has.
        """
        peer = PeerId(muxed.peer_id.to_base58())
        one = _Living(source, peer, self._clock())
        if sum(other.peer == peer for other in self._all()) >= self._bound_of_one_peer:
            self._hit("connections_per_peer")
        else:
            self._living[id(one)] = one
            try:
                with one.scope:
                    await self._until_over(muxed, one, streams)
            finally:
                self._living.pop(id(one), None)
        with trio.move_on_after(CLOSE_SECONDS):
            await muxed.close()

    async def _until_over(self, muxed: Yamux, one: _Living, streams: Callable[[], int]) -> None:
        pause = min(self._settings.idle_seconds, self._settings.unproven_seconds)
        while True:
            with trio.move_on_after(pause):
                await muxed.event_closed.wait()
                return
            if not streams():
                return
            age = self._clock() - one.began
            if not self._is_proven(one) and age >= self._settings.unproven_seconds:
                self._hit("unproven_seconds")
                return

    # -- inside ----------------------------------------------------------------------------------

    @property
    def _bound_of_one_peer(self) -> int:
        return self._settings.max_connections_per_peer

    def _all(self) -> tuple[_Living, ...]:
        return tuple(self._living.values())

    def _is_proven(self, one: _Living) -> bool:
        return one.proven or self.has_channel(one.peer)

    def _make_room(self) -> None:
        """End the oldest connection that had its time and did not prove itself.

        Whoever is turned away now finds room at its next try.
        """
        for one in self._all():
            age = self._clock() - one.began
            if age >= self._settings.handshake_seconds and not self._is_proven(one):
                one.scope.cancel()
                return

    def _hit(self, bound: str) -> bool:
        self._metrics.bound_hits.labels(bound=bound).inc()
        return False
