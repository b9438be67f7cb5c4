"""Draws a block of Markdown as lines of a width."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from aiplat.tui.markdown.blocks import Block, tokens_of
from aiplat.tui.markdown.code import coloured
from aiplat.tui.markdown.inline import spans_of
from aiplat.tui.markdown.lines import Line, fold, indented, tabbed, width_of, wrap
from aiplat.tui.markdown.tables import Table, rows_of
from aiplat.tui.text import clean, flat, harmless

if TYPE_CHECKING:
    from markdown_it.token import Token

_BULLETS = ("•", "◦", "▪")
_LEAST = 10
HEAD_STYLE, EDGE_STYLE, FILL_STYLE = "fence.head", "fence.more", "fence.fill"
"""Of what stands around code and is none of it: above, before and behind."""
FOLDED = "↪"
"""Stands before what goes on of a line of code."""


def render(block: Block, width: int) -> list[Line]:
    """Give the lines of a block; they are kept with it until it changes.

    Arguments:
        width: cells of the screen.
    """
    found = block.drawn.get(width)
    if found is None:
        block.drawn.clear()  # of one width alone: a resize draws all anew anyhow
        if block.code is not None and block.open:
            return _open_fence(block, block.code, width)
        if block.code is not None:
            found = list(fence_lines(block.code, block.language, width))
        elif block.table is not None:
            found = block.table.lines(max(_LEAST, width))
        else:
            found = list(_Drawing(tokens_of(block)).lines(max(_LEAST, width)))
            block.tokens = []
        block.drawn[width] = found
    return found


def _open_fence(block: Block, code: str, width: int) -> list[Line]:
    """A fence that still grows: whole lines are coloured once, as they come.

    What spans several lines may be coloured wrongly until the fence is closed.
    """
    drawn_width, done, lines = block.drawn_code
    if drawn_width != width or not lines:
        done, lines = 0, [_head(block.language, width)]
    whole = code.rfind("\n") + 1
    if whole > done:
        lines += _code_lines(code[done:whole].removesuffix("\n"), block.language, width)
        done = whole
    block.drawn_code = (width, done, lines)
    rest = code[done:]
    return [*lines, *_code_lines(rest, block.language, width)] if rest else lines


def fence_lines(code: str, language: str, width: int) -> Iterator[Line]:
    """A block of code: its language above, its lines broken where the screen ends."""
    yield _head(language, width)
    yield from _code_lines(code.removesuffix("\n"), language, width)


def _head(language: str, width: int) -> Line:
    return _padded(((f" {flat(language) or 'text'}", HEAD_STYLE),), width, HEAD_STYLE)


def _code_lines(code: str, language: str, width: int) -> Iterator[Line]:
    inner = max(_LEAST, width - 2)
    for line in coloured(harmless(code), language):
        for number, part in enumerate(fold(tabbed(line), inner)):
            lead = " " if number == 0 else FOLDED
            yield _padded(((lead, EDGE_STYLE), *part), width, FILL_STYLE)


def _padded(line: Line, width: int, style: str) -> Line:
    room = width - width_of(line)
    return (*line, (" " * room, style)) if room > 0 else line


class _Drawing:
    """The tokens of a block, read once from the first to the last."""

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._place = 0

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
                inner = self.lines(max(_LEAST, width - 2), "blockquote_close", depth)
                for line in inner:
                    yield (("▌ ", "quote"), *((text, f"{style} quote".strip())
                                              for text, style in line))  # fmt: skip
            case "fence" | "code_block":
                yield from fence_lines(token.content, token.info.strip(), width)
            case "hr":
                yield (("─" * width, "muted"),)
            case "table_open":
                yield from self._table(width)
            case "html_block":
                yield from wrap([(clean(token.content).rstrip("\n"), "")], width)

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
            inner = self.lines(max(_LEAST, width - len(mark)), "list_item_close", depth + 1)
            yield from indented(inner, (mark, "mark"), (" " * len(mark), ""))
        self._place += 1

    def _table(self, width: int) -> list[Line]:
        first = self._place
        while self._tokens[self._place].type != "table_close":
            self._place += 1
        self._place += 1
        return Table(rows_of(self._tokens[first : self._place])).lines(width)
