"""Usage in bars of plain blocks, a row each; days without use have an empty one."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from aiplat.cli.amounts import about
from aiplat.domain.errors import clip

if TYPE_CHECKING:
    from aiplat.control.accounts import UsageReply

PIPED = 80
"""Columns where there is no terminal that says its own."""
MOST_BARS = 20
MOST_DAYS = 62
"""More days than this are drawn as weeks."""
_MOST_IN_ALL = 400
_SHORTEST_BAR = 5
_EIGHTHS = " ▏▎▍▌▋▊▉"
_LONGEST_LABEL = 40


class Bar(NamedTuple):
    """A row: its label, and tokens."""

    label: str
    tokens: int


def chart(found: UsageReply, room: int) -> list[str]:
    """Draw it for a terminal of `room` columns; 0 for none. Nothing where nothing was used.

    Arguments:
        found: what a gateway said; it may say anything.
        room: columns.
    """
    bars, unit = _bars(found)
    longest = max((bar.tokens for bar in bars), default=0)
    if longest <= 0:
        return []
    more = len(bars) - MOST_BARS if found.by != "day" else 0
    shown = bars[:MOST_BARS] if more > 0 else bars
    lines = draw(shown, longest, room or PIPED)
    rest = [f"… and {more} more"] if more > 0 else []
    return [f"tokens {unit}, the longest bar is {about(longest)}", *lines, *rest]


def draw(bars: Sequence[Bar], longest: int, room: int) -> list[str]:
    """Draw bars side by side, as wide as there is room.

    Arguments:
        bars: at least one.
        longest: tokens of a bar of full length; more than 0.
        room: columns of all.
    """
    from rich.cells import cell_len, set_cell_size

    names = [clip(bar.label, _LONGEST_LABEL) for bar in bars]
    values = [about(bar.tokens) for bar in bars]
    beside = max(map(len, values))
    name_room = min(max(map(cell_len, names)), max(1, room // 3))
    length = max(_SHORTEST_BAR, room - name_room - beside - 4)
    return [
        f"{set_cell_size(name, name_room)}  "
        f"{_blocks(bar.tokens, longest, length):<{length}}  {value:>{beside}}"
        for name, bar, value in zip(names, bars, values, strict=True)
    ]


def _blocks(tokens: int, longest: int, length: int) -> str:
    """A bar to an eighth of a block; what is more than nothing is seen."""
    if tokens <= 0:
        return ""
    eighths = max(1, min(tokens, longest) * length * 8 // longest)
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()


def _bars(found: UsageReply) -> tuple[list[Bar], str]:
    rows = [Bar(row.name, row.total_tokens) for row in found.rows]
    if found.by != "day":
        return rows, f"by {found.by}"
    days = _days(found)
    if days is None:
        return rows[-_MOST_IN_ALL:], "a day"
    used = {bar.label: bar.tokens for bar in rows}
    every = [Bar(day.isoformat(), used.get(day.isoformat(), 0)) for day in days]
    if len(every) <= MOST_DAYS:
        return every, "a day"
    weeks = [every[start : start + 7] for start in range(0, len(every), 7)]
    return [Bar(week[0].label, sum(bar.tokens for bar in week)) for week in weeks], "in seven days"


def _days(found: UsageReply) -> list[datetime.date] | None:
    """Every day (UTC) of a reply; None when it tells of no such days."""
    try:
        first, last = (
            datetime.datetime.fromtimestamp(seconds, datetime.UTC).date()
            for seconds in (found.since, found.until)
        )
        named = {datetime.date.fromisoformat(row.name) for row in found.rows}
    except (ValueError, OverflowError, OSError):
        return None
    count = (last - first).days + 1
    if not 0 < count <= _MOST_IN_ALL or any(not first <= day <= last for day in named):
        return None
    return [first + datetime.timedelta(n) for n in range(count)]
