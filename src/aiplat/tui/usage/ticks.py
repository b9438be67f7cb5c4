"""Where the marks of an axis stand: round numbers, and round times of the wall's clock. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import datetime

MINUTE = 60
HOUR = 3600
DAY = 24 * HOUR
CLOCK_STEPS: tuple[int, ...] = (
    1, 2, 5, 10, 15, 30, MINUTE, 2 * MINUTE, 5 * MINUTE, 10 * MINUTE, 15 * MINUTE, 30 * MINUTE,
    HOUR, 2 * HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR,
    DAY, 2 * DAY, 5 * DAY, 7 * DAY, 10 * DAY, 14 * DAY, 30 * DAY,
)  # fmt: skip
"""Seconds between two marks of a clock axis."""
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
"""Ours, whatever language the machine speaks."""

Wall = Callable[[float], datetime]
"""Gives the time on the wall of seconds since 1970."""


def nice_ticks(
    most: float, intervals: int, *, binary: bool = False, whole: bool = False
) -> list[float]:
    """Give round numbers from 0 on, of which the last is `most` at least.

    Arguments:
        most: the greatest value that is drawn.
        intervals: between the first and the last, at most; 1 at least.
        binary: powers of two, as bytes are counted, instead of 1, 2 and 5 times powers of ten.
        whole: whether there are no parts of one.
    """
    if not most > 0 or not math.isfinite(most):
        most = 1.0
    rough = most / max(1, intervals)
    step = _power_of_two(rough) if binary else _one_two_five(rough)
    if whole:
        step = max(1.0, step)
    count = max(1, math.ceil(most / step - 1e-9))
    return [step * place for place in range(count + 1)]


def _one_two_five(rough: float) -> float:
    power = 10.0 ** math.floor(math.log10(rough))
    return next((power * few for few in (1, 2, 5) if power * few >= rough - 1e-12), power * 10)


def _power_of_two(rough: float) -> float:
    return 2.0 ** math.ceil(math.log2(rough) - 1e-9)


def clock_ticks(since: float, until: float, most: int, wall: Wall) -> tuple[int, list[float]]:
    """Give round times on the wall from `since` to `until`, at most so many, and their distance.

    Hours and days are those of the wall, so that a mark of days stands at midnight there, on the
    day that the clock is changed as on any other.
    """
    length = until - since
    step = next((s for s in CLOCK_STEPS if length / s <= max(1, most)), CLOCK_STEPS[-1])
    found: list[float] = []
    at = _round_up(since, step, wall)
    while at < until and len(found) <= most:
        found.append(at)
        at = _round_up(at + 1, step, wall)
    return step, found


def _round_up(at: float, step: int, wall: Wall) -> float:
    before = _ahead(at, wall)
    found = at + -(at + before) % step
    changed = before - _ahead(found, wall)  # the clock was changed in between
    return found + changed if changed and step >= HOUR and found + changed >= at else found


def _ahead(at: float, wall: Wall) -> float:
    """Seconds that the wall is ahead of UTC."""
    offset = wall(at).utcoffset()
    return 0.0 if offset is None else offset.total_seconds()


def clock_label(at: float, step: float, wall: Wall) -> str:
    """What stands at a mark: as much of the time as the distance of the marks asks for."""
    time = wall(at)
    if step >= DAY:
        return day_label(time)
    return f"{time:%H:%M}" if step >= MINUTE else f"{time:%H:%M:%S}"


def day_label(time: datetime) -> str:
    """A day: ``26 Nov``."""
    return f"{time.day} {MONTHS[time.month - 1]}"


def place_labels(labels: Sequence[tuple[int, str]], width: int) -> str:
    """Write labels into a line, each in the middle of its column; what has no room is left out."""
    line, free = "", 0
    for column, text in labels:
        begin = min(max(0, column - len(text) // 2), width - len(text))
        if begin < free or begin < 0:
            continue
        line += " " * (begin - len(line)) + text
        free = begin + len(text) + 2
    return line.ljust(width)
