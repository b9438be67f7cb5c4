"""Times in buckets, and quantiles out of them. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import accumulate

EDGES: tuple[float, ...] = tuple(0.005 * 2**power for power in range(16))
"""Upper bounds in seconds, 5 ms to 164 s, each twice the one before: a quantile is off by less
than half. Never changed: the columns of the file are these."""
COUNT = len(EDGES) + 1
"""Buckets; the last has no upper bound."""


def bucket(seconds: float) -> int:
    """Give the place of the bucket that a time falls in; its upper bound belongs to it."""
    return bisect_left(EDGES, seconds)


def quantile(counts: Sequence[float], share: float) -> float | None:
    """Estimate the time that `share` (0 to 1) of those counted did not exceed; None of nobody."""
    return next(iter(quantiles(counts, [share])), None)


def quantiles(counts: Sequence[float], shares: Iterable[float]) -> list[float]:
    """Estimate the times that each of `shares` (0 to 1) of those counted did not exceed.

    Straight lines within a bucket, and the last bound for what lies beyond it, as Prometheus'
    `histogram_quantile` does (Prometheus, "Query functions").

    Returns:
        A time for each; nothing of nobody.
    """
    below = list(accumulate(counts))
    found: list[float] = []
    for share in shares:
        rank = share * below[-1]
        if not rank:
            return []
        place = bisect_left(below, rank)
        if place >= len(EDGES):
            found.append(EDGES[-1])
            continue
        lower = EDGES[place - 1] if place else 0.0
        inside = rank - (below[place - 1] if place else 0)
        found.append(lower + (EDGES[place] - lower) * inside / counts[place])
    return found


def largest(seconds: float, counts: Sequence[float]) -> float:
    """The most that the longest of some times can be: no quantile is more.

    Arguments:
        seconds: what they sum up to.
        counts: how many of them each bucket has; of one at least.
    """
    lowest = (0.0, *EDGES)
    top = max(place for place, count in enumerate(counts) if count)
    others = sum(low * count for low, count in zip(lowest, counts, strict=True)) - lowest[top]
    return max(lowest[top], seconds - others)
