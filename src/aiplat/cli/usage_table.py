"""Usage in a table, with what it comes to below a line. All figures are exact."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiplat.cli import tables
from aiplat.cli.tables import Column
from aiplat.domain.errors import clip

if TYPE_CHECKING:
    from aiplat.control.accounts import UsageReply, UsageRow

_LONGEST_NAME = 40


def table(found: UsageReply, room: int) -> list[str]:
    """Write it down for a terminal of `room` columns, or whole when that is 0."""
    return tables.lines(_columns(found.by), found.rows, room, found.total)


def hidden(found: UsageReply, room: int) -> str:
    """Say which columns there was no room for; empty when all are shown."""
    return tables.hidden(_columns(found.by), [*found.rows, found.total], room)


def _columns(by: str) -> tuple[Column[UsageRow], ...]:
    return (
        Column(by, 0, lambda row: clip(row.name, _LONGEST_NAME)),
        Column("requests", 2, lambda row: str(row.requests), right=True),
        Column("errors", 4, lambda row: str(row.errors), right=True),
        Column("prompt", 1, lambda row: str(row.prompt_tokens), right=True),
        Column("cached", 3, lambda row: str(row.cached_tokens), right=True),
        Column("answer", 1, lambda row: str(row.completion_tokens), right=True),
        Column("tokens", 0, lambda row: str(row.total_tokens), right=True),
    )
