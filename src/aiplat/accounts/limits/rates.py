"""How far limits of a minute are used, as the rate-limit headers say it. Changes nothing."""

from __future__ import annotations

from collections.abc import Iterable

from aiplat.accounts.limits.state import State
from aiplat.accounts.limits.subject import Subject
from aiplat.domain.accounts import RateState

_Figures = tuple[int | None, int | None, float]
"""Limit, what remains of it, and seconds until it is all free."""


def rate_state(now: int, known: Iterable[tuple[Subject, State | None]]) -> RateState:
    """Of each kind of limit the figures of whose leaves least.

    Arguments:
        now: in milliseconds.
        known: subjects, and what is known of them; None is nothing, and so nothing is used.
    """
    requests: _Figures = (None, None, 0.0)
    tokens: _Figures = (None, None, 0.0)
    for subject, state in known:
        window = None if state is None else state.window
        used = taken = requests_free = tokens_free = 0
        if window is not None:
            window.move(now)
            used, taken = window.requests, window.tokens
            requests_free, tokens_free = window.requests_free_at, window.tokens_free_at
        limits = subject.limits
        requests = _less(requests, limits.requests_per_minute, used, requests_free - now)
        tokens = _less(tokens, limits.tokens_per_minute, taken, tokens_free - now)
    return RateState(
        requests_limit=requests[0], requests_remaining=requests[1], requests_reset=requests[2],
        tokens_limit=tokens[0], tokens_remaining=tokens[1], tokens_reset=tokens[2],
    )  # fmt: skip


def _less(so_far: _Figures, limit: int | None, used: int, free_in: int) -> _Figures:
    if limit is None:
        return so_far
    remaining = max(limit - used, 0)
    if so_far[1] is not None and so_far[1] <= remaining:
        return so_far
    return limit, remaining, free_in / 1000 if used else 0.0
