"""Lets requests in as far as the limits of all whom they count for allow. Called on one loop.

Nothing waits here, and between a check and what is taken nothing else runs: a request takes its
part of all its limits, or of none.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from aiplat.accounts.limits.clock import Clock
from aiplat.accounts.limits.hits import LimitHit, QuotaHit, RateLimitHit
from aiplat.accounts.limits.holds import Asked
from aiplat.accounts.limits.months import Months
from aiplat.accounts.limits.promises import Promises
from aiplat.accounts.limits.rates import rate_state
from aiplat.accounts.limits.refusing import Refusing
from aiplat.accounts.limits.reservation import Reservation
from aiplat.accounts.limits.state import State
from aiplat.accounts.limits.subject import Limit, Subject
from aiplat.accounts.limits.window import SPAN
from aiplat.domain.accounts import RateState

__all__ = ["Limit", "LimitHit", "Limiter", "QuotaHit", "RateLimitHit", "Reservation", "Subject"]

_LOOK_EVERY = SPAN + 1
"""How long a subject matters at least, and is not looked at."""
_MOST_LOOKS = 8
"""Of subjects that may matter no more, so many are looked at with each request."""


class Limiter:
    """The limits of one gateway.

    Arguments:
        now: seconds of a monotonic clock.
        month: which calendar month (UTC) it is by the time of day, such as year * 12 + month - 1.
        month_ends: seconds until the next one.
    """

    def __init__(
        self,
        now: Callable[[], float],
        month: Callable[[], int],
        month_ends: Callable[[], float],
    ) -> None:
        self._clock = Clock(now)
        self._month = month
        self._months = Months()
        self._refusing = Refusing(month_ends)
        self._states: dict[str, State] = {}
        self._to_look_at: deque[tuple[int, State]] = deque()  # when, the next first

    def __len__(self) -> int:
        """How many subjects there is more known of than their months."""
        return len(self._states)

    def admit(self, subjects: Sequence[Subject], tokens: int) -> Reservation:
        """Let a request in: it takes its place and its tokens of each subject's limits.

        Arguments:
            subjects: whom it counts for, such as a key and its user; each of them once.
            tokens: what it may come to, prompt and answer.

        Raises:
            RateLimitHit, QuotaHit: it does not fit one of the limits; then nothing was taken.
        """
        if tokens < 0:
            raise ValueError(f"a request comes to no {tokens} tokens")
        now = self._clock.read()
        if self._to_look_at and self._to_look_at[0][0] <= now:
            self._sweep(now)
        table = self._months.now(self._month())
        asked: list[Asked] = []
        fits, is_awaited = True, False
        for subject in subjects:
            state = self._states.get(subject.id) or self._begin(now, subject)
            state.subject, state.asked = subject, now
            use = state.use if state.table is table else state.month(table)
            asked.append((state, use))
            fits = fits and state.lets_in(now, tokens, use)
            is_awaited = is_awaited or state.promises is not None
        came = _who_came(now, asked) if is_awaited else ()
        if not fits:
            hit = self._refusing.of_request(now, asked, tokens)
            if came:
                _came_between(asked, hit)
            raise hit
        for promises in came:
            promises.came(let_in=True)
        return Reservation(self._clock, self._refusing, asked, tokens, now)

    def state(self, subjects: Sequence[Subject]) -> RateState:
        """How far the limits of a minute are used: of each kind whose leaves least."""
        known = ((subject, self._states.get(subject.id)) for subject in subjects)
        return rate_state(self._clock.read(), known)

    def used_before(self, subject_id: str, month: int, tokens: int) -> None:
        """Add what a subject used of a month and this limiter has not counted itself.

        That is what the store knows from before this start, or what another key used of which this
        one is the successor. Each call adds.
        """
        self._months.add(subject_id, month, tokens)

    def let_in_before(self, subject: Subject, ago: float, tokens: int) -> None:
        """Count a request that an earlier life of this gateway let in, and that is over.

        Called before any request is let in, the oldest first. (Its month is `used_before`.)

        Arguments:
            ago: seconds since it was let in; of more than a minute nothing counts any more.
            tokens: what it came to.
        """
        now = self._clock.read()
        state = self._states.get(subject.id) or self._begin(now, subject)
        state.asked = now
        bucket = state.charge(now - max(0, round(ago * 1000)), 1, tokens)
        state.release(now, bucket, 0, tokens)

    def used_this_month(self, subject_id: str) -> int:
        """Tokens that a subject used of this month; without what requests under way reserve."""
        use = self._months.find(subject_id, self._month())
        return 0 if use is None else use.used

    def forget(self, subject_id: str) -> None:
        """A subject is no more. Its requests under way end as they would, and count for nothing."""
        self._states.pop(subject_id, None)
        self._months.forget(subject_id)

    def _begin(self, now: int, subject: Subject) -> State:
        state = self._states[subject.id] = State(subject)
        self._to_look_at.append((now + _LOOK_EVERY, state))
        return state

    def _sweep(self, now: int) -> None:
        """Drop subjects of which nothing matters any more."""
        queue = self._to_look_at
        for _ in range(_MOST_LOOKS):
            if not queue or queue[0][0] > now:
                return
            _, state = queue.popleft()
            subject = state.subject.id
            if self._states.get(subject) is not state:
                continue  # it was forgotten
            if state.is_idle(now):
                del self._states[subject]
                self._months.tidy(subject)
            else:
                queue.append((now + _LOOK_EVERY, state))


def _who_came(now: int, asked: Sequence[Asked]) -> list[Promises]:
    """The promises that this request may be the other side of."""
    return [
        promises
        for state, _ in asked
        if state.promises is not None
        for promises in state.promises.values()
        if promises.claim(now)
    ]


def _came_between(asked: Sequence[Asked], hit: LimitHit) -> None:
    """One that came when it was told is refused: others had come to that limit between."""
    for state, _ in asked:
        if state.subject.id == hit.subject and state.promises and hit.limit in state.promises:
            state.promises[hit.limit].came(let_in=False)
