"""Wrong passwords make the next try wait: for the account, and for the peer that tries.

After the third failure in a row the next one has to wait a second, then two, four, …, a minute at
most. Who comes too early is told when, and nothing is hashed for it: ten thousand guesses cost a
gateway ten thousand look-ups. It slows guessing down and shuts nobody out for good.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from aiplat.domain.errors import RateLimited

FREE = 3
LONGEST_SECONDS = 60.0
FORGET_SECONDS = 3600.0
MAX_KNOWN = 10_000


class Failure(NamedTuple):
    """One that was counted: when, and when the one before it was."""

    at: float
    before: float


class Slowdown:
    """Failures by name, the latest ones.

    Arguments:
        now: the clock, in seconds; not the time of day.
        what: whose failures, for the words, such as ``in a row for this account``.
        free: failures in a row that cost nothing.
    """

    def __init__(self, now: Callable[[], float], what: str, free: int = FREE) -> None:
        self._now = now
        self._what = what
        self._free = free
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def check(self, name: str) -> None:
        """Raise `RateLimited` when another try has to wait."""
        count, last = self._failures.get(name, (0, 0.0))
        left = last + self._pause(count) - self._now()
        if left > 0:
            raise RateLimited(
                f"There were {count} wrong passwords {self._what}: the next try is heard in "
                f"{math.ceil(left)} s.",
                retry_after=left,
            )

    def failed(self, name: str) -> Failure:
        """One more failure."""
        now = self._now()
        count, last = self._failures.pop(name, (0, now))
        if now - last > FORGET_SECONDS:
            count = 0
        self._failures[name] = (count + 1, now)
        if len(self._failures) > MAX_KNOWN:
            self._failures.popitem(last=False)
        return Failure(now, last)

    def take_back(self, name: str, failure: Failure) -> None:
        """It was none: others before and since stay."""
        count, last = self._failures.get(name, (0, 0.0))
        if count > 1:
            self._failures[name] = (count - 1, failure.before if last == failure.at else last)
        else:
            self._failures.pop(name, None)

    def succeeded(self, name: str) -> None:
        """The right one came: all is forgotten."""
        self._failures.pop(name, None)

    def _pause(self, count: int) -> float:
        if count < self._free:
            return 0.0
        return min(LONGEST_SECONDS, 2.0 ** min(30, count - self._free))
