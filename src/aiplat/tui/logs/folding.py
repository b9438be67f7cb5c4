"""Breaks a line of text into lines of so many cells, at spaces where it can. Knows no widget."""

from __future__ import annotations

from rich.cells import cell_len, chop_cells


def fold(text: str, cells: int) -> list[str]:
    """The lines; at least one. Nothing is lost but the spaces at which it was broken."""
    cells = max(2, cells)
    measure = len if text.isascii() else cell_len
    if measure(text) <= cells:
        return [text]
    lines: list[str] = []
    line, room = "", cells
    for word in text.split(" "):
        wide = measure(word)
        if line and wide + 1 <= room:
            line, room = f"{line} {word}", room - wide - 1
            continue
        if line:
            lines.append(line)
        if wide > cells:
            *whole, word = chop_cells(word, cells)
            lines.extend(whole)
            wide = measure(word)
        line, room = word, cells - wide
    return [*lines, line] if line or not lines else lines
