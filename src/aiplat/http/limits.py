"""The rate-limit headers, as OpenAI writes them: on every answer to a key that has limits."""

from __future__ import annotations

import math
from collections.abc import Callable

from aiplat.domain.accounts import RateState
from aiplat.http.asgi import Headers, Request


class LimitHeaders:
    """Puts them on answers.

    Arguments:
        rate: how far a key's limits are used; of the empty key, the owner's.
    """

    def __init__(self, rate: Callable[[str], RateState | None]) -> None:
        self._rate = rate

    def promise(self, request: Request) -> None:
        """Have them told at the moment that the answer begins, whatever it will be."""
        request.more_headers = self._of

    def _of(self, request: Request) -> Headers:
        state = self._rate(request.credential) if request.is_known else None
        return () if state is None else headers_of(state)


def headers_of(state: RateState) -> Headers:
    """``x-ratelimit-{limit,remaining,reset}-{requests,tokens}``, of the limits that there are."""
    made: list[tuple[bytes, bytes]] = []
    for kind, limit, remaining, reset in (
        (b"requests", state.requests_limit, state.requests_remaining, state.requests_reset),
        (b"tokens", state.tokens_limit, state.tokens_remaining, state.tokens_reset),
    ):
        if limit is not None and remaining is not None:
            made += [
                (b"x-ratelimit-limit-" + kind, b"%d" % limit),
                (b"x-ratelimit-remaining-" + kind, b"%d" % max(0, remaining)),
                (b"x-ratelimit-reset-" + kind, duration(reset).encode()),
            ]
    return tuple(made)


def duration(seconds: float) -> str:
    """A time as OpenAI writes one: ``250ms``, ``1s``, ``6m0s``, ``1h0m0s``; rounded up."""
    milliseconds = math.ceil(max(0.0, seconds) * 1000)
    if milliseconds < 1000:
        return f"{milliseconds}ms" if milliseconds else "0s"
    whole = math.ceil(seconds)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    if hours:
        return f"{hours}h{minutes}m{rest}s"
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
