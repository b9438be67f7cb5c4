"""Figures by contender, and the tables they are shown in."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

_BASE = "upstream"
_OWN = ("door", "one hop", "two hops")
"""Whose echo is their own: all that they take is added, where others stand before the upstream."""


class Found:
    """What was measured.

    Attributes:
        figures: by contender, by figure, its value in each round.
    """

    def __init__(self) -> None:
        self.figures: dict[str, dict[str, list[float]]] = {}

    def add(self, name: str, figure: str, value: float) -> None:
        """Note a figure of a round."""
        self.figures.setdefault(name, {}).setdefault(figure, []).append(value)

    def spread(self, name: str, figure: str, times: Sequence[float]) -> None:
        """Note the quantiles of a round's times, in milliseconds."""
        ordered = sorted(times)
        if ordered:
            self.add(name, f"{figure} p50", statistics.median(ordered))
            self.add(name, f"{figure} p99", ordered[int(len(ordered) * 0.99)])

    def median(self, name: str, figure: str) -> float | None:
        """Over the rounds; None for what was not measured."""
        values = self.figures.get(name, {}).get(figure)
        return statistics.median(values) if values else None

    def added(self, name: str, figure: str) -> float | None:
        """What a contender adds: all of it, or what it takes more than the upstream itself."""
        value, base = self.median(name, figure), self.median(_BASE, figure)
        if value is None or name in _OWN:
            return value
        return None if base is None else value - base


_ROWS: tuple[tuple[str, str, bool], ...] = (
    ("added, p50 ms", "alone p50", True),
    ("added, p99 ms", "alone p99", True),
    ("added to the first text, p50 ms", "first p50", True),
    ("added to the first text, p99 ms", "first p99", True),
    ("the same, asked without a pause, p50 ms", "in a row p50", True),
    ("the same, asked without a pause, p99 ms", "in a row p99", True),
    ("requests a second, 1 at once", "a second, 1 at once", False),
    ("requests a second, 10 at once", "a second, 10 at once", False),
    ("requests a second, 100 at once", "a second, 100 at once", False),
    ("tokens a second, 10 streams", "tokens a second", False),
    ("events a second, 10 streams", "events a second", False),
    ("100 streams of 20 a second: gap p50 ms", "gap, 100 streams p50", False),
    ("100 streams of 20 a second: gap p99 ms", "gap, 100 streams p99", False),
    ("250 streams of 20 a second: gap p50 ms", "gap, 250 streams p50", False),
    ("250 streams of 20 a second: gap p99 ms", "gap, 250 streams p99", False),
    ("memory, MiB", "MiB", False),
    ("start to first answer, s", "start s", False),
)


def print_tables(found: Found) -> None:
    """Print a table, in Markdown, of what was measured."""
    names = list(found.figures)
    print(f"| | {' | '.join(names)} |")
    print(f"|---|{'---|' * len(names)}")
    for title, figure, is_added in _ROWS:
        values = [
            found.added(name, figure) if is_added else found.median(name, figure) for name in names
        ]
        if any(value is not None for value in values):
            print(f"| {title} | {' | '.join(map(_shown, values))} |")


def _shown(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
