"""Draws a block of Markdown as lines of a width."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from aiplat.tui.markdown.blocks import Block, tokens_of
from aiplat.tui.markdown.fence import (
    EDGE_STYLE,
    FILL_STYLE,
    FOLDED,
    HEAD_STYLE,
    GrowingCode,
    code_places,
    fence_lines,
)
from aiplat.tui.markdown.inline import spans_of
from aiplat.tui.markdown.lines import Line, indented, wrap
from aiplat.tui.markdown.tables import Table, rows_of
from aiplat.tui.text import clean

if TYPE_CHECKING:
    from markdown_it.token import Token

_BULLETS = ("•", "◦", "▪")
_LEAST = 10


def render(block: Block, width: int) -> list[Line]:
    """Give the lines of a block; they are kept with it until it changes.

    Arguments:
        width: cells of the screen.
    """
    found = block.drawn.get(width)
    if found is None:
        block.drawn.clear()  # of one width alone: a resize draws all anew anyhow
        block.budget.renew(width)
        found = list(_lines(block, max(_LEAST, width)))
        block.drawn[width] = found
    return found


def code_of(block: Block, lines: list[Line]) -> list[tuple[int, int, str]]:
    """The code in a block: its first line, the one behind its last, and how it was written.

    Arguments:
        lines: what `render` made of the block.
    """
    if block.code is not None:
        return [(0, len(lines), block.code)]
    if not block.inner:
        return []
    places = zip(code_places(lines), block.inner, strict=True)
    return [(first, last, code) for (first, last), code in places]


def _lines(block: Block, width: int) -> Iterable[Line]:
    if block.plain:
        return wrap([(clean(block.source), "")], width)
    if block.table is not None:
        return block.table.lines(width)
    drawing = _Drawing(block)
    if block.code is not None:
        return drawing.code(block.code, block.language, width)
    lines = list(drawing.lines(width))
    block.tokens = []
    return lines


class _Drawing:
    """The tokens of a block, read once from the first to the last."""

    def __init__(self, block: Block) -> None:
        self._block = block
        self._tokens = tokens_of(block) if block.code is None else []
        self._place = 0
        self._codes = 0

    def lines(self, width: int, until: str = "", depth: int = 0) -> Iterator[Line]:
        """The lines of what comes, up to the token `until`."""
        first = True
        while self._place < len(self._tokens):
            token = self._tokens[self._place]
            self._place += 1
            if token.type == until:
                return
            made = list(self._one(token, width, depth))
            spaced = not first and not token.hidden and token.type not in (
                "bullet_list_open", "ordered_list_open", "inline",
            )  # fmt: skip
            if made and spaced and until not in ("paragraph_close", "heading_close"):
                yield ()
            yield from made
            first = first and not made

    def _one(self, token: Token, width: int, depth: int) -> Iterator[Line]:
        match token.type:
            case "paragraph_open":
                yield from self.lines(width, "paragraph_close", depth)
            case "heading_open":
                yield from self._heading(token, width)
            case "inline":
                yield from wrap(spans_of(token.children), width)
            case "bullet_list_open":
                yield from self._list(width, depth, None)
            case "ordered_list_open":
                yield from self._list(width, depth, int(token.attrs.get("start", 1)))
            case "blockquote_open":
                yield from self._quote(width, depth)
            case "fence" | "code_block":
                yield from self.code(token.content, token.info.strip(), width)
            case "hr":
                yield (("─" * width, "muted"),)
            case "table_open":
                yield from self._table(width)
            case "html_block":
                yield from wrap([(clean(token.content).rstrip("\n"), "")], width)

    def code(self, code: str, language: str, width: int) -> Iterable[Line]:
        """A block of code; of a text that grows only what is new of it is drawn."""
        growing, number = self._block.growing, self._codes
        self._codes += 1
        if growing is None:
            return fence_lines(code, language, width, self._block.budget)
        if number == len(growing):
            growing.append(GrowingCode())
        return growing[number].lines(code, language, width)

    def _quote(self, width: int, depth: int) -> Iterator[Line]:
        narrow = width - 2 < _LEAST  # deep within others: without its bar, for nothing is cut off
        for line in self.lines(width if narrow else width - 2, "blockquote_close", depth):
            quoted = tuple((text, _with(style, "quote")) for text, style in line)
            yield quoted if narrow else (("▌ ", "quote"), *quoted)

    def _heading(self, token: Token, width: int) -> Iterator[Line]:
        level = f"h{min(3, int(token.tag[1:] or 1))}"
        while self._tokens[self._place].type != "heading_close":
            inline = self._tokens[self._place]
            self._place += 1
            yield from wrap(spans_of(inline.children, level), width)
        self._place += 1

    def _list(self, width: int, depth: int, number: int | None) -> Iterator[Line]:
        close = "bullet_list_close" if number is None else "ordered_list_close"
        while self._tokens[self._place].type != close:
            self._place += 1  # list_item_open
            mark = f"{_BULLETS[depth % 3]} " if number is None else f"{number}. "
            number = None if number is None else number + 1
            narrow = width - len(mark) < _LEAST  # deep within others: no room to step in
            room = width if narrow else width - len(mark)
            inner = self.lines(room, "list_item_close", depth + 1)
            if narrow:
                yield ((mark.rstrip(), "mark"),)
                yield from inner
            else:
                yield from indented(inner, (mark, "mark"), (" " * len(mark), ""))
        self._place += 1

    def _table(self, width: int) -> list[Line]:
        first = self._place
        while self._tokens[self._place].type != "table_close":
            self._place += 1
        self._place += 1
        return Table(rows_of(self._tokens[first : self._place])).lines(width)


def _with(style: str, word: str) -> str:
    return style if word in style.split() else f"{style} {word}".strip()


__all__ = ["EDGE_STYLE", "FILL_STYLE", "FOLDED", "HEAD_STYLE", "code_of", "render"]
