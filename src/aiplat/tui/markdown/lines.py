"""Lines of styled text, and how text is broken into them.

A style is a few words, such as ``strong em`` or ``code.keyword``; which colours they are, the
widget that draws them knows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from rich.cells import cell_len, chop_cells

from aiplat.tui.text import TAB

Span = tuple[str, str]
"""A text without line breaks, and its style."""

Line = tuple[Span, ...]

TAB_STYLE = "fence.tab"
"""Of the spaces that stand for a tab, so that it can be told from them."""
_WORDS = re.compile(r"\s+|\S+")


def width_of(line: Iterable[Span]) -> int:
    """Cells of the screen that a line takes."""
    return sum(cell_len(text) for text, _ in line)


def text_of(line: Iterable[Span]) -> str:
    """A line without its styles."""
    return "".join(text for text, _ in line)


def wrap(spans: Iterable[Span], width: int) -> list[Line]:
    """Break spans into lines of at most `width` cells, between words where that can be.

    A line feed in a span ends its line. A space at a break is dropped; a word that is longer than
    a line is broken anywhere.
    """
    width = max(1, width)
    lines: list[Line] = []
    line: list[Span] = []
    used = 0
    for text, style in spans:
        for number, part in enumerate(text.split("\n")):
            if number:
                lines.append(_tidy(line))
                line, used = [], 0
            for word in _WORDS.findall(part):
                size = cell_len(word)
                if used + size <= width:
                    line.append((word, style))
                    used += size
                elif word.isspace():
                    lines.append(_tidy(line))
                    line, used = [], 0
                else:
                    if used:
                        lines.append(_tidy(line))
                        line, used = [], 0
                    for piece in _pieces(word, width):
                        if used:
                            lines.append(_tidy(line))
                        line, used = [(piece, style)], cell_len(piece)
    lines.append(_tidy(line))
    return lines


def tabbed(line: Line) -> Line:
    """The tabs of a line as spans of their own, of spaces up to the next tab stop."""
    if not any("\t" in text for text, _ in line):
        return line
    spans: list[Span] = []
    column = 0
    for text, style in line:
        for number, part in enumerate(text.split("\t")):
            if number:
                spans.append((" " * (TAB - column % TAB), TAB_STYLE))
                column += len(spans[-1][0])
            if part:
                spans.append((part, style))
                column += cell_len(part)
    return tuple(spans)


def fold(spans: Iterable[Span], width: int) -> list[Line]:
    """Break spans into lines of at most `width` cells, anywhere: for code, whose spaces count.

    A tab at the end of a line is as wide as there is room for, so that it stays one.
    """
    width = max(1, width)
    lines: list[Line] = []
    line: list[Span] = []
    used = 0
    for text, style in spans:
        if style == TAB_STYLE:
            text = text[: width - used]
        if used + cell_len(text) <= width:
            line.append((text, style))
            used += cell_len(text)
            continue
        room = width - used
        head, rest = _split(text, room)
        if head:
            line.append((head, style))
        lines.append(tuple(line))
        pieces = chop_cells(rest, width) if rest else []
        lines.extend(((piece, style),) for piece in pieces[:-1])
        line = [(pieces[-1], style)] if pieces else []
        used = width_of(line)
    lines.append(tuple(line))
    return lines


def _split(text: str, cells: int) -> tuple[str, str]:
    """The beginning of a text that takes at most so many cells, and what is left."""
    used = 0
    for place, character in enumerate(text):
        used += cell_len(character)
        if used > cells:
            return text[:place], text[place:]
    return text, ""


def _pieces(word: str, width: int) -> list[str]:
    return chop_cells(word, width) if cell_len(word) > width else [word]


def _tidy(line: list[Span]) -> Line:
    """Join neighbours of one style, and drop spaces at the end."""
    joined: list[Span] = []
    for text, style in line:
        if joined and joined[-1][1] == style:
            joined[-1] = (joined[-1][0] + text, style)
        else:
            joined.append((text, style))
    while joined and not joined[-1][0].rstrip():
        joined.pop()
    if joined:
        joined[-1] = (joined[-1][0].rstrip(), joined[-1][1])
    return tuple(joined)


def indented(lines: Iterable[Line], first: Span, rest: Span) -> Iterator[Line]:
    """Put `first` before the first line, and `rest` before the others."""
    for number, line in enumerate(lines):
        yield (first if number == 0 else rest, *line)
