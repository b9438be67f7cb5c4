"""When to say that one lives, and when to believe that the peer does not.

Executes nothing; the clock is whatever the caller passes, in seconds.
"""

from __future__ import annotations


class Pulse:
    """The heartbeat of one channel, seen from one side.

    Arguments:
        now: the time of the start.
        interval: seconds between two beats.
        silence: seconds without a byte after which the peer counts as gone.
    """

    def __init__(self, now: float, interval: float, silence: float) -> None:
        self.latency: float | None = None
        self._interval = interval
        self._silence = silence
        self._heard = now
        self._next_beat = now
        self._due = now
        self._nonce = 0
        self._sent_at = now

    @property
    def due(self) -> float:
        """When to look again."""
        return self._due

    def heard(self, now: float) -> None:
        """Note that a byte came."""
        self._heard = now

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
        """The nonce to send now; None when it is not time yet."""
        if now < self._next_beat:
            return None
        self._nonce = (self._nonce + 1) % 2**32
        self._sent_at = now
        self._next_beat = now + self._interval
        self._plan(now)
        return self._nonce

    def answered(self, nonce: int, now: float) -> None:
        """Note the answer to the last beat; any other is too late to measure by."""
        if nonce == self._nonce:
            self.latency = now - self._sent_at

    def _plan(self, now: float) -> None:
        self._due = max(now, min(self._next_beat, self._heard + self._silence))
