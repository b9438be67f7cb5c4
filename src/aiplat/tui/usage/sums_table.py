"""The table of totals as a widget, and the line above it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from textual.app import ComposeResult
from textual.containers import Container
from textual.content import Content
from textual.widgets import Static

from aiplat.tui.steady import Steady
from aiplat.tui.table import Column, LiveTable
from aiplat.tui.text import clean, span
from aiplat.tui.usage.ranges import Range
from aiplat.tui.usage.sums import Sum

if TYPE_CHECKING:
    from aiplat.tui.frame import Frame


class SumsTable(Container):
    """The table."""

    def __init__(self, *, id: str | None = None) -> None:  # Textual's own name
        super().__init__(id=id)
        self.chosen: Range | None = None
        self.by = ""
        self.sums: Sequence[Sum] = ()

    def compose(self) -> ComposeResult:
        """The line, and the table."""
        yield Steady(id="sums-head")
        yield LiveTable(columns(), lambda row: row.id, sort="total", id="sums")

    @property
    def _rows(self) -> LiveTable[Sum]:
        return cast("LiveTable[Sum]", self.query_one(LiveTable))

    def show(self, chosen: Range, by: str, sums: Sequence[Sum], head: str) -> None:
        """Show these.

        Arguments:
            chosen, by: of which time they are, and what has rows of its own.
            head: whose count it is, and since when.
        """
        self.chosen, self.by, self.sums = chosen, by, sums
        longer = cast("Frame", self.app).key_of("usage.range")
        empty = f"Nothing was asked in the last {chosen.words}. {longer} shows a longer time."
        self.query_one("#sums-head", Static).update(Content(clean(head)))
        self._rows.show(sums, empty)

    def wait(self, text: str) -> None:
        """Say why there is nothing yet."""
        if self.chosen is None:
            self._rows.show((), text)

    def focus_rows(self) -> None:
        """Put the focus there."""
        self._rows.grid.focus()


def columns() -> list[Column[Sum]]:
    """What stands in a row; fewer of it on a narrow screen."""

    def number(key: str, title: str, least: int = 0) -> Column[Sum]:
        def of(row: Sum) -> int:
            return int(getattr(row, key))

        return Column(key, title, lambda row: f"{of(row):,}", sort=of, right=True, least=least,
                      falls=True)  # fmt: skip

    def seconds(key: str) -> Column[Sum]:
        def of(row: Sum) -> float:
            value: float | None = getattr(row, key)
            return -1.0 if value is None else value

        return Column(key, key, lambda row: span(of(row)) if of(row) >= 0 else "–", sort=of,
                      right=True, falls=True)  # fmt: skip

    return [
        Column("name", "Name", lambda row: row.name),
        number("requests", "Requests"),
        number("errors", "Errors"),
        number("prompt", "In", least=80),
        number("cached", "From cache", least=100),
        number("completion", "Out", least=70),
        number("total", "Tokens"),
        seconds("p50"),
        seconds("p95"),
    ]
