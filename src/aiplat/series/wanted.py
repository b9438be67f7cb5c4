"""Which rows a graph needs, and how they are summed. Pure."""

from __future__ import annotations

import msgspec

from aiplat.control.series import SeriesAsk
from aiplat.domain.errors import InvalidRequest

MINUTE = 60
FEW_MINUTES = 5 * MINUTE
HOUR = 3600
DAY = 24 * HOUR
SPANS = (MINUTE, FEW_MINUTES, HOUR)
"""Seconds that a row is of. Each has the same sums: a graph is made of the longest that fit it."""

MAX_POINTS = 360
"""Six hours by the minute, fifteen days by the hour; few screens have so many columns."""
SECONDS_KEPT = 120
"""How long what happened is known by the second, in memory."""
LATEST = 2**40
"""The last moment that a face may name."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which rows, and how they are summed. Times are in seconds since 1970.

    Arguments:
        span: of the rows; one counts by its beginning.
        since, until: the time of them.
        minutes_since: rows of minutes from then to `since` are taken too: a part of a span.
        step: seconds that become one point.
        origin: where a point begins.
        by: the column whose values stay apart; "" for none.
        role: rows of one role alone; "" for all.
        without: peers whose rows are left out.
    """

    span: int
    minutes_since: int
    since: int
    until: int
    step: int
    origin: int = 0
    by: str = ""
    role: str = ""
    without: tuple[str, ...] = ()


def wanted(ask: SeriesAsk, now: float, kept_since: int, without: tuple[str, ...] = ()) -> Wanted:
    """Make of a face's wish what can be looked up.

    Arguments:
        now: seconds since 1970.
        kept_since: an hour, since which there are rows of less than hours.
        without: peers whose rows are left out.

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
    step = _up(max(1, ask.step, -(-(until - since) // MAX_POINTS)), MINUTE)
    if since < kept_since:
        since, step = since // HOUR * HOUR, max(HOUR, step)
    if not ask.step:
        step = max(HOUR, step)
    span = max(span for span in SPANS if span <= step)
    until, step, origin = _up(until, span), _up(step, span), 0
    if not ask.step:
        step, origin = until - since, since
    return Wanted(
        span=span, minutes_since=since, since=_up(since, span), until=until, step=step,
        origin=origin, by=ask.by, role=ask.role, without=without,
    )  # fmt: skip


def by_seconds(ask: SeriesAsk, now: float) -> Wanted | None:
    """Make of a face's wish what the seconds in memory can tell; None where it needs minutes.

    Arguments:
        now: seconds since 1970.
    """
    until = ask.until or int(now) + 1
    if not 0 < ask.step < MINUTE or not int(now) - SECONDS_KEPT < ask.since < until <= LATEST:
        return None
    return Wanted(
        span=1, minutes_since=ask.since, since=ask.since, until=until, step=ask.step, by=ask.by,
        role=ask.role,
    )  # fmt: skip


def point(at: int, what: Wanted) -> int:
    """Tell where the point begins that a row belongs to."""
    return at - (at - what.origin) % what.step


def _up(seconds: int, unit: int) -> int:
    """Round up to whole units."""
    return -(-seconds // unit) * unit
