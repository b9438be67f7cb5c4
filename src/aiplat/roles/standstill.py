"""How late a watch is: the time in which this node itself stood still is held against nobody.

A process that was stopped, or a machine that slept, could hear nothing. Pure; the clock is
whatever the caller passes, in seconds.
"""

from __future__ import annotations

NOTABLE_SECONDS = 1.0
"""Less is a busy machine, and no news to anyone."""


class Ticks:
    """The looks of one watch.

    Arguments:
        now: the time of the start.
        interval: seconds from one look to the next, at most, when nothing stands still.
    """

    def __init__(self, now: float, interval: float) -> None:
        self._looked = now
        self._interval = interval

    def late(self, now: float) -> float:
        """Seconds by which the next look is late; 0 while it is not due."""
        return max(0.0, now - self._looked - self._interval)

    def look(self, now: float) -> float:
        """Note a look; gives by how much it was late."""
        late, self._looked = self.late(now), now
        return late


def meanwhile(seconds: float) -> str:
    """A sentence's end for a standstill of this gateway; empty for one that is not notable."""
    if seconds < NOTABLE_SECONDS:
        return ""
    return f" (this gateway itself stood still for {seconds:.0f} s)"
