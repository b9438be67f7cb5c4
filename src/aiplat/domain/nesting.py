"""How deep a value of JSON's kinds is nested. Pure."""

from __future__ import annotations

from collections.abc import Mapping


def is_deeper(value: object, bound: int) -> bool:
    """Whether more than `bound` objects and arrays stand within each other, `value` the first.

    They are looked at level by level, without recursion, and no deeper than that.
    """
    level = [value] if _nests(value) else []
    for _ in range(bound):
        level = [inner for outer in level for inner in inside(outer) if _nests(inner)]
        if not level:
            return False
    return bool(level)


def inside(value: object) -> list[object]:
    """What an object or array holds; nothing of anything else."""
    match value:
        case Mapping():
            return list(value.values())
        case list() | tuple():
            return list(value)
    return []


def _nests(value: object) -> bool:
    return isinstance(value, Mapping | list | tuple)
