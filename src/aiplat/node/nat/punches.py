"""How often, and for whom, this node connects where a peer says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import trio

from aiplat.domain.errors import Overloaded, RateLimited
from aiplat.domain.ids import PeerId, short
from aiplat.node.nat.crossing import Connects
from aiplat.node.places import Recent
from aiplat.node.settings import NodeSettings
from aiplat.telemetry.metrics import Metrics


class Punches:
    """The tries past a relay that run, and those that peers asked for in the last minute.

    Arguments:
        settings: bounds.
        metrics: where hits of bounds are counted.
    """

    def __init__(self, settings: NodeSettings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._recent = Recent(settings.punches_per_minute, trio.current_time)
        self._running: set[PeerId] = set()

    def __len__(self) -> int:
        """How many run."""
        return len(self._running)

    def ask(self, peer: PeerId) -> None:
        """Note that a peer asks for one.

        Raises:
            RateLimited: it asked for too many in a minute.
        """
        if self._recent.may(peer):
            return
        self._hit("punches_per_minute")
        bound = self._settings.punches_per_minute
        raise RateLimited(
            f"The peer {short(peer)} asked over {bound} times in a minute for a way past a relay, "
            "the bound (punches_per_minute). Try again in a minute.",
            retry_after=60.0,
        )

    def begin(self, peer: PeerId) -> None:
        """Take a place for one.

        Raises:
            Overloaded: one runs for this peer, or too many for all.
        """
        bound = self._settings.punches
        if peer not in self._running and len(self._running) < bound:
            self._running.add(peer)
            return
        self._hit("punches")
        raise Overloaded(
            f"This node tries for a way past a relay for one peer once at a time, and for {bound} "
            "peers at once (punches). Try again.",
            retry_after=self._settings.nat_probe_seconds,
        )

    def end(self, peer: PeerId) -> None:
        """Give the place back."""
        self._running.discard(peer)

    @contextmanager
    def one(self, peer: PeerId) -> Iterator[None]:
        """Hold a place while the block lasts.

        Raises:
            Overloaded: as `begin`.
        """
        self.begin(peer)
        try:
            yield
        finally:
            self.end(peer)

    def connects(self) -> Connects:
        """What one try may still do."""
        return Connects(self._settings.punch_connects, lambda: self._hit("punch_connects"))

    def _hit(self, bound: str) -> None:
        self._metrics.bound_hits.labels(bound=bound).inc()
