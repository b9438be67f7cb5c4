"""Requests and minutes for the tests of the series."""

from __future__ import annotations

from typing import Any

from aiplat.series.book import Page
from aiplat.series.figures import Figures, Key, count, nothing
from aiplat.series.seen import Seen

OWN = "12D3KooWown"
NOON = 1_800_000_000 // 3600 * 3600
"""An hour that begins."""


def seen(**changes: Any) -> Seen:
    """A request of a gateway's that went well; `changes` replace its fields."""
    fields: dict[str, Any] = {
        "role": "gateway", "model": "m", "key": "k", "peer": "p", "prompt_tokens": 10,
        "cached_tokens": 2, "completion_tokens": 5, "first_seconds": 0.1, "total_seconds": 1.0,
    }  # fmt: skip
    return Seen(**(fields | changes))


def figures(requests: int = 1, **changes: Any) -> Figures:
    """What that many requests come to."""
    row = nothing()
    for _ in range(requests):
        count(row, seen(**changes))
    return row


def key(role: str = "gateway", model: str = "m", key: str = "k", peer: str = "p") -> Key:
    return role, model, key, peer


def page(at: int, rows: dict[Key, Figures] | None = None, **machine: Figures) -> Page:
    """A minute that is to be written; `machine` are engines' rows by model."""
    looks = {("engine", name): row for name, row in machine.items()}
    return Page(at, {key(): figures()} if rows is None else rows, looks)
