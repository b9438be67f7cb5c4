"""What one request holds of all the limits that it counts for, from its admission to its end."""

from __future__ import annotations

from aiplat.accounts.limits.clock import Clock
from aiplat.accounts.limits.holds import Asked, Hold
from aiplat.accounts.limits.refusing import Refusing


class Reservation:
    """The place and the tokens of one request: `Limiter.admit` makes it, its end settles it.

    Its tokens count at the moment it was let in; those that `adjust` added at the moment of that.
    """

    __slots__ = ("_clock", "_first", "_holds", "_is_over", "_refusing", "_tokens")

    def __init__(
        self, clock: Clock, refusing: Refusing, asked: list[Asked], tokens: int, now: int
    ) -> None:
        self._clock = clock
        self._refusing = refusing
        self._first = self._tokens = tokens
        self._is_over = False
        self._holds: list[Hold] = []
        for state, use in asked:
            use.held += tokens
            state.running[self] = now
            self._holds.append(Hold(state, use, state.charge(now, 1, tokens)))

    def adjust(self, tokens: int) -> None:
        """Say better what the whole request may come to. After its end that does nothing.

        Less gives back. More is taken if it fits everywhere.

        Raises:
            RateLimitHit, QuotaHit: it does not fit; then nothing is changed.
        """
        if self._is_over:
            return
        if tokens < 0:
            raise ValueError(f"a request comes to no {tokens} tokens")
        now = self._clock.read()
        more = tokens - self._tokens
        if more > 0:
            asked = [(hold.state, hold.use) for hold in self._holds]
            if not all(state.gives(now, more, use) for state, use in asked):
                raise self._refusing.of_more(now, asked, tokens, more)
            self._grow(now, more)
        elif more < 0:
            self._shrink(now, -more)

    def settle(self, tokens: int) -> None:
        """It is over, and so many tokens were used. A second call does nothing.

        What was used beyond the reservation counts too, now: that alone can go over a limit.
        """
        if self._is_over:
            return
        self._is_over = True
        now = self._clock.read()
        used, reserved = max(tokens, 0), self._tokens
        if used > self._tokens:
            self._grow(now, used - self._tokens)
        elif self._first < self._tokens:
            self._shrink(now, self._tokens - used)
        spare = self._tokens - used  # now of the first charge alone
        took = 0
        for hold in self._holds:
            hold.use.held -= self._tokens
            hold.use.used += used
            for part, bucket in hold.more or ():
                hold.state.release(now, bucket, 0, part)
            if hold.bucket is not None:
                hold.state.release(now, hold.bucket, spare, self._first)
            took = hold.state.ended(self, now, reserved, used)
        self._refusing.durations.add(took)

    def _grow(self, now: int, more: int) -> None:
        self._tokens += more
        for hold in self._holds:
            hold.use.held += more
            hold.more = hold.more or []
            hold.more.append((more, hold.state.charge(now, 0, more)))

    def _shrink(self, now: int, spare: int) -> None:
        """Give back what was added last first: that would stay in the window the longest."""
        self._tokens -= spare
        for hold in self._holds:
            hold.use.held -= spare
            left = spare
            while left and hold.more:
                part, bucket = hold.more.pop()
                back = min(part, left)
                left -= back
                hold.state.release(now, bucket, back, back)
                if back < part:
                    hold.more.append((part - back, bucket))
            hold.state.release(now, hold.bucket, left, left)
        self._first = min(self._first, self._tokens)
