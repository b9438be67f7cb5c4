"""How often accounts are made and changed, by the minute: each such thing is a row for years.

The limiter of requests counts it (one of its own, so that nobody's requests are concerned).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from aiplat.accounts.limits.limiter import Limiter, RateLimitHit, Subject
from aiplat.domain.accounts import Limits
from aiplat.domain.errors import RateLimited


class Bound(NamedTuple):
    """So much a minute of one thing.

    Arguments:
        id: unique among all things that are counted.
        most: how many within 60 seconds.
        what: they are, for words, such as ``log-ins of the account 'ann'``.
        setting: the name of the one that says how many.
    """

    id: str
    most: int
    what: str
    setting: str


class Pace:
    """Counts what was done within the last minute.

    Arguments:
        now: seconds of a monotonic clock.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._limiter = Limiter(now, lambda: 0, lambda: 0.0)

    def take(self, *bounds: Bound) -> None:
        """Count one more of each, one after the other.

        What is refused by one takes nothing of those behind it, nor of what others are told there
        of when to come back: so the narrower bound comes first.

        Raises:
            RateLimited: one of them is reached; says which, and when to come back.
        """
        for bound in bounds:
            subject = Subject(bound.id, bound.what, Limits(requests_per_minute=bound.most))
            try:
                self._limiter.admit([subject], 0).settle(0)
            except RateLimitHit as hit:
                wait = hit.retry_after or 1.0
                raise RateLimited(
                    f"The bound of {bound.what} is {bound.most} a minute ({bound.setting}), and "
                    f"there were as many. Come back in {math.ceil(wait)} s.",
                    retry_after=wait,
                ) from None
