"""Many clients of one key on a clock that jumps from event to event: a simulation, seeded."""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Callable
from dataclasses import dataclass

from aiplat.accounts.limits.limiter import LimitHit, Subject

from .world import World

Draw = Callable[[random.Random], float]


@dataclass
class Counted:
    """How those who asked fared: those who came back when they were told, and all others."""

    back_in: int = 0
    back_out: int = 0
    others_in: int = 0
    others_out: int = 0

    @property
    def share(self) -> float:
        """Of those who came back, how many were let in."""
        return self.back_in / (self.back_in + self.back_out)

    def count(self, *, back: bool, let_in: bool) -> None:
        """One asked."""
        name = f"{'back' if back else 'others'}_{'in' if let_in else 'out'}"
        setattr(self, name, getattr(self, name) + 1)


class Crowd:
    """Clients that ask, wait as long as they are told when they are refused, and ask again.

    Arguments:
        lasts: draws how many seconds a request takes.
        rests: draws how long a client is quiet after each answer; 0 for one that never is.
        asks: draws how many tokens one reserves.
        uses: which share of them.
        comes: seconds within which all clients ask first.
    """

    def __init__(
        self,
        *subjects: Subject,
        seed: int = 1,
        lasts: Draw = lambda r: r.uniform(0.2, 5),
        rests: Draw = lambda r: 0.0,
        asks: Draw = lambda r: 1,
        uses: Draw = lambda r: r.random(),
        comes: float = 0.0,
    ) -> None:
        self.world = World()
        self.counted = Counted()
        self._subjects = subjects
        self._random = random.Random(seed)
        self._lasts, self._rests, self._asks, self._uses = lasts, rests, asks, uses
        self._comes = comes
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._number = 0

    def run(self, clients: int, seconds: float) -> Counted:
        """Let it go on for so long."""
        begin = self.world.ms
        for _ in range(clients):
            self._after(self._random.uniform(0, self._comes), self._ask)
        while self._events and self._events[0][0] <= begin + seconds * 1000:
            self.world.ms, _, event = heapq.heappop(self._events)
            event()
        return self.counted

    def _after(self, seconds: float, event: Callable[[], None]) -> None:
        self._number += 1
        when = self.world.ms + round(seconds * 1000)
        heapq.heappush(self._events, (when, self._number, event))

    def _ask(self, tokens: int = 0) -> None:
        back = tokens > 0
        tokens = tokens or round(self._asks(self._random))
        try:
            reservation = self.world.limiter.admit(self._subjects, tokens)
        except LimitHit as hit:
            self.counted.count(back=back, let_in=False)
            self._after(math.ceil(hit.retry_after or 0), lambda: self._ask(tokens))
            return
        self.counted.count(back=back, let_in=True)

        def end() -> None:
            reservation.settle(round(tokens * self._uses(self._random)))
            self._after(self._rests(self._random), self._ask)

        self._after(self._lasts(self._random), end)
