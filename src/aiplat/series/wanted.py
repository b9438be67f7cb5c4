"""Which rows a graph needs, and how they are summed. Pure."""

from __future__ import annotations

import msgspec

from aiplat.control.series import SeriesAsk
from aiplat.domain.errors import InvalidRequest

MINUTE = 60
HOUR = 3600
DAY = 24 * HOUR

MAX_POINTS = 1500
"""More than a day by minute has, and than any screen has columns."""
LATEST = 2**40
"""The last moment that a face may name."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which rows, and how they are summed.

    Arguments:
        since, until: in seconds since 1970; a row counts by its beginning.
        step: seconds that become one point.
        by: the column whose values stay apart; "" for none.
        role: rows of one role alone; "" for all.
    """

    since: int
    until: int
    step: int
    by: str = ""
    role: str = ""


def wanted(ask: SeriesAsk, now: float, hours_before: int) -> Wanted:
    """Make of a face's wish what can be looked up.

    Arguments:
        now: seconds since 1970.
        hours_before: where hours begin: what is older comes by the hour.

    Raises:
        InvalidRequest: it asks for no time at all.
    """
    until = ask.until or int(now) + 1
    since = ask.since // MINUTE * MINUTE
    if not 0 <= since < until <= LATEST:
        raise InvalidRequest(
            f"since must be before until, and both from 0 to {LATEST} (seconds since 1970), but "
            f"they are {ask.since} and {until}.",
            param="since",
        )
    if ask.step < 0:
        raise InvalidRequest(f"step must be at least 0, but is {ask.step}.", param="step")
    least = max(MINUTE, ask.step, -(-(until - since) // MAX_POINTS))
    if since < hours_before:
        least = max(HOUR, least)
    unit = HOUR if least >= HOUR else MINUTE
    step = -(-least // unit) * unit if ask.step else until
    return Wanted(since=since, until=until, step=step, by=ask.by, role=ask.role)
