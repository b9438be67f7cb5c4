"""Inbound connections whose handshakes are under way: a bounded number, and who gives way.

A handshake takes some 20 ms. When every place is taken, somebody takes them who does not mean to
end: then the oldest of the source with most of them makes room for a source that has fewer; where
all have as many, the oldest of all does, after a moment.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import trio

PATIENCE_SECONDS = 1.0
"""A handshake of a source that has no more than the newcomer's is let alone for so long."""


class _HalfOpen:
    def __init__(self, source: str, began: float) -> None:
        self.source = source
        self.began = began
        self.scope = trio.CancelScope()


class HalfOpen:
    """The places.

    Arguments:
        bound: how many there are.
        refused: called for each connection that the bound costs its place.
        clock: gives seconds that only grow.
    """

    def __init__(
        self, bound: int, refused: Callable[[], object], clock: Callable[[], float]
    ) -> None:
        self._bound = bound
        self._refused = refused
        self._clock = clock
        self._waiting: dict[int, _HalfOpen] = {}

    def __len__(self) -> int:
        """How many are taken."""
        return len(self._waiting)

    def of(self, source: str) -> int:
        """How many this source has taken."""
        return sum(one.source == source for one in self._waiting.values())

    @contextmanager
    def place(self, source: str) -> Iterator[bool]:
        """Hold one while the block lasts; the block is cancelled when it has to give way.

        Gives whether there was one.
        """
        if len(self._waiting) >= self._bound:
            self._refused()
            if not self._make_room(source):
                yield False
                return
        one = _HalfOpen(source, self._clock())
        self._waiting[id(one)] = one
        try:
            with one.scope:
                yield True
        finally:
            self._waiting.pop(id(one), None)

    def _make_room(self, source: str) -> bool:
        counts = Counter(one.source for one in self._waiting.values())
        greediest, most = counts.most_common(1)[0]
        is_same = counts[source] + 1 >= most
        whose = source if is_same else greediest
        waiting = self._waiting.values()
        oldest = next((one for one in waiting if one.source == whose), next(iter(waiting)))
        if is_same and self._clock() - oldest.began < PATIENCE_SECONDS:
            return False
        del self._waiting[id(oldest)]
        oldest.scope.cancel()
        return True
