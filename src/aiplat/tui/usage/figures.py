"""What a node's series say, as the six graphs: which lines, in which unit. Pure.

Rates are by the time that a point really has: the present minute is not over, and would else look
like a fall.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from aiplat.control.series import Column, MachineRow, SeriesReply, SeriesRow
from aiplat.tui.text import amount, size, span

_Rows = dict[int, list[SeriesRow]]
Points = tuple[tuple[float, float | None], ...]
Name = Callable[[str], str]
"""Gives what a person calls a model, a key's id or a peer."""

MAX_LINES = 3
"""Lines of one graph that have a name; more cannot be told apart."""
MAX_POINTS = 1000
"""Points of one line, at most: more than a screen has columns, and no work for seconds."""
READING_SECONDS = 20
"""For so long a look at the machine counts where there is nothing newer: it is looked at each 15 s,
as long as `series.reading_seconds` is not set higher."""
ADVICE = "Ask something in Chat; or choose, in the line above, a longer time or whose requests."
_FEW = 4.0
SOONEST_SHARE = 0.25
"""A point that is under way is shown when so much of it is over."""


@dataclass(frozen=True)
class Line:
    """One line of a graph.

    Arguments:
        name: empty where it is the only one.
        beside: what is not drawn, and whose newest value is told beside the line's own.
    """

    name: str
    points: Points
    beside: Line | None = None

    @cached_property
    def last(self) -> float | None:
        """The newest value."""
        return next((value for _, value in reversed(self.points) if value is not None), None)

    @cached_property
    def most(self) -> float | None:
        """The greatest value."""
        return max((value for _, value in self.points if value is not None), default=None)


@dataclass(frozen=True)
class Figure:
    """A graph.

    Arguments:
        key: its name for the program.
        title: what it shows, with its unit.
        unit: writes a value.
        hold: seconds that a point stands for.
        since, until: the edges.
        empty: what is said where no line has a point.
        binary, whole: of its marks (`ticks.nice_ticks`).
        is_fault: whether what it shows is nothing good.
        least: how high it reaches at least: one of a thing is no wall.
        advice: what to do where no line has a point.
    """

    key: str
    title: str
    lines: tuple[Line, ...]
    unit: Callable[[float], str]
    hold: float
    since: float
    until: float
    empty: str = ""
    binary: bool = False
    whole: bool = False
    is_fault: bool = False
    least: float = 0.0
    advice: str = ""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to draw."""
        return all(line.last is None for line in self.lines)

    @cached_property
    def most(self) -> float:
        """The greatest value of all lines."""
        return max((line.most or 0.0 for line in self.lines), default=0.0)


@dataclass(frozen=True)
class _Frame:
    """What the figures of one reply have in common."""

    reply: SeriesReply
    by: Column
    name: Name
    since: float
    until: float
    begun: float

    @property
    def step(self) -> int:
        return max(1, self.reply.step)

    @cached_property
    def names(self) -> list[str]:
        """Those first that had most."""
        had: dict[str, tuple[int, int]] = {}
        for row in self.reply.rows if self.by else ():
            requests, tokens = had.get(row.name, (0, 0))
            had[row.name] = (requests + row.requests, tokens + row.completion_tokens)
        return sorted(had, key=lambda name: (had[name], name), reverse=True)

    @cached_property
    def groups(self) -> list[tuple[str, _Rows]]:
        """The lines: each of the first few names, and all others together; rows by time."""
        few = {name: place for place, name in enumerate(self.names[:MAX_LINES])}
        found: list[_Rows] = [{} for _ in range(len(few) + 1)]
        for row in self.reply.rows:
            found[few.get(row.name, -1)].setdefault(row.at, []).append(row)
        if not self.by:
            return [("", found[0])]
        groups = [(self.name(name), found[place]) for name, place in few.items()]
        left = len(self.names) - len(few)
        return [*groups, (f"{left} others", found[-1])] if left else groups

    @cached_property
    def times(self) -> list[int]:
        """When points begin; the present second, which is not over, is left out.

        Where there are too many, the oldest are.
        """
        since = max(int(self.since), int(self.until) - MAX_POINTS * self.step)
        found = list(range(since // self.step * self.step, int(self.until), self.step))
        return [at for at in found if at + self.step > self.since]

    def seconds_of(self, at: float) -> float:
        """How much of a point is over, within the node's life as far as that counts."""
        begin = max(at, self.begun)
        length = min(at + self.step, self.until) - begin
        return length if length >= self.step * SOONEST_SHARE or at + self.step <= self.until else 0


def figures_of(
    reply: SeriesReply,
    *,
    since: float,
    now: float,
    by: Column = "",
    name: Name = str,
    begun: float = 0.0,
    words: str = "",
) -> tuple[Figure, ...]:
    """Make the six graphs of what the node said.

    Arguments:
        since: the left edge.
        now: the right edge, both in seconds since 1970.
        by: what has lines of its own.
        name: what a person calls one of these.
        begun: since when the node knows, by the second: there is a gap before.
        words: the time that is shown, as in "in the last 15 minutes".
    """
    by_seconds = reply.step < 60
    until = float(int(now)) if by_seconds else now
    frame = _Frame(reply, by, name, since, until, begun if by_seconds else 0.0)
    nothing = f"Nothing was asked in the last {words}." if words else "Nothing was asked."
    no_engine = f"No engine ran here in the last {words}." if words else "No engine ran here."
    a_request = "second" if by_seconds else "minute"
    many = 1 if by_seconds else 60
    hold = float(reply.step)

    def figure(
        key: str, title: str, lines: Iterable[Line], unit: Callable[[float], str],
        empty: str = nothing, **more: Any,
    ) -> Figure:  # fmt: skip
        return Figure(key, title, tuple(lines), unit, hold, since, until, empty, **more)

    def silent(lines: list[Line]) -> list[Line]:
        """Without what is all zeros: a flat line says less than a sentence."""
        return lines if any(line.most for line in lines) else []

    asked = bool(reply.rows)
    came = any(row.completion_tokens for row in reply.rows)
    too_new = f"Asked less than {span_words(reply.step)} ago: a shorter time shows it."
    tokens = _rates(frame, lambda row: row.completion_tokens, 1)
    requests = _rates(frame, lambda row: row.requests, many)
    errors = _sums(frame, lambda row: row.errors)
    return (
        figure("tokens", "Tokens a second", silent(tokens), _rate,
               too_new if came else "No tokens came." if asked else nothing,
               advice="" if asked else ADVICE),
        figure("requests", f"Requests a {a_request}", silent(requests), _rate,
               too_new if asked else nothing, least=_FEW),
        figure("first", "First token p50" if by else "Time to first token", _firsts(frame), span,
               "No answer began." if asked else nothing),
        figure("errors", f"Errors in {span_words(reply.step)}", silent(errors), _count,
               "No errors." if asked else nothing, whole=True, is_fault=True, least=_FEW),
        figure("busy", "Engine CPU and GPU", _busy(frame), _percent, no_engine),
        figure("memory", "Engine memory", _memory(frame), size, no_engine, binary=True),
    )  # fmt: skip


# -- what was asked ------------------------------------------------------------------------------


def _rates(frame: _Frame, of: Callable[[SeriesRow], int], seconds: int) -> list[Line]:
    """So many in `seconds`, on average over each point."""
    lengths = [(at, frame.seconds_of(at)) for at in frame.times]
    return [
        Line(name, tuple(
            (at, sum(map(of, rows.get(at, ()))) * seconds / length if length > 0 else None)
            for at, length in lengths
        ))
        for name, rows in frame.groups
    ]  # fmt: skip


def _sums(frame: _Frame, of: Callable[[SeriesRow], int]) -> list[Line]:
    """So many in each point."""
    return [
        Line(name, tuple(
            (at, float(sum(map(of, rows.get(at, ())))) if at >= frame.begun else None)
            for at in frame.times
        ))
        for name, rows in frame.groups
    ]  # fmt: skip


def _firsts(frame: _Frame) -> list[Line]:
    """Half and 95 of 100. By name, of the first few (these cannot be added), only half is drawn.

    Six lines in one graph could not be told apart.
    """
    if not frame.by:
        return list(_spread(frame.reply.rows))
    found = []
    for name in frame.names[:MAX_LINES]:
        half, most = _spread(row for row in frame.reply.rows if row.name == name)
        found.append(Line(frame.name(name), half.points, most))
    return found


def _spread(rows: Iterable[SeriesRow]) -> tuple[Line, Line]:
    told = [(float(row.at), row.first) for row in rows]
    return (
        Line("p50", tuple((at, first.p50 if first else None) for at, first in told)),
        Line("p95", tuple((at, first.p95 if first else None) for at, first in told)),
    )


# -- the machine ---------------------------------------------------------------------------------


def _busy(frame: _Frame) -> list[Line]:
    """CPUs that engines keep busy, and the share of the GPUs' time, both in percent of one."""
    engines = _machine(frame, "engine", lambda row: row.busy)
    return [
        *_lines_of(engines, "CPU", frame, lambda values: 100 * sum(values)),
        *_lines_of(
            _machine(frame, "gpu", lambda row: row.busy), "GPU", None,
            lambda values: 100 * sum(values) / len(values),
        ),
    ]  # fmt: skip


def _memory(frame: _Frame) -> list[Line]:
    engines = _machine(frame, "engine", lambda row: float(row.memory_bytes))
    gpus = _machine(frame, "gpu", lambda row: float(row.memory_bytes))
    return [*_lines_of(engines, "RAM", frame, sum), *_lines_of(gpus, "GPU", None, sum)]


def _machine(
    frame: _Frame, part: str, of: Callable[[MachineRow], float | None]
) -> dict[str, Points]:
    """Points by the name of the engine or GPU; by the second each look counts until the next."""
    looks: dict[str, dict[int, float]] = {}
    for row in frame.reply.machine:
        value = of(row)
        if row.part == part and value is not None:
            looks.setdefault(row.name, {})[row.at] = value
    hold = READING_SECONDS if frame.step < 60 else 0
    return {name: _held(frame.times, found, hold) for name, found in looks.items()}


def _held(times: list[int], looks: dict[int, float], hold: int) -> Points:
    points: list[tuple[float, float | None]] = []
    value, seen = None, 0
    for at in times:
        if at in looks:
            value, seen = looks[at], at
        points.append((float(at), value if value is not None and at - seen <= hold else None))
    return tuple(points)


def _lines_of(
    found: dict[str, Points],
    title: str,
    frame: _Frame | None,
    join: Callable[[list[float]], float],
) -> list[Line]:
    """All in one line; engines by their model, if that is what is wanted."""
    if not found:
        return []
    if frame is not None and frame.by == "model" and len(found) > 1:
        ranked = sorted(found, key=lambda name: -sum(v or 0.0 for _, v in found[name]))
        return [Line(f"{title} {frame.name(name)}", found[name]) for name in ranked[:MAX_LINES]]
    points: list[tuple[float, float | None]] = []
    for together in zip(*found.values(), strict=True):
        values = [value for _, value in together if value is not None]
        points.append((together[0][0], join(values) if values else None))
    return [Line(title, tuple(points))]


# -- words ---------------------------------------------------------------------------------------


def _rate(value: float) -> str:
    """A rate: with a tenth while it is small."""
    if 0 < value < 0.095:
        return f"{value:.2g}"
    return f"{value:.1f}".removesuffix(".0") if value < 99.95 else amount(value)


def _count(value: float) -> str:
    return amount(value)


def _percent(value: float) -> str:
    return f"{value:.0f} %"


def span_words(seconds: float) -> str:
    """The length of a point: ``a second``, ``5 minutes``."""
    for unit, one, many in ((86_400, "a day", "days"), (3600, "an hour", "hours"),
                            (60, "a minute", "minutes")):  # fmt: skip
        if seconds >= unit and seconds % unit == 0:
            count = int(seconds) // unit
            return one if count == 1 else f"{count} {many}"
    return "a second" if seconds == 1 else f"{seconds:g} seconds"


def totals_of(reply: SeriesReply) -> list[tuple[str, str]]:
    """What all of it came to, as labels and values."""
    total = reply.total
    found = [("Requests", amount(total.requests))]
    if total.requests:
        errors = f"{amount(total.errors)} ({100 * total.errors / total.requests:.1f} %)"
        found.append(("Errors", errors if total.errors else "none"))
    found += [
        ("Tokens in", amount(total.prompt_tokens)),
        ("  from cache", amount(total.cached_tokens)),
        ("Tokens out", amount(total.completion_tokens)),
    ]
    if total.first is not None:
        found.append(("First token p50", span(total.first.p50)))
        found.append(("First token p95", span(total.first.p95)))
    if total.total is not None:
        found.append(("Answer p50", span(total.total.p50)))
        found.append(("Answer p95", span(total.total.p95)))
    return found
