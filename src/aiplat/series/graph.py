"""Rows of figures as the points of graphs. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, cast

from aiplat.control.series import MachineRow, SeriesRow, ShareSum, Spread
from aiplat.series.book import Page
from aiplat.series.buckets import COUNT, largest, quantiles
from aiplat.series.figures import (
    FIRST,
    MACHINE_FIELDS,
    OTHER,
    TOTAL,
    Figures,
    MachineKey,
    add,
    add_machine,
    nothing,
)
from aiplat.series.wanted import Wanted, point

MAX_NAMES = 12
"""Rows of one point, those with the most requests; the others are one, ``other``."""
_COLUMNS = ("role", "model", "key", "peer")

Points = dict[tuple[int, str], Figures]
MachinePoints = dict[tuple[int, MachineKey], Figures]


def points_of(pages: Iterable[Page], what: Wanted) -> list[tuple[int, str, Figures]]:
    """Pick from minutes in memory what `select` picks from the file."""
    place = _COLUMNS.index(what.by) if what.by else None
    return [
        (point(page.at, what), "" if place is None else key[place], figures)
        for page in pages if what.minutes_since <= page.at < what.until
        for key, figures in page.rows.items()
        if (not what.role or key[0] == what.role) and key[3] not in what.without
    ]  # fmt: skip


def looks_of(pages: Iterable[Page], what: Wanted) -> list[tuple[int, MachineKey, Figures]]:
    """Pick from minutes in memory what `select_machine` picks from the file."""
    return [
        (point(page.at, what), key, figures)
        for page in pages if what.minutes_since <= page.at < what.until
        for key, figures in page.machine.items()
    ]  # fmt: skip


def series_rows(found: Iterable[tuple[int, str, Figures]]) -> tuple[SeriesRow, ...]:
    """Join what belongs together, with few names: the newest point last, the largest name first."""
    points: Points = {}
    for at, name, figures in found:
        add(points.setdefault((at, name), nothing()), figures)
    requests: dict[str, float] = {}
    for (_, name), figures in points.items():
        requests[name] = requests.get(name, 0) + figures[0]
    ranked = sorted(requests, key=lambda name: (-requests[name], name))
    kept = set(ranked[:MAX_NAMES]) if len(ranked) > MAX_NAMES + 1 else set(ranked)
    few: Points = {}
    for (at, name), figures in points.items():
        add(few.setdefault((at, name if name in kept else OTHER), nothing()), figures)
    order = {name: place for place, name in enumerate(ranked)}
    keys = sorted(few, key=lambda key: (key[0], order.get(key[1], len(order))))
    return tuple(series_row(at, name, few[at, name]) for at, name in keys)


def total_of(found: Iterable[tuple[int, str, Figures]], since: int) -> SeriesRow:
    """All of it in one."""
    total = nothing()
    for _, _, figures in found:
        add(total, figures)
    return series_row(since, "", total)


def series_row(at: int, name: str, figures: Figures) -> SeriesRow:
    """One point."""
    requests, errors, prompt, cached, completion = (int(value) for value in figures[:5])
    return SeriesRow(
        at=at, name=name, requests=requests, errors=errors, prompt_tokens=prompt,
        cached_tokens=cached, completion_tokens=completion,
        first=spread(figures[5], figures[FIRST : FIRST + COUNT]),
        total=spread(figures[6], figures[TOTAL : TOTAL + COUNT]),
    )  # fmt: skip


def spread(seconds: float, counts: Figures) -> Spread | None:
    """How times lie that sum up to `seconds`; None of nobody."""
    number = sum(counts)
    if not number:
        return None
    most = largest(seconds, counts)
    p50, p95, p99 = (round(min(value, most), 4) for value in quantiles(counts, (0.5, 0.95, 0.99)))
    return Spread(mean=round(seconds / number, 4), p50=p50, p95=p95, p99=p99)


def machine_rows(found: Iterable[tuple[int, MachineKey, Figures]]) -> tuple[MachineRow, ...]:
    """Join what belongs together, the newest last."""
    points: MachinePoints = {}
    for at, key, figures in found:
        add_machine(points.setdefault((at, key), [0] * len(MACHINE_FIELDS)), figures)
    return tuple(_machine_row(at, key, points[at, key]) for at, key in sorted(points))


def _machine_row(at: int, key: MachineKey, figures: Figures) -> MachineRow:
    busy_looks, busy, looks, memory, busy_most, memory_most, memory_total = figures
    return MachineRow(
        at=at, part=cast(Literal["engine", "gpu"], key[0]), name=key[1],
        busy=round(busy / busy_looks, 4) if busy_looks else None,
        busy_most=round(busy_most, 4) if busy_looks else None,
        memory_bytes=int(memory / looks), memory_most=int(memory_most),
        memory_total=int(memory_total),
    )  # fmt: skip


def answered(found: Iterable[tuple[int, str, Figures]]) -> ShareSum:
    """Sum what went well."""
    total = total_of(found, 0)
    return ShareSum(
        requests=total.requests - total.errors, prompt_tokens=total.prompt_tokens,
        completion_tokens=total.completion_tokens,
    )  # fmt: skip
