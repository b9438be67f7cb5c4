"""What stands above a graph: its title, and of each line the sign, name and newest value. Pure."""

from __future__ import annotations

from rich.cells import cell_len

from aiplat.tui.text import cut, filled, flat
from aiplat.tui.usage.figures import Figure, Line
from aiplat.tui.usage.plot import Pen

_LEGENDS = ((24, True), (16, True), (11, True), (7, True), (11, False), (7, False), (4, False))
"""How long the names of lines are, and whether their newest value is told: what there is room for.
"""
_LEAST_ROWS = 3
"""Of a graph, below a legend with lines of its own."""
_SIGN_CELLS = 4

Run = tuple[str, str]
"""Text, and the component of the graph whose colour it has."""


def headed(figure: Figure, pen: Pen, width: int, height: int, style: str) -> list[list[Run]]:
    """The title and the legend, as lines of so many cells.

    The legend stands to the right of the title; or in lines of its own, where it has no room there
    or more to tell than the newest value.

    Arguments:
        height: lines of the whole graph.
        style: the component of the title.
    """
    short = _titled(figure, pen, width, style)
    has_more = any(line.beside is not None for line in figure.lines)
    is_whole = not has_more and (len(short) > 1 or len(figure.lines) < 2)
    if figure.is_empty or is_whole or height - 2 - len(figure.lines) < _LEAST_ROWS:
        return [short]
    return [short[:1], *_legend(figure, pen, width)]


def _legend(figure: Figure, pen: Pen, width: int) -> list[list[Run]]:
    """Each line of the graph in a line of the legend, its values below each other."""
    values = [_told_beside(figure, line) for line in figure.lines]
    room = max(4, width - _SIGN_CELLS - max(map(cell_len, values)) - 1)
    names = [cut(flat(line.name), room) for line in figure.lines]
    wide = max(map(cell_len, names))
    signs = [filled(sign, _SIGN_CELLS) for sign in pen.signs]
    return [
        [
            (signs[min(place, len(signs) - 1)], f"line{min(place, 3)}"),
            (filled(name, wide + 1), "label"), (value, ""),
        ]
        for place, (name, value) in enumerate(zip(names, values, strict=True))
    ]  # fmt: skip


def _told_beside(figure: Figure, line: Line) -> str:
    """A line's newest value, and what is told beside it: ``230 ms, p95 690 ms``."""
    last = "–" if line.last is None else figure.unit(line.last)
    other = line.beside
    if other is None or other.last is None:
        return last
    return f"{last}, {flat(other.name)} {figure.unit(other.last)}"


def _titled(figure: Figure, pen: Pen, width: int, style: str) -> list[Run]:
    """The title, and to the right each line's sign, name and newest value, as far as they fit."""
    runs: list[Run] = [(cut(figure.title, width), style)]
    if figure.is_empty:
        return runs
    room = width - cell_len(figure.title)
    for cells, told in _LEGENDS:
        legend = [_entry(figure, *line, pen, cells, told=told) for line in enumerate(figure.lines)]
        need = sum(2 + sum(cell_len(text) for text, _ in entry) for entry in legend)
        if need <= room:
            runs.append((" " * (room - need), ""))
            for entry in legend:
                runs += [("  ", ""), *entry]
            break
    return runs


def _entry(
    figure: Figure, place: int, line: Line, pen: Pen, cells: int, *, told: bool
) -> list[Run]:
    last = "" if line.last is None or not told else figure.unit(line.last)
    name = cut(flat(line.name), cells)
    if len(figure.lines) == 1:
        most = "" if line.most is None else figure.unit(line.most)
        return [(f"{name} last ".lstrip(), "label"), (last, ""), (" · most ", "label"), (most, "")]
    sign = pen.signs[min(place, len(pen.signs) - 1)]
    value = [(" ", ""), (last, "")] if last else []
    return [(f"{sign} ", f"line{min(place, 3)}"), (name, "label"), *value]
