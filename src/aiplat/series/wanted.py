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
    """Which rows, and how they are summed. Times are in seconds since 1970.

    Rows of minutes are taken from `since`, rows of hours from `hours_since` to `until`; a row
    counts by its beginning.

    Arguments:
        step: seconds that become one point.
        origin: where a point begins.
        by: the column whose values stay apart; "" for none.
        role: rows of one role alone; "" for all.
        without: peers whose rows are left out.
    """

    since: int
    hours_since: int
    until: int
    step: int
    origin: int = 0
    by: str = ""
    role: str = ""
    without: tuple[str, ...] = ()


def wanted(ask: SeriesAsk, now: float, minutes_since: int, without: tuple[str, ...] = ()) -> Wanted:
    """Make of a face's wish what can be looked up.

    Points of an hour and more are made of rows of hours, a sixtieth of the work; of the first
    hour, which may be a part, the minutes are taken.

    Arguments:
        now: seconds since 1970.
        minutes_since: an hour, since which minutes are kept.
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
    step = max(MINUTE, ask.step, _up(until - since, MAX_POINTS) // MAX_POINTS)
    hours_since = until
    if since < minutes_since or step >= HOUR or not ask.step:
        step, until = _up(step, HOUR), _up(until, HOUR)
        since = since if since >= minutes_since else since // HOUR * HOUR
        hours_since = _up(since, HOUR)
    step, origin = (_up(step, MINUTE), 0) if ask.step else (until - since, since)
    return Wanted(
        since=since, hours_since=hours_since, until=until, step=step, origin=origin, by=ask.by,
        role=ask.role, without=without,
    )  # fmt: skip


def point(at: int, what: Wanted) -> int:
    """Tell where the point begins that a row belongs to."""
    return at - (at - what.origin) % what.step


def _up(seconds: int, unit: int) -> int:
    """Round up to whole units."""
    return -(-seconds // unit) * unit
