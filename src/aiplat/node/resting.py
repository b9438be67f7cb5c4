"""What failed rests before it is tried again, each time for longer."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, NamedTuple, TypeVar

import trio

MAX_RESTING = 1024
"""Remembered at once; the oldest is forgotten first."""

K = TypeVar("K", bound=Hashable)


class _Rest(NamedTuple):
    """Until when, on trio's clock, and for how long that was set."""

    until: float
    seconds: float


class Resting(Generic[K]):
    """Those that rest.

    Arguments:
        first: the first rest of each, in seconds; it doubles each time.
        longest: the longest, in seconds.
    """

    def __init__(self, first: float, longest: float) -> None:
        self._first = first
        self._longest = longest
        self._rests: dict[K, _Rest] = {}

    def __contains__(self, key: K) -> bool:
        """Whether it rests now."""
        rest = self._rests.get(key)
        return rest is not None and trio.current_time() < rest.until

    def failed(self, key: K) -> None:
        """Let it rest from now on."""
        last = self._rests.pop(key, None)
        seconds = min(self._first if last is None else last.seconds * 2, self._longest)
        self._rests[key] = _Rest(trio.current_time() + seconds, seconds)
        if len(self._rests) > MAX_RESTING:
            del self._rests[next(iter(self._rests))]

    def worked(self, key: K) -> None:
        """Forget that it ever failed."""
        self._rests.pop(key, None)

    def clear(self) -> None:
        """Forget all."""
        self._rests.clear()
