"""Tables for a terminal: as many of their columns as it has room for; all cells are text."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from aiplat.cli import output

if TYPE_CHECKING:
    from rich.table import Table

Row = TypeVar("Row")

GAP = 2
_LONGEST_WORD = 24


@dataclass(frozen=True)
class Column(Generic[Row]):
    """One column.

    Arguments:
        name: its head.
        rank: what is left out first where there is no room, highest first; 0 is always there.
        cell: what stands in it; a peer may have written it.
        breaks: whether a cell may be broken into lines, behind a comma.
        right: whether it stands at the right, as numbers do.
    """

    name: str
    rank: int
    cell: Callable[[Row], str]
    breaks: bool = False
    right: bool = False

    def text(self, row: Row) -> str:
        """A cell as it is shown: one line, harmless."""
        return output.flat(self.cell(row))

    def width(self, rows: Sequence[Row], *, whole: bool = False) -> int:
        """The columns of the terminal that it needs, or has `whole`, with no cell broken."""
        from rich.cells import cell_len

        cells = [self.text(row) for row in rows]
        broken = self.breaks and not whole
        if broken:
            cells = [f"{word}," for cell in cells for word in cell.split(", ")]
        widest = max(map(cell_len, cells), default=0)
        return max(len(self.name), min(widest, _LONGEST_WORD) if broken else widest)


def fitting(
    columns: Sequence[Column[Row]], rows: Sequence[Row], room: int
) -> tuple[Column[Row], ...]:
    """Choose the columns that a terminal of `room` has place for; all of them when that is 0."""
    shown = list(columns)
    for column in sorted(columns, key=lambda column: -column.rank):
        needed = sum(c.width(rows) for c in shown) + GAP * (len(shown) - 1)
        if not room or needed <= room or not column.rank:
            break
        shown.remove(column)
    return tuple(shown)


def table(rows: Sequence[Row], shown: Sequence[Column[Row]], total: Row | None = None) -> Table:
    """Draw rows, and below a line what they come to; cells are text, never markup."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    style = box.SIMPLE_HEAD if total is None else box.SIMPLE
    drawn = Table(
        box=style, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0),
        show_footer=total is not None,
    )  # fmt: skip
    for column in shown:
        drawn.add_column(
            column.name, overflow="fold", no_wrap=not column.breaks,
            justify="right" if column.right else "left",
            footer="" if total is None else Text(column.text(total)),
        )  # fmt: skip
    for row in rows:
        drawn.add_row(*(Text(column.text(row)) for column in shown))
    return drawn


def lines(
    columns: Sequence[Column[Row]], rows: Sequence[Row], room: int, total: Row | None = None
) -> list[str]:
    """Write a table down for a terminal of `room` columns, or whole when that is 0.

    Arguments:
        columns: all that there are.
        rows: at least one.
        room: columns of the terminal.
        total: what the rows come to, if they come to something.
    """
    import io

    from rich.console import Console

    counted = [*rows, total] if total is not None else rows
    shown = fitting(columns, counted, room)
    whole = sum(c.width(counted, whole=True) for c in shown) + GAP * len(shown)
    stream = io.StringIO()
    console = Console(width=room or whole, file=stream, color_system=None)
    console.print(table(rows, shown, total))
    return [line.rstrip() for line in stream.getvalue().splitlines()]


def show(columns: Sequence[Column[Row]], rows: Sequence[Row]) -> None:
    """Write a table to stdout; what there was no room for is said on stderr."""
    room = output.width(sys.stdout)
    drawn = "\n".join(lines(columns, rows, room))
    output.data(output.drawable(drawn, sys.stdout) + "\n")
    if names := hidden(columns, rows, room):
        output.say(names)


def hidden(columns: Sequence[Column[Row]], rows: Sequence[Row], room: int) -> str:
    """Say which columns there was no room for; empty when all are shown."""
    shown = fitting(columns, rows, room)
    names = [column.name for column in columns if column not in shown]
    return f"(A wider terminal shows {', '.join(names)} too; --json has all.)" if names else ""
