"""The circuit breaker of one processor and model: who failed rests, and is tried again with one.

Pure; the clock is whatever the caller passes, in seconds.
"""

from __future__ import annotations

from typing import Literal

State = Literal["closed", "open", "trial"]


class Breaker:
    """Closed, open, or waiting for how one trial ends.

    Arguments:
        first: seconds of the first rest; each further failure doubles it.
        longest: seconds of the longest.
    """

    __slots__ = ("_first", "_longest", "_rest", "_until", "state")

    def __init__(self, first: float, longest: float) -> None:
        self.state: State = "closed"
        self._first = first
        self._longest = longest
        self._rest = first
        self._until = 0.0

    def allows(self, now: float) -> bool:
        """Whether a request may be placed now."""
        return self.state == "closed" or (self.state == "open" and now >= self._until)

    def rests_for(self, now: float) -> float:
        """Seconds until it may be tried again; 0 when it may be now."""
        return max(0.0, self._until - now) if self.state == "open" else 0.0

    def placed(self) -> None:
        """A request was placed: after a rest it is the trial, and the only one."""
        if self.state == "open":
            self.state = "trial"

    def succeeded(self) -> None:
        """An answer began: all is well again."""
        self.state = "closed"
        self._rest = self._first

    def failed(self, now: float) -> None:
        """A request failed by the processor's fault: it rests."""
        self.state = "open"
        self._until = now + self._rest
        self._rest = min(2 * self._rest, self._longest)

    def gave_up(self, now: float) -> None:
        """A request ended without telling anything, such as by a cancel: another trial may come."""
        if self.state == "trial":
            self.state = "open"
            self._until = now
