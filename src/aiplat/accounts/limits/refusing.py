"""Says which limit a request does not fit, and when it is worth while to come back."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence

from aiplat.accounts.limits import hits
from aiplat.accounts.limits.durations import Durations
from aiplat.accounts.limits.holds import Asked
from aiplat.accounts.limits.promises import LONGEST_WAIT, Promises
from aiplat.accounts.limits.state import State
from aiplat.accounts.limits.window import SPAN

_DURATIONS = 256
_LONGEST_MONTH = 31 * 86_400.0
_TURNS = 4
"""What a request gives back others take, who give back a part of it, and so on. It showed in
simulations that this is over so many durations later, times the share that is not used."""


class Refusing:
    """Makes refusals, and remembers the promises in them. Times are in milliseconds.

    Arguments:
        month_ends: seconds until the next calendar month (UTC).

    Attributes:
        durations: how long requests took, whosever they were.
    """

    def __init__(self, month_ends: Callable[[], float]) -> None:
        self._month_ends = month_ends
        self.durations = Durations(_DURATIONS)

    def of_request(self, now: int, asked: Sequence[Asked], tokens: int) -> hits.LimitHit:
        """Why a request is not let in: of the limits that it does not fit the one with the longest
        wait. Each of them counts on it to come back.
        """
        return _never(asked, tokens) or _longest(
            hit for one in asked for hit in self._hits(now, one, tokens)
        )

    def of_more(self, now: int, asked: Sequence[Asked], tokens: int, more: int) -> hits.LimitHit:
        """Why one under way cannot have so many more, which would make it so many in the whole.

        It is counted on to be given up, and to come back whole.
        """
        return _never(asked, tokens) or _longest(
            hit for one in asked for hit in self._token_hits(now, one, tokens, more)
        )

    def _hits(self, now: int, one: Asked, tokens: int) -> Iterator[hits.LimitHit]:
        state = one[0]
        limits = state.subject.limits
        running = len(state.running)
        if limits.concurrent is not None and running >= limits.concurrent:
            wait = self._until_one_ends(now, state, running + 1 - limits.concurrent)
            yield hits.too_many_at_once(state.subject, running, wait)
        if limits.requests_per_minute is not None:
            sent = state.minute(now).requests
            if sent >= limits.requests_per_minute:
                wait = _until_requests_leave(now, state, sent + 1 - limits.requests_per_minute)
                yield hits.too_many_requests(state.subject, sent, wait)
        yield from self._token_hits(now, one, tokens, tokens)

    def _token_hits(self, now: int, one: Asked, tokens: int, more: int) -> Iterator[hits.LimitHit]:
        state, use = one
        limits = state.subject.limits
        if limits.tokens_per_minute is not None:
            window = state.minute(now)
            if (lacking := window.tokens + more - limits.tokens_per_minute) > 0:
                wait = self._until_tokens_leave(now, state, lacking, tokens)
                used = window.tokens - window.held
                yield hits.too_many_tokens(state.subject, used, window.held, tokens, wait)
        month = limits.tokens_per_month
        if month is not None and use.used + use.held + more > month:
            wait = min(max(math.ceil(self._month_ends()), 1.0), _LONGEST_MONTH)
            yield hits.month_is_used(state.subject, use.used, use.held, tokens, wait)

    def _until_one_ends(self, now: int, state: State, lacking: int) -> float:
        own = state.times()
        durations = own if own.says_something else self.durations
        usual = durations.still_takes(0)
        leaving = ((_ends(now, began, usual, durations), 1) for began in state.running.values())
        promises = state.waiting("concurrent")
        at = promises.free_at(lacking, len(state.running), leaving, now + usual, usual)
        return _told(now, at, promises, 1)

    def _until_tokens_leave(self, now: int, state: State, lacking: int, tokens: int) -> float:
        """What requests under way will not use is given back before it leaves, and others take it:
        it is not counted on. Nor is that of those who will come, until others have had it as well.
        """
        window = state.minute(now)
        unused = 1 - state.used_share
        taken = window.tokens - window.held * unused
        stay = SPAN + 1 + int(_TURNS * unused * self.durations.still_takes(0))
        promises = state.waiting("tokens_per_minute")
        leaving = window.tokens_leaving(unused)
        at = promises.free_at(lacking, taken, leaving, window.tokens_free_at, stay)
        return _told(now, at, promises, tokens)


def _until_requests_leave(now: int, state: State, lacking: int) -> float:
    window = state.minute(now)
    promises = state.waiting("requests_per_minute")
    leaving, last = window.requests_leaving(), window.requests_free_at
    at = promises.free_at(lacking, window.requests, leaving, last, SPAN + 1)
    return _told(now, at, promises, 1)


def _ends(now: int, began: int, usual: int, durations: Durations) -> int:
    """When one that began then ends, as far as one can guess: in a second at the soonest."""
    if began + usual >= now + 1000:
        return began + usual
    return now + durations.still_takes(now - began)


def _told(now: int, at: int, promises: Promises, amount: int) -> float:
    """Promise it, in whole seconds: the HTTP door can say no others."""
    wait = min(max(math.ceil((at - now) / 1000), 1), LONGEST_WAIT // 1000)
    promises.promise(now + 1000 * wait, amount)
    return float(wait)


def _never(asked: Sequence[Asked], tokens: int) -> hits.LimitHit | None:
    """The first limit that the request alone is more than."""
    for state, _ in asked:
        subject = state.subject
        month, minute = subject.limits.tokens_per_month, subject.limits.tokens_per_minute
        if month is not None and tokens > month:
            return hits.never_fits(subject, "tokens_per_month", month, tokens)
        if minute is not None and tokens > minute:
            return hits.never_fits(subject, "tokens_per_minute", minute, tokens)
    return None


def _longest(found: Iterable[hits.LimitHit]) -> hits.LimitHit:
    return max(found, key=lambda hit: hit.retry_after or 0.0)
