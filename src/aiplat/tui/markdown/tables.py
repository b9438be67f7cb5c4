"""Draws a table: columns as wide as what is in them, narrower ones where the screen ends.

One that streams in keeps the lines of the rows that it has, as long as no column changes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from aiplat.tui.markdown.inline import spans_of
from aiplat.tui.markdown.lines import Line, Span, width_of, wrap

if TYPE_CHECKING:
    from markdown_it.token import Token

Cell = tuple[list[Span], str]
"""Its spans, and how it is set: to the left, ``right`` or ``center``."""
Row = list[Cell]
_LEAST = 4
_BETWEEN: Span = (" │ ", "muted")


def rows_of(tokens: Sequence[Token]) -> list[Row]:
    """The cells of a table, row by row; the first row is its head.

    Arguments:
        tokens: of markdown-it, from the beginning of the table to its end.
    """
    rows: list[Row] = []
    for place, token in enumerate(tokens):
        if token.type == "tr_open":
            rows.append([])
        elif token.type in ("th_open", "td_open"):
            style = str(token.attrs.get("style", ""))
            side = "right" if "right" in style else "center" if "center" in style else ""
            base = "strong" if token.type == "th_open" else ""
            rows[-1].append((spans_of(tokens[place + 1].children, base), side))
    return rows


class Table:
    """A table, whose last rows may still change.

    Arguments:
        rows: those that stay as they are; the first is its head.
        open_rows: those that do not.
    """

    def __init__(self, rows: Sequence[Row], open_rows: Sequence[Row] = ()) -> None:
        self.rows = list(rows)
        self.open_rows = list(open_rows)
        self._wanted = _wanted((), self.rows)
        self._drawn: tuple[list[int], list[Line]] = ([], [])
        self._drawn_rows = 0

    def take(self, rows: Sequence[Row], open_rows: Sequence[Row] = ()) -> None:
        """Take more rows that stay, and others than before that do not."""
        self.rows += rows
        self.open_rows = list(open_rows)
        self._wanted = _wanted(self._wanted, rows)

    def lines(self, width: int) -> list[Line]:
        """Its lines.

        Arguments:
            width: cells of the screen that it may take.
        """
        widths = _fitted(_wanted(self._wanted, self.open_rows), width)
        if widths != self._drawn[0]:
            self._drawn, self._drawn_rows = (widths, []), 0
        lines = self._drawn[1]
        for number in range(self._drawn_rows, len(self.rows)):
            lines += _row(self.rows[number], widths)
            if number == 0:
                lines.append((("─┼─".join("─" * size for size in widths), "muted"),))
        self._drawn_rows = len(self.rows)
        return [*lines, *(line for row in self.open_rows for line in _row(row, widths))]


def _wanted(before: Sequence[int], rows: Sequence[Row]) -> list[int]:
    """How wide each column would be."""
    wanted = list(before)
    for row in rows:
        wanted += [1] * (len(row) - len(wanted))
        for place, (spans, _) in enumerate(row):
            wanted[place] = max(wanted[place], width_of(spans))
    return wanted


def _fitted(wanted: list[int], width: int) -> list[int]:
    """As wide as wanted; what is too much is taken from the widest, down to some cells."""
    if not wanted:
        return wanted
    room = width - len(_BETWEEN[0]) * (len(wanted) - 1)
    while sum(wanted) > room and max(wanted) > _LEAST:
        widest = wanted.index(max(wanted))
        second = max((w for w in wanted if w < wanted[widest]), default=_LEAST)
        over = sum(wanted) - room
        wanted[widest] = (
            max(_LEAST, second, wanted[widest] - over)
            if (wanted[widest] > max(second, _LEAST))
            else wanted[widest] - 1
        )
    return wanted


def _row(row: Sequence[Cell], widths: Sequence[int]) -> Iterator[Line]:
    cells = [wrap(spans, size) for (spans, _), size in zip(row, widths, strict=False)]
    cells += [[()]] * (len(widths) - len(cells))
    sides = [side for _, side in row] + [""] * (len(widths) - len(row))
    for height in range(max(len(cell) for cell in cells)):
        line: list[Span] = []
        for place, (cell, size, side) in enumerate(zip(cells, widths, sides, strict=True)):
            if place:
                line.append(_BETWEEN)
            line += _set(cell[height] if height < len(cell) else (), size, side)
        yield tuple(line)


def _set(line: Line, size: int, side: str) -> Iterator[Span]:
    room = max(0, size - width_of(line))
    before = room if side == "right" else room // 2 if side == "center" else 0
    if before:
        yield (" " * before, "")
    yield from line
    if room - before:
        yield (" " * (room - before), "")
