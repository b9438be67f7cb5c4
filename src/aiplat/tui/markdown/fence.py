"""Draws a block of code: its language above, its lines broken where the screen ends."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from aiplat.tui.markdown.code import Budget, coloured
from aiplat.tui.markdown.languages import MAX_COLOURED
from aiplat.tui.markdown.lines import Line, fold, tabbed, width_of
from aiplat.tui.text import cut, flat, harmless

HEAD_STYLE, EDGE_STYLE, FILL_STYLE = "fence.head", "fence.more", "fence.fill"
"""Of what stands around code and is none of it: above, before and behind."""
FOLDED = "↪"
"""Stands before what goes on of a line of code."""
_MAX_OPEN_LINE = 1000
"""Characters of a line that has not ended: a longer one would be coloured anew at each word."""


def fence_lines(
    code: str, language: str, width: int, budget: Budget | None = None
) -> Iterator[Line]:
    """The lines of a block of code.

    Arguments:
        width: cells of the screen that it takes.
        budget: the time for its colours.
    """
    yield _head(language, width)
    yield from _code_lines(code.removesuffix("\n"), language, width, budget)


class GrowingCode:
    """A block of code that may still grow: its whole lines are drawn once, as they come.

    What spans several lines may be coloured wrongly until no more can come.
    """

    def __init__(self) -> None:
        self._for = ("", 0)
        self._done = ""
        self._lines: list[Line] = []

    def lines(self, code: str, language: str, width: int) -> list[Line]:
        """The lines of it as `fence_lines` gives them; what was drawn before is not drawn anew."""
        if self._for != (language, width) or not code.startswith(self._done):
            self._for, self._done, self._lines = (language, width), "", []
        if not self._lines:
            self._lines.append(_head(language, width))
        before, whole = len(self._done), code.rfind("\n") + 1
        if whole > before:
            colours = language if whole <= MAX_COLOURED else ""
            self._lines += _code_lines(code[before : whole - 1], colours, width)
            self._done = code[:whole]
        rest = code[whole:]
        if not rest and whole:
            return self._lines[:]
        colours = language if len(code) <= MAX_COLOURED and len(rest) <= _MAX_OPEN_LINE else ""
        return [*self._lines, *_code_lines(rest, colours, width)]


def code_places(lines: Sequence[Line]) -> Iterator[tuple[int, int]]:
    """Where blocks of code are among lines, at any depth: the first, and the one behind the last.

    Arguments:
        lines: as they are drawn.
    """
    first = -1
    for number, line in enumerate(lines):
        words = {word for _, style in line for word in style.split()}
        if first >= 0 and EDGE_STYLE not in words:
            yield first, number
            first = -1
        if HEAD_STYLE in words:
            first = number
    if first >= 0:
        yield first, len(lines)


def _head(language: str, width: int) -> Line:
    name = cut(f" {flat(language) or 'text'}", width)
    return _padded(((name, HEAD_STYLE),), width, HEAD_STYLE)


def _code_lines(
    code: str, language: str, width: int, budget: Budget | None = None
) -> Iterator[Line]:
    inner = max(1, width - 2)
    for line in coloured(harmless(code), language, budget):
        for number, part in enumerate(fold(tabbed(line), inner)):
            lead = " " if number == 0 else FOLDED
            yield _padded(((lead, EDGE_STYLE), *part), width, FILL_STYLE)


def _padded(line: Line, width: int, style: str) -> Line:
    room = width - width_of(line)
    return (*line, (" " * room, style)) if room > 0 else line
