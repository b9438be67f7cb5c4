"""How long requests took lately, to guess when one that is under way ends.

Pure; all times are in milliseconds.
"""

from __future__ import annotations

import bisect
from collections import deque

_SHARE = 0.9
"""Of the requests that lasted as long as one did already, so many have ended by its guess."""
_FEWEST = 8
"""Fewer say nothing."""
_SHORTEST, _LONGEST = 1_000, 60_000
_UNKNOWN = 10_000
"""The guess where nothing has ended yet."""


class Durations:
    """The latest of them.

    Arguments:
        most: how many are kept.
    """

    __slots__ = ("_latest", "_sorted")

    def __init__(self, most: int) -> None:
        self._latest: deque[int] = deque(maxlen=most)
        self._sorted: list[int] | None = []

    def add(self, took: int) -> None:
        """A request has ended."""
        self._latest.append(took)
        self._sorted = None

    @property
    def says_something(self) -> bool:
        """Whether there are enough of them."""
        return len(self._latest) >= _FEWEST

    def still_takes(self, took: int) -> int:
        """Guess how long one that took so long already takes still: from 1 to 60 seconds.

        Of one that took longer than all before, nobody knows; it may as well be half through.
        """
        if self._sorted is None:
            self._sorted = sorted(self._latest)
        shorter = bisect.bisect_left(self._sorted, took)
        count = len(self._sorted) - shorter
        left = self._sorted[shorter + int(count * _SHARE)] - took if count else took or _UNKNOWN
        return min(max(left, _SHORTEST), _LONGEST)
