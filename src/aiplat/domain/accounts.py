"""Who may ask and how much: names, scopes and limits, with the bounds of each. Pure data."""

from __future__ import annotations

from typing import Literal

import msgspec

from aiplat.domain.errors import InvalidRequest

Scope = Literal["inference", "usage", "admin"]
SCOPES: tuple[Scope, ...] = ("inference", "usage", "admin")
"""What a key may do: ask for answers; see its user's usage; what its user may, operators' things
too when that is one."""

UserRole = Literal["user", "operator"]

MAX_LIMIT = 10**12
"""More a minute, or a month, than any network answers; still an integer in SQLite and JSON."""


class Limits(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What a key or a user may take; None for no limit.

    Arguments:
        requests_per_minute: requests let in within any 60 seconds.
        tokens_per_minute: tokens of the requests let in within any 60 seconds, prompt and answer.
        concurrent: requests under way at once.
        tokens_per_month: tokens of the requests let in within a calendar month (UTC).
    """

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrent: int | None = None
    tokens_per_month: int | None = None


UNLIMITED = Limits()


def check_limits(limits: Limits) -> None:
    """Raise `InvalidRequest` for the first limit out of its bounds, with both."""
    for name in Limits.__struct_fields__:
        value = getattr(limits, name)
        if value is not None and not 1 <= value <= MAX_LIMIT:
            raise InvalidRequest(
                f"{name} must be from 1 to {MAX_LIMIT}, or none for no limit, but is {value}.",
                param=name,
            )


class RateState(msgspec.Struct, frozen=True, kw_only=True):
    """How far the limits of a minute are used, at one moment: what the rate-limit headers say.

    The figures are of whichever of a key's and its user's limits leaves less; None without one.
    `reset` is in seconds until all of that limit is free again.
    """

    requests_limit: int | None = None
    requests_remaining: int | None = None
    requests_reset: float = 0.0
    tokens_limit: int | None = None
    tokens_remaining: int | None = None
    tokens_reset: float = 0.0
