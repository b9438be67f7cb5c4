"""Draws a table: columns as wide as what is in them, narrower ones where the screen ends.

Where even narrow ones do not fit, each row is a record: a line for each cell, behind its head. A
table that streams in keeps the lines of the rows that it has, as long as no column changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
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
        """The widths of the columns, or of a record the width, and the lines of the rows."""
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
        if sum(widths) + len(_BETWEEN[0]) * (len(widths) - 1) <= width:
            return self._grown(widths, lambda row, number: _ruled(row, number, widths))
        names = [spans for spans, _ in self.rows[0]]
        if len(self.rows) + len(self.open_rows) == 1:
            return [line for name in names for line in wrap(name, width)]
        return self._grown([-width], lambda row, number: _record(row, number, names, width))

    def _grown(
        self, shape: list[int], lines_of: Callable[[Row, int], Iterator[Line]]
    ) -> list[Line]:
        """The lines of all rows; of those that stay, what was drawn before."""
        if shape != self._drawn[0]:
            self._drawn, self._drawn_rows = (shape, []), 0
        lines = self._drawn[1]
        for number in range(self._drawn_rows, len(self.rows)):
            lines.extend(lines_of(self.rows[number], number))
        self._drawn_rows = count = len(self.rows)
        rest = enumerate(self.open_rows, count)
        return [*lines, *(line for number, row in rest for line in lines_of(row, number))]


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


def _ruled(row: Row, number: int, widths: Sequence[int]) -> Iterator[Line]:
    """A row, and below the first one a rule."""
    yield from _row(row, widths)
    if number == 0:
        yield (("─┼─".join("─" * size for size in widths), "muted"),)


def _record(row: Row, number: int, names: Sequence[list[Span]], width: int) -> Iterator[Line]:
    """A row whose cells stand below each other, each behind its name; the first row is these."""
    if number > 1:
        yield ()
    if number > 0:
        for name, (spans, _) in zip(names, row, strict=False):
            yield from wrap([*name, (": ", "strong"), *spans], width)


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
