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

    __slots__ = ("_epoch", "_first", "_longest", "_rest", "_until", "state")

    def __init__(self, first: float, longest: float) -> None:
        self.state: State = "closed"
        self._first = first
        self._longest = longest
        self._rest = first
        self._until = 0.0
        self._epoch = 0

    def allows(self, now: float) -> bool:
        """Whether a request may be placed now."""
        return self.state == "closed" or (self.state == "open" and now >= self._until)

    def rests_for(self, now: float) -> float:
        """Seconds until it may be tried again; 0 when it may be now, or is."""
        return max(0.0, self._until - now) if self.state == "open" else 0.0

    def is_history(self, now: float) -> bool:
        """Whether it has nothing more to say: all is well, or the failure is long ago."""
        return self.state == "closed" or now - self._until >= self._longest

    def placed(self) -> Turn:
        """A request was placed: after a rest it is the trial, and the only one."""
        if self.state == "open":
            self._become("trial")
        return Turn(self, self._epoch)

    def _become(self, state: State) -> None:
        self.state = state
        self._epoch += 1

    def _open(self, until: float) -> None:
        self._until = until
        self._become("open")


class Turn:
    """What one request has to tell its breaker.

    Only what it tells of the breaker's present state counts. When a processor fails with ten
    requests under way, that is one failure and not ten; and what was placed before the rest
    neither ends the trial nor makes room for a second.
    """

    __slots__ = ("_breaker", "_epoch")

    def __init__(self, breaker: Breaker, epoch: int) -> None:
        self._breaker = breaker
        self._epoch = epoch

    def succeeded(self) -> None:
        """The answer began, or ended well: all is well again. It may still fail later."""
        breaker = self._breaker
        if self._epoch != breaker._epoch:
            return
        breaker._rest = breaker._first
        if breaker.state == "trial":
            breaker._become("closed")
            self._epoch = breaker._epoch

    def failed(self, now: float) -> None:
        """It failed by the processor's fault: that rests."""
        breaker = self._breaker
        if self._epoch == breaker._epoch:
            breaker._open(now + breaker._rest)
            breaker._rest = min(2 * breaker._rest, breaker._longest)

    def gave_up(self, now: float) -> None:
        """It ended without telling anything, such as by a cancel: another trial may come."""
        breaker = self._breaker
        if self._epoch == breaker._epoch and breaker.state == "trial":
            breaker._open(now)
