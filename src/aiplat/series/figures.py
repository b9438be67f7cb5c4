"""The figures of one row: what is added for a request, and how rows become one. Pure.

A row is a plain list in the order of `FIELDS`, because it is added to for each request.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from operator import add as _plus

from aiplat.series.buckets import COUNT, bucket
from aiplat.series.seen import Reading, Seen

Figures = list[float]
Key = tuple[str, str, str, str]
"""Role, model, key, peer."""
MachineKey = tuple[str, str]
"""Part, name."""

OTHER = "other"

FIELDS: tuple[str, ...] = (
    "requests", "errors", "prompt", "cached", "completion", "first_seconds", "total_seconds",
    *(f"first_{place}" for place in range(COUNT)),
    *(f"total_{place}" for place in range(COUNT)),
)  # fmt: skip
FIRST = 7
"""Where the buckets of the time to the first token begin."""
TOTAL = FIRST + COUNT
"""Where those of the whole time begin."""

MACHINE_FIELDS: tuple[str, ...] = (
    "busy_looks", "busy", "looks", "memory", "busy_most", "memory_most", "memory_total",
)  # fmt: skip
SUMS = 4
"""So many of the machine's fields are added up; of the rest the largest is kept."""


def nothing() -> Figures:
    """Give a row of a role's that holds nothing yet."""
    return [0] * len(FIELDS)


def count(row: Figures, seen: Seen) -> None:
    """Add a request."""
    row[0] += 1
    if seen.failed:
        row[1] += 1
    row[2] += seen.prompt_tokens
    row[3] += seen.cached_tokens
    row[4] += seen.completion_tokens
    total = seen.total_seconds
    row[6] += total
    row[TOTAL + bucket(total)] += 1
    first = seen.first_seconds
    if first is not None:
        row[5] += first
        row[FIRST + bucket(first)] += 1


def count_tokens(row: Figures, tokens: int) -> None:
    """Add tokens of an answer that is under way."""
    row[4] += tokens


def add(row: Figures, other: Iterable[float]) -> None:
    """Add another row of a role's."""
    row[:] = map(_plus, row, other)  # three times as fast as a loop


def of_reading(reading: Reading) -> Figures:
    """Give the row that one look at the machine makes."""
    busy = reading.busy
    return [
        busy is not None, busy or 0.0, 1, reading.memory_bytes,
        busy or 0.0, reading.memory_bytes, reading.memory_total,
    ]  # fmt: skip


def add_machine(row: Figures, other: Iterable[float]) -> None:
    """Join another row of the machine's to one."""
    for place, value in enumerate(other):
        row[place] = row[place] + value if place < SUMS else max(row[place], value)


def as_other(key: Key, own: str) -> Key:
    """Name the row that what is over the bound is summed in.

    Whether it was this node itself stays: what a machine gives to others is counted by that.
    """
    role, _, _, peer = key
    return role, OTHER, OTHER, own if peer == own else OTHER


def is_other(key: Key) -> bool:
    """Whether a row is such a sum."""
    return key[1] == key[2] == OTHER


def within(
    rows: Mapping[Key, Figures], known: Collection[Key], most: int, own: str
) -> dict[Key, Figures]:
    """Sum what is beyond the bound, as far as it has no row yet.

    Arguments:
        known: the rows that there are.
        most: how many there may be, those that are sums left out.
    """
    room = most - sum(not is_other(key) for key in known)
    kept: dict[Key, Figures] = {}
    for key, figures in rows.items():
        if key not in known and not is_other(key):
            if room > 0:
                room -= 1
            else:
                key = as_other(key, own)
        add(kept.setdefault(key, nothing()), figures)
    return kept
