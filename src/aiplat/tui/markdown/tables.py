"""Draws a table: columns as wide as what is in them, narrower ones where the screen ends."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from aiplat.tui.markdown.lines import Line, Span, width_of, wrap

Cell = tuple[list[Span], str]
_LEAST = 4
_BETWEEN: Span = (" │ ", "muted")


def table_lines(rows: Sequence[Sequence[Cell]], width: int) -> Iterator[Line]:
    """Give the lines of a table.

    Arguments:
        rows: cells as spans, and how they are set: to the left, ``right`` or ``center``.
        width: cells of the screen that it may take.
    """
    count = max((len(row) for row in rows), default=0)
    if not count:
        return
    widths = _widths(rows, count, width)
    for number, row in enumerate(rows):
        yield from _row(row, widths)
        if number == 0:
            yield (("─┼─".join("─" * size for size in widths), "muted"),)


def _widths(rows: Sequence[Sequence[Cell]], count: int, width: int) -> list[int]:
    """As wide as wanted; what is too much is taken from the widest, down to some cells."""
    wanted = [1] * count
    for row in rows:
        for place, (spans, _) in enumerate(row):
            wanted[place] = max(wanted[place], width_of(spans))
    room = width - len(_BETWEEN[0]) * (count - 1)
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
