"""The hours in which a machine is shared: read from words, looked up by the clock on the wall.

Pure: knows no clock and no zone. Where the clocks change, what it shows is what counts: an hour
that is skipped is nobody's, and one that comes twice is shared twice.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from aiplat.domain.errors import InvalidRequest, clip

ALWAYS = "always"
MAX_SPANS = 32

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY = 24 * 60
_WEEK = tuple(range(7))
_LONGEST = 8 * _DAY
_SPAN = re.compile(
    r"(?:(?P<first>[a-z]{3})(?:-(?P<last>[a-z]{3}))? +)?"
    r"(?P<from>\d{1,2}(?::\d{2})?) *- *(?P<to>\d{1,2}(?::\d{2})?)",
    re.ASCII,
)
_FORM = (
    "Write spans such as 22-08 or 12:30-14, several with commas between, each for some days if you "
    f"like: 'mon-fri 22-08, sat-sun 00-24'; or {ALWAYS}."
)


@dataclass(frozen=True)
class Span:
    """From one time of day to another, in minutes; past midnight when `end` is before `start`.

    `days` are those that it begins on, 0 is Monday.
    """

    start: int
    end: int
    days: tuple[int, ...] = _WEEK

    def holds(self, day: int, minute: int) -> bool:
        """Whether a minute of a weekday is in it."""
        if self.start < self.end:
            return day in self.days and self.start <= minute < self.end
        yesterday = (day - 1) % 7
        return (day in self.days and minute >= self.start) or (
            yesterday in self.days and minute < self.end
        )

    def __str__(self) -> str:
        span = f"{_time(self.start)}-{_time(self.end)}"
        if self.days == _WEEK:
            return span
        first, last = _DAYS[self.days[0]], _DAYS[self.days[-1]]
        return f"{first} {span}" if first == last else f"{first}-{last} {span}"


@dataclass(frozen=True)
class Hours:
    """Spans of which one has to hold; without any it is always."""

    spans: tuple[Span, ...] = ()

    def hold(self, wall: datetime) -> bool:
        """Whether they hold at what the clock on the wall shows."""
        if not self.spans:
            return True
        minute = 60 * wall.hour + wall.minute
        return any(span.holds(wall.weekday(), minute) for span in self.spans)

    def changes(self, now: float, wall: Callable[[float], datetime]) -> float | None:
        """When they next begin or end to hold; None when they never do.

        Looks at each minute to come, so that it is right whatever the clocks do meanwhile.

        Arguments:
            now: seconds since 1970.
            wall: what the clock on the wall shows at such a time.
        """
        if not self.spans:
            return None
        held, minute = self.hold(wall(now)), now - now % 60
        for n in range(1, _LONGEST + 1):
            if self.hold(wall(minute + 60 * n)) != held:
                return minute + 60 * n
        return None

    def __str__(self) -> str:
        return ", ".join(map(str, self.spans)) or ALWAYS


def read_hours(text: str) -> Hours:
    """Read what a person wrote.

    Raises:
        InvalidRequest: names the part that is wrong.
    """
    plain = " ".join(text.lower().split())
    if plain == ALWAYS:
        return Hours()
    parts = [part.strip() for part in plain.split(",")]
    if len(parts) > MAX_SPANS:
        raise _wrong(text, f"has {len(parts)} spans; {MAX_SPANS} are allowed")
    return Hours(tuple(_span(part) for part in parts))


def _span(part: str) -> Span:
    found = _SPAN.fullmatch(part)
    if found is None:
        raise _wrong(part, "is no span of hours")
    start, end = _minutes(part, found["from"]), _minutes(part, found["to"])
    if start in (end, _DAY):
        raise _wrong(part, "holds no time: a whole day is 00-24")
    return Span(start, end or _DAY, _days(part, found["first"], found["last"]))


def _minutes(part: str, text: str) -> int:
    hours, _, minutes = text.partition(":")
    found = 60 * int(hours) + int(minutes or 0)
    if int(minutes or 0) > 59 or found > _DAY:
        raise _wrong(part, f"has the time {text}, and a day goes from 00:00 to 24:00")
    return found


def _days(part: str, first: str | None, last: str | None) -> tuple[int, ...]:
    if first is None:
        return _WEEK
    for name in (first, last or first):
        if name not in _DAYS:
            raise _wrong(part, f"names the day {name!r}; days are {', '.join(_DAYS)}")
    begin, end = _DAYS.index(first), _DAYS.index(last or first)
    count = (end - begin) % 7 + 1
    return tuple((begin + n) % 7 for n in range(count)) if count < 7 else _WEEK


def _wrong(what: str, why: str) -> InvalidRequest:
    return InvalidRequest(f"The hours {clip(what)!r}: that {why}. {_FORM}", param="hours")


def _time(minutes: int) -> str:
    hours, rest = divmod(minutes, 60)
    return f"{hours:02}:{rest:02}" if rest else f"{hours:02}"


def at(when: float, now: float, wall: Callable[[float], datetime]) -> str:
    """Say a time to come as a person would: with its day, unless it is today's or tomorrow's."""
    then, today = wall(when), wall(now).date()
    clock = f"{then:%H:%M}"
    if then.date() == today:
        return clock
    if then.date() == today + timedelta(days=1):
        return f"{clock} tomorrow"
    return f"{clock} on {then:%A}"
