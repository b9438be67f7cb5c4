"""When to say that one lives, and when to believe that the peer does not.

Executes nothing; the clock is whatever the caller passes, in seconds.
"""

from __future__ import annotations

import math

PATIENCE = 1.5
"""Of the side that does not lead, in intervals: at once, both would ask at the same moment."""

MEASURED_BEATS = 5
"""Intervals after which one asks all the same, to know how long an answer takes now."""


class Pulse:
    """The heartbeat of one channel, seen from one side.

    A beat is for when nothing is said: then the peer could not know that this side lives. Its
    answer to the peer's beat says so too. So of two that have nothing to say one asks and the other
    answers, which is half of what it costs when both ask. What is heard makes up for nothing: who
    takes a long prompt over a slow link hears much, and who sends it would hear nothing.

    Arguments:
        now: the time of the start.
        interval: seconds in which nothing was said, after which one asks; looks are no further
            apart either.
        silence: seconds without a byte after which the peer counts as gone.
        leads: whether it is this side that asks; the other waits for half as long again.
    """

    def __init__(self, now: float, interval: float, silence: float, *, leads: bool = True) -> None:
        self.latency: float | None = None
        self._interval = interval
        self._patience = interval if leads else interval * PATIENCE
        self._silence = silence
        self._heard = self._said = now
        self._due = now
        self._nonce = 0
        self._sent_at = -math.inf

    @property
    def due(self) -> float:
        """When to look again."""
        return self._due

    def heard(self, now: float) -> None:
        """Note that a byte came."""
        self._heard = now

    def said(self, now: float) -> None:
        """Note that bytes left."""
        self._said = now

    def look(self, now: float) -> bool:
        """Note the time; tell whether the peer was silent for too long.

        The time by which this look is late was our own standstill, in which we could have
        heard nothing: it is not held against the peer.
        """
        late = now - self._due
        if late > 0:
            self._heard = min(now, self._heard + late)
        silent = now - self._heard >= self._silence
        self._plan(now)
        return silent

    def beat(self, now: float) -> int | None:
        """The nonce to send now; None when there is no need to ask."""
        is_measured = now - self._sent_at < MEASURED_BEATS * self._interval
        if is_measured and now < self._asks_at:
            return None
        self._nonce = (self._nonce + 1) % 2**32
        self._sent_at = now
        self._plan(now)
        return self._nonce

    def answered(self, nonce: int, now: float) -> None:
        """Note the answer to the last beat; any other is too late to measure by."""
        if nonce == self._nonce:
            self.latency = now - self._sent_at

    @property
    def _asks_at(self) -> float:
        return max(self._said, self._sent_at) + self._patience

    def _plan(self, now: float) -> None:
        soonest = min(self._asks_at, self._heard + self._silence, now + self._interval)
        self._due = max(now, soonest)
