"""Says which limit a request does not fit, and when it is worth while to come back."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from aiplat.accounts.limits import hits
from aiplat.accounts.limits.durations import Durations
from aiplat.accounts.limits.holds import Asked
from aiplat.accounts.limits.months import Use
from aiplat.accounts.limits.promises import LONGEST_WAIT
from aiplat.accounts.limits.state import State
from aiplat.accounts.limits.subject import Limit
from aiplat.accounts.limits.window import SPAN

_DURATIONS = 256
_LONGEST_MONTH = 31 * 86_400
_TURNS = 4
"""What a request gives back others take, who give back a part of it, and so on. It showed in
simulations that this is over so many durations later, times the share that is not used."""


class _Found(NamedTuple):
    """One limit of one subject, and what it says of a request."""

    refuses: bool
    wait: int  # in whole seconds, so that all who wait already fit as well
    limit: Limit
    state: State
    use: Use


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
        """Why a request is not let in."""
        never = _never(asked, tokens)
        if never is not None:
            return never
        found = [one for state, use in asked for one in self._all(now, state, use, tokens)]
        return _refusal(now, asked, tokens, found)

    def of_more(self, now: int, asked: Sequence[Asked], tokens: int, more: int) -> hits.LimitHit:
        """Why one under way cannot have so many more, which would make it so many in the whole.

        It is counted on to be given up, and to come back whole.
        """
        never = _never(asked, tokens)
        if never is not None:
            return never
        found = [one for state, use in asked for one in self._tokens(now, state, use, more)]
        return _refusal(now, asked, tokens, found, own=tokens - more)

    def _all(self, now: int, state: State, use: Use, tokens: int) -> Iterator[_Found]:
        limits = state.subject.limits
        if limits.concurrent is not None:
            lacking = len(state.running) + 1 - limits.concurrent
            at = self._one_ends(now, state, lacking)
            yield _Found(lacking > 0, _seconds(now, at), "concurrent", state, use)
        if limits.requests_per_minute is not None:
            lacking = state.minute(now).requests + 1 - limits.requests_per_minute
            at = _requests_leave(now, state, lacking)
            yield _Found(lacking > 0, _seconds(now, at), "requests_per_minute", state, use)
        yield from self._tokens(now, state, use, tokens)

    def _tokens(self, now: int, state: State, use: Use, more: int) -> Iterator[_Found]:
        limits = state.subject.limits
        if limits.tokens_per_minute is not None:
            lacking = state.minute(now).tokens + more - limits.tokens_per_minute
            at = self._tokens_leave(now, state, lacking)
            yield _Found(lacking > 0, _seconds(now, at), "tokens_per_minute", state, use)
        month = limits.tokens_per_month
        if month is not None and use.used + use.held + more > month:
            wait = min(max(math.ceil(self._month_ends()), 1), _LONGEST_MONTH)
            yield _Found(True, wait, "tokens_per_month", state, use)

    def _one_ends(self, now: int, state: State, lacking: int) -> int:
        own = state.times()
        durations = own if own.says_something else self.durations
        usual = durations.still_takes(0)
        leaving = ((_ends(now, began, usual, durations), 1) for began in state.running.values())
        promises = state.waiting("concurrent")
        return promises.free_at(lacking, len(state.running), leaving, now + usual, usual)

    def _tokens_leave(self, now: int, state: State, lacking: int) -> int:
        """What requests under way will not use is given back before it leaves, and others take it:
        it is not counted on. Nor is that of those who will come, until others have had it as well.
        """
        window = state.minute(now)
        unused = 1 - state.used_share
        taken = window.tokens - window.held * unused
        stay = SPAN + 1 + int(_TURNS * unused * self.durations.still_takes(0))
        leaving, last = window.tokens_leaving(unused), window.tokens_free_at
        return state.waiting("tokens_per_minute").free_at(lacking, taken, leaving, last, stay)


def _requests_leave(now: int, state: State, lacking: int) -> int:
    window = state.minute(now)
    leaving, last = window.requests_leaving(), window.requests_free_at
    promises = state.waiting("requests_per_minute")
    return promises.free_at(lacking, window.requests, leaving, last, SPAN + 1)


def _ends(now: int, began: int, usual: int, durations: Durations) -> int:
    """When one that began then ends, as far as one can guess: in a second at the soonest."""
    if began + usual >= now + 1000:
        return began + usual
    return now + durations.still_takes(now - began)


def _seconds(now: int, at: int) -> int:
    """How long to wait, in whole seconds: the HTTP door can say no others."""
    return min(max(math.ceil((at - now) / 1000), 1), LONGEST_WAIT // 1000)


def _refusal(
    now: int, asked: Sequence[Asked], tokens: int, found: Sequence[_Found], own: int = 0
) -> hits.LimitHit:
    """Of the limits that refuse it, tell the one with the longest wait.

    When it comes it has to fit the others, too, and takes its part of all of them. `own` are the
    tokens that it has reserved itself.
    """
    _, _, limit, state, use = max((one for one in found if one.refuses), key=lambda one: one.wait)
    wait = max(one.wait for one in found)
    if limit != "tokens_per_month":
        for other, _ in asked:
            _promise(now + 1000 * wait, other, tokens)
    subject = state.subject
    if limit == "concurrent":
        return hits.too_many_at_once(subject, len(state.running), wait)
    if limit == "tokens_per_month":
        return hits.month_is_used(subject, use.used, use.held - own, tokens, wait)
    window = state.minute(now)
    if limit == "requests_per_minute":
        return hits.too_many_requests(subject, window.requests, wait)
    used, held = window.tokens - window.held, max(window.held - own, 0)
    return hits.too_many_tokens(subject, used, held, tokens, wait)


def _promise(when: int, state: State, tokens: int) -> None:
    """It will take its part of all limits then, also of those that it would have fitted now."""
    limits = state.subject.limits
    if limits.concurrent is not None:
        state.waiting("concurrent").promise(when, 1)
    if limits.requests_per_minute is not None:
        state.waiting("requests_per_minute").promise(when, 1)
    if limits.tokens_per_minute is not None:
        state.waiting("tokens_per_minute").promise(when, tokens)


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
