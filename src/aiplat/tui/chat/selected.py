"""What is copied of lines that are marked with the mouse: the text as it was, code above all.

Knows no widget. Paragraphs keep the line breaks that the screen gave them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from aiplat.tui.markdown.lines import TAB_STYLE, Line
from aiplat.tui.markdown.render import EDGE_STYLE, FILL_STYLE, FOLDED, HEAD_STYLE


def selected(lines: Iterable[Line], span_of: Callable[[int], tuple[int, int] | None]) -> str:
    """The text of what is marked.

    Arguments:
        lines: as they are drawn.
        span_of: of a line by its number, from and up to which character it is marked; -1 for its
            end, None where nothing of it is.
    """
    found: list[str] = []
    for number, line in enumerate(lines):
        span = span_of(number)
        if span is None or any(HEAD_STYLE in style.split() for _, style in line):
            continue
        text, goes_on = _marked(line, *span)
        if goes_on and found:
            found[-1] += text
        else:
            found.append(text)
    return "\n".join(found)


def _marked(line: Line, first: int, last: int) -> tuple[str, bool]:
    """What is marked of a line, and whether it goes on with the line of code before."""
    length = sum(len(text) for text, _ in line)
    last = length if last == -1 else min(last, length)
    parts: list[str] = []
    edge, place = "", 0
    for text, style in line:
        begin, end = max(first, place) - place, last - place
        words = style.split()
        if EDGE_STYLE in words:
            edge = text
            parts.clear()
        elif TAB_STYLE in words:
            parts += ["\t"] if begin < max(1, len(text)) and end > 0 else []
        elif FILL_STYLE not in words:
            parts.append(text[begin : max(begin, end)])
        place += len(text)
    found = "".join(parts)
    return found if edge or last < length else found.rstrip(), edge == FOLDED
