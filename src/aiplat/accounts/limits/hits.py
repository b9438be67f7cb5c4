"""The errors that tell which limit was hit, and their words. Knows no clock and no counter."""

from __future__ import annotations

import math

from aiplat.accounts.limits.subject import Limit, Subject
from aiplat.domain.errors import AiplatError, QuotaExceeded, RateLimited

NEVER = 86_400.0
"""What `retry_after` says, in seconds, where no waiting helps: longer than any client waits by
itself. (At none the HTTP door would say one second, and clients would come back for nothing.)"""


class LimitHit(AiplatError):
    """What both leaves have besides; on the wire and in HTTP the leaf alone is seen.

    Attributes:
        limit: which limit it was, for a metric's label.
        subject: the id of whose it was.
    """

    def __init__(
        self,
        message: str,
        *,
        limit: Limit,
        subject: str,
        retry_after: float,
        param: str | None = None,
    ) -> None:
        super().__init__(message, param=param, retry_after=retry_after)
        self.limit: Limit = limit
        self.subject = subject


class RateLimitHit(LimitHit, RateLimited):
    """A limit of a minute, or of requests at once."""


class QuotaHit(LimitHit, QuotaExceeded):
    """The limit of a month."""


def too_many_requests(subject: Subject, sent: int, wait: int) -> RateLimitHit:
    """So many were let in within the last minute."""
    bound = subject.limits.requests_per_minute
    return RateLimitHit(
        f"{_begin(subject)} may send {bound} requests a minute, and {sent} were let in within the "
        f"last 60 seconds. Come back in {_span(wait)}{_queue(wait)}.",
        limit="requests_per_minute", subject=subject.id, retry_after=float(wait),
    )  # fmt: skip


def too_many_tokens(subject: Subject, used: int, held: int, asked: int, wait: int) -> RateLimitHit:
    """So many were taken within the last minute."""
    bound = subject.limits.tokens_per_minute
    return RateLimitHit(
        f"{_begin(subject)} may take {bound} tokens a minute: {used} are used, {held} reserved by "
        f"requests under way, and this request may come to {asked}. Come back in {_span(wait)}"
        f"{_queue(wait)}, or ask for fewer (max_tokens).",
        limit="tokens_per_minute", subject=subject.id, retry_after=float(wait),
    )  # fmt: skip


def too_many_at_once(subject: Subject, running: int, wait: int) -> RateLimitHit:
    """So many are under way."""
    bound = subject.limits.concurrent
    return RateLimitHit(
        f"{_begin(subject)} may have {bound} requests under way at once, and has {running}. Come "
        f"back in {_span(wait)}{_queue(wait)}.",
        limit="concurrent", subject=subject.id, retry_after=float(wait),
    )  # fmt: skip


def month_is_used(subject: Subject, used: int, held: int, asked: int, wait: int) -> QuotaHit:
    """So many were taken within the month."""
    bound = subject.limits.tokens_per_month
    return QuotaHit(
        f"{_begin(subject)} may take {bound} tokens a month: {used} are used, {held} reserved by "
        f"requests under way, and this request may come to {asked}. The next month (UTC) begins in "
        f"{_span(wait)}.",
        limit="tokens_per_month", subject=subject.id, retry_after=float(wait),
    )  # fmt: skip


def never_fits(subject: Subject, limit: Limit, bound: int, asked: int) -> LimitHit:
    """The request alone is more than the limit."""
    kind = QuotaHit if limit == "tokens_per_month" else RateLimitHit
    span = "month" if limit == "tokens_per_month" else "minute"
    return kind(
        f"{_begin(subject)} may take {bound} tokens a {span}, and this request alone may come to "
        f"{asked}: no waiting helps. Send a shorter prompt, or a smaller max_tokens.",
        limit=limit, subject=subject.id, retry_after=NEVER, param="max_tokens",
    )  # fmt: skip


def _queue(wait: int) -> str:
    """Why it is longer than the limit itself would take: whoever asks on and on sees it grow."""
    return "" if wait <= 61 else " (those that were refused before it are expected back first)"


def _begin(subject: Subject) -> str:
    return subject.what[:1].upper() + subject.what[1:]


def _span(seconds: int) -> str:
    for unit, name in ((86_400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds > 2 * unit:
            return f"{math.ceil(seconds / unit)} {name}"
    return f"{seconds} second{'s' * (seconds != 1)}"
