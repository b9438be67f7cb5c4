"""Statistics of what was measured. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from typing import NamedTuple


class Spread(NamedTuple):
    """A figure over the rounds: the least, the median, the most, and of how many."""

    low: float
    middle: float
    high: float
    rounds: int


def spread(values: Iterable[float]) -> Spread | None:
    """The spread of `values`; None where there are none."""
    kept = sorted(values)
    if not kept:
        return None
    return Spread(kept[0], statistics.median(kept), kept[-1], len(kept))


def percentile(values: Sequence[float], share: float) -> float:
    """The value that at least `share` (0 to 1) of the values do not exceed: the nearest rank."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def jain(shares: Sequence[float]) -> float:
    """Jain's index of fairness: 1 where all have the same, 1/n where one has all.

    Jain, Chiu and Hawe, "A Quantitative Measure of Fairness" (DEC-TR-301, 1984).
    """
    squares = sum(share * share for share in shares)
    return sum(shares) ** 2 / (len(shares) * squares) if squares else 1.0


def short(value: float) -> str:
    """A figure with three digits that count."""
    if value and abs(value) < 0.001:
        return f"{value:.1e}"
    digits = 2 - math.floor(math.log10(abs(value))) if value else 0
    return f"{value:,.{min(3, max(0, digits))}f}"
