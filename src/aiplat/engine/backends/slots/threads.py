"""How many threads compute a step: as many as make it quickest now, found by trying. No torch.

With few rows a product takes a few dozen microseconds, and threads that have to be woken or wait
for each other cost more than they bring, all the more beside other work on the machine: two
threads took 170 ms for a step beside a busy loop, and one 40. So for each size of step the count
in use is compared with its neighbours now and then; what loses is tried ever more rarely.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_WEIGHT = 0.3
_GAIN = 0.95  # of the time in use that another count must take, to be taken
_FIRST, _LAST = 8, 256  # steps between two tries
_WORSE = 1.5  # times its mean: the machine is another now


class Threads:
    """The counts for one model.

    Arguments:
        most: how many threads there may be.
        use: sets how many compute.
        now: the clock, in seconds.
    """

    def __init__(self, most: int, use: Callable[[int], None], now: Callable[[], float]) -> None:
        self._most = most
        self._use = use
        self._now = now
        self._sizes: dict[int, Size] = {}

    def run(self, tokens: int, step: Callable[[], T]) -> T:
        """Run a step that reads so many tokens."""
        if self._most == 1:
            return step()
        size = self._sizes.setdefault(tokens.bit_length(), Size(self._most))
        count = size.next()
        self._use(count)
        began = self._now()
        got = step()
        size.took(count, (self._now() - began) / tokens)
        return got


class Size:
    """What is known of steps of about one size.

    Arguments:
        most: how many threads there may be.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._means: dict[int, float] = {}
        self.count = most
        """The one in use."""
        self._pause, self._left = _FIRST, 1
        self._down = True

    def next(self) -> int:
        """How many threads the next step takes."""
        if self.count not in self._means or self._left > 0:
            return self.count
        self._down = not self._down if 1 < self.count < self._most else self.count > 1
        return max(1, self.count // 2) if self._down else min(self._most, self.count * 2)

    def took(self, count: int, seconds: float) -> None:
        """Learn how long a step took for each token."""
        known = self._means.get(count)
        if count == self.count:
            self._left -= 1
            if known is not None and seconds > _WORSE * known:
                self._pause = _FIRST
                self._left = min(self._left, self._pause)
        mean = seconds if known is None else known + _WEIGHT * (seconds - known)
        self._means[count] = mean
        if count == self.count:
            return
        if min(seconds, mean) < _GAIN * self._means[self.count]:
            self.count, self._pause = count, _FIRST
            self._means[count] = min(seconds, mean)
        else:
            self._pause = min(_LAST, 2 * self._pause)
        self._left = self._pause
