"""Breaks a text to so many cells beside its label. Knows no widget."""

from __future__ import annotations

from rich.cells import cell_len, chop_cells

from aiplat.tui.peers.words import MUTED, Line, Part

_LEAST = 12


def beside(
    label: str, part: Part, cells: int, *, margin: int = 10, first: Part = ("", "")
) -> list[Line]:
    """A label, and its text in a column beside it.

    Arguments:
        cells: that a line has.
        margin: of these, for the label.
        first: a sign before the label.
    """
    text, style = part
    lead = cell_len(first[0])
    room = max(_LEAST, cells - margin - lead)
    lines: list[Line] = []
    for place, line in enumerate(folded(text, room)):
        if place:
            lines.append(((" " * (lead + margin), ""), (line, style)))
        else:
            told: Line = ((f"{label:<{margin}}", MUTED), (line, style))
            lines.append((first, *told) if lead else told)
    return lines


def folded(text: str, cells: int) -> list[str]:
    """The lines of a text, broken between words where it can be; at least one."""
    lines: list[str] = []
    line = ""
    for word in text.split():
        together = f"{line} {word}" if line else word
        if cell_len(together) <= cells:
            line = together
            continue
        if line:
            lines.append(line)
        *whole, line = chop_cells(word, max(2, cells))
        lines += whole
    return [*lines, line] if line or not lines else lines
