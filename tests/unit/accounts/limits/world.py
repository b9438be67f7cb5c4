"""A limiter with clocks that stand still until they are moved."""

from __future__ import annotations

from aiplat.accounts.limits.limiter import Limiter, LimitHit, Reservation, Subject
from aiplat.domain.accounts import Limits


def key(
    name: str = "k",
    *,
    rpm: int | None = None,
    tpm: int | None = None,
    at_once: int | None = None,
    month: int | None = None,
) -> Subject:
    """A key with limits."""
    limits = Limits(
        requests_per_minute=rpm, tokens_per_minute=tpm, concurrent=at_once, tokens_per_month=month
    )
    return Subject(f"key:{name}", f"the key {name!r}", limits)


class World:
    """Attributes: `ms` of the monotonic clock; which `month` it is; seconds until it `ends`."""

    def __init__(self) -> None:
        self.ms = 5_000_000
        self.month = 24_000
        self.ends = 1e6
        # Half a millisecond more, so that no float is rounded to the one before.
        self.limiter = Limiter(
            lambda: (self.ms + 0.5) / 1000, lambda: self.month, lambda: self.ends
        )

    def admit(self, *subjects: Subject, tokens: int = 0) -> Reservation:
        """Let one in."""
        return self.limiter.admit(subjects, tokens)

    def hit(self, *subjects: Subject, tokens: int = 0) -> LimitHit:
        """The refusal of one that must not be let in."""
        try:
            self.limiter.admit(subjects, tokens)
        except LimitHit as hit:
            return hit
        raise AssertionError("it was let in")

    def lets_in(self, *subjects: Subject, tokens: int = 0) -> bool:
        """Whether one is let in."""
        try:
            self.limiter.admit(subjects, tokens)
        except LimitHit:
            return False
        return True

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.ms += round(seconds * 1000)
