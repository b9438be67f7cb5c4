"""Splits Markdown that streams in into blocks, so that only the last one is looked at again.

What lies before the last block never changes: a block is closed when the next one begins. Of a
list all items but the last are closed, and of a table all rows but the last, so that a long one
costs no more than a short one. What comes is read when somebody asks for it. (A reference that is
defined later, or a heading that is underlined, is seen at the end, when `close` reads all of it
once more.)
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiplat.tui.markdown.code import Budget
from aiplat.tui.markdown.fence import GrowingCode
from aiplat.tui.markdown.lines import Line
from aiplat.tui.markdown.parser import parser
from aiplat.tui.markdown.tables import Table, rows_of
from aiplat.tui.text import flat

if TYPE_CHECKING:
    from markdown_it.token import Token

MAX_SOURCE = 200_000
"""Characters of a whole text that are read as Markdown; those behind them are drawn as they are."""


@dataclass
class Block:
    """A part of the source that is drawn by itself.

    Arguments:
        source: its Markdown.
        tokens: what markdown-it made of it; gone once it is drawn, for they take ten times the
            room of the text (`tokens_of`).
        references: the links that are defined somewhere in the whole text.
        number: of an item, its own, whatever the source counts.
        code: of a fence: what is in it.
        language: of a fence: what stands behind its marks.
        marks: of a fence whose code comes: what it begins with.
        inner: the code in the fences that it holds, as they come.
        table: of a table: its rows.
        close_up: whether it follows the one before without an empty line, as items do.
        plain: whether it is drawn as it stands.
        growing: of the last block of a text that grows: its fences as they were drawn.
        budget: the time for its colours, which it shares with the others of its text.
    """

    source: str
    tokens: list[Token] = field(default_factory=list)
    references: dict[str, Any] = field(default_factory=dict)
    number: int | None = None
    code: str | None = None
    language: str = ""
    marks: str = ""
    inner: list[str] = field(default_factory=list)
    table: Table | None = None
    close_up: bool = False
    plain: bool = False
    growing: list[GrowingCode] | None = None
    budget: Budget = field(default_factory=Budget)
    drawn: dict[int, list[Line]] = field(default_factory=dict)
    """Its lines, by the width that they were made for."""


class Blocks:
    """The blocks of one text, which grows."""

    def __init__(self, source: str = "") -> None:
        self._source: list[str] = []
        self._fresh: list[str] = []
        self._closed: list[Block] = []
        self._tail: list[Block] = []
        self._text = ""
        """The source of the tail; of a table that grows its head, and the row that is open."""
        self._growing: Table | None = None
        """The table that the tail is, with the rows that are no longer in its source."""
        self._code: list[GrowingCode] = []
        """The fences of the tail, which is read anew but not drawn anew."""
        self._budget = Budget()
        if source:
            self._source.append(source)
            self.close()

    @property
    def closed(self) -> list[Block]:
        """The blocks that stay as they are."""
        self._take()
        return self._closed

    @property
    def tail(self) -> list[Block]:
        """The last block, of which more may come."""
        self._take()
        return self._tail

    @property
    def all(self) -> list[Block]:
        """All blocks, in order."""
        return self.closed + self.tail

    def append(self, text: str) -> None:
        """Take more of the source, already cleaned."""
        self._source.append(text)
        self._fresh.append(text)

    def close(self) -> None:
        """Nothing more comes: read all of it once more, as a whole."""
        source = "".join(self._source)
        self._source = [source]
        end = len(source)
        if end > MAX_SOURCE:
            end = source.rfind("\n", 0, MAX_SOURCE) + 1 or MAX_SOURCE
        self._closed, self._tail, self._code = _blocks(source[:end]), [], []
        if end < len(source):
            self._closed.append(Block(source[end:], plain=True))
        self._text, self._fresh, self._growing = "", [], None
        self._budget = Budget()
        for block in self._closed:
            block.budget = self._budget

    def _take(self) -> None:
        """Read what came since it was asked for."""
        if not self._fresh:
            return
        text = "".join(self._fresh)
        self._fresh = []
        if self._tail and self._extend_fence(text):
            return
        self._text += text
        self._read()

    def _extend_fence(self, text: str) -> bool:
        """Put more code into an open fence without reading it anew; not where it ends."""
        last = self._tail[-1]
        if last.code is None or not last.marks:
            return False
        ends = _end_of(last.marks)
        lines = (self._text.rpartition("\n")[2] + text).split("\n")
        if any(ends.fullmatch(line) for line in lines[:-1]):
            return False
        if ends.fullmatch(lines[-1]):  # it may end here: who knows once the line has
            held = min(len(text), len(lines[-1]))
            self._fresh = [text[len(text) - held :]]
            text = text[: len(text) - held]
        if text:
            self._text += text
            last.source += text
            last.code += text
            last.drawn.clear()
        return True

    def _read(self) -> None:
        found = _blocks(self._text)
        if found and self._tail and self._tail[0].close_up:
            found[0].close_up = True  # an item that is read without those before it
        if self._growing is not None and found and found[0].table is not None:
            self._growing.take((), found[0].table.rows[1:])
            found[0].table = self._growing
        for block in found:
            block.budget = self._budget
        if len(found) > 1:
            self._closed += found[:-1]
            self._text, self._growing, self._code = found[-1].source, None, []
            found = found[-1:]
        elif found and found[0].table is not None:
            self._close_rows(found[0], found[0].table)
        for block in found:
            block.growing = self._code
        self._tail = found

    def _close_rows(self, block: Block, table: Table) -> None:
        """Keep of the source of a table that is alone its head, and the line that has not ended."""
        lines = self._text.split("\n")
        begin = block.tokens[0].map
        first = (begin[0] if begin else 0) + 2
        count = len(lines) - 1 - first
        if count < 0 or not all(line.strip() for line in lines[first:-1]):
            return  # its head has not ended, or it has: what comes next closes it
        if self._growing is None:
            self._growing = block.table = Table(table.rows[: 1 + count], table.rows[1 + count :])
        else:
            table.take(table.open_rows[:count], table.open_rows[count:])
        self._text = "\n".join([*lines[:first], lines[-1]])


def _blocks(source: str) -> list[Block]:
    """Split a text at its blocks of the first level, and lists at their items."""
    references: dict[str, Any] = {}
    tokens = parser().parse(source, references)
    lines = source.split("\n")
    pieces: list[tuple[int, list[Token], bool]] = []
    place = 0
    while place < len(tokens):
        end = _end(tokens, place)
        token = tokens[place]
        if token.type in ("bullet_list_open", "ordered_list_open"):
            pieces += _items(tokens[place:end])
        else:
            begin = token.map[0] if token.map else (pieces[-1][0] if pieces else 0)
            pieces.append((begin, tokens[place:end], False))
        place = end
    if not pieces:
        return [Block(source)] if source.strip() else []
    begins = [begin for begin, _, _ in pieces[1:]]
    blocks: list[Block] = []
    first = 0
    for (_, part, close_up), stop in zip(pieces, [*begins, len(lines)], strict=True):
        text = "\n".join(lines[first:stop]) + ("\n" if stop < len(lines) else "")
        blocks.append(_block(text, part, close_up, references, lines))
        first = stop
    return blocks


def _end(tokens: list[Token], place: int) -> int:
    level = tokens[place].level
    end = place + 1
    if tokens[place].nesting == 1:
        while not (tokens[end].nesting == -1 and tokens[end].level == level):
            end += 1
        end += 1
    return end


def _items(tokens: list[Token]) -> list[tuple[int, list[Token], bool]]:
    """Each item of a list by itself, with the list around it, so that it knows its number."""
    from markdown_it.token import Token

    head, foot = tokens[0], tokens[-1]
    number = int(head.attrs.get("start", 1)) if head.type == "ordered_list_open" else 1
    items: list[tuple[int, list[Token], bool]] = []
    place = 1
    while place < len(tokens) - 1:
        end = _end(tokens, place)
        own = Token(head.type, head.tag, 1, attrs={"start": number + len(items)},
                    markup=head.markup, level=head.level, map=tokens[place].map)  # fmt: skip
        begin = tokens[place].map
        items.append((begin[0] if begin else 0, [own, *tokens[place:end], foot], bool(items)))
        place = end
    return items


def tokens_of(block: Block) -> list[Token]:
    """What markdown-it makes of a block, anew where that is gone."""
    tokens = block.tokens or parser().parse(block.source, block.references)
    if tokens and block.number is not None:
        tokens[0].attrs["start"] = block.number
    return tokens


def _block(
    source: str, tokens: list[Token], close_up: bool, references: dict[str, Any], lines: list[str]
) -> Block:
    first = tokens[0]
    if first.type == "fence":
        begin, end = first.map or (0, 0)
        ended = end > begin + 1 and _end_of(first.markup).fullmatch(lines[end - 1])
        begun = begin + 1 < len(lines)  # its first line has ended: its language is whole
        marks = first.markup if begun and not ended else ""
        return Block(source, code=first.content, language=flat(first.info), marks=marks,
                     close_up=close_up)  # fmt: skip
    if first.type == "table_open":
        return Block(source, tokens[:1], table=Table(rows_of(tokens)), close_up=close_up)
    if first.type == "code_block":
        return Block(source, code=first.content, close_up=close_up)
    start = first.attrs.get("start")
    number = int(start) if start is not None else None
    inner = [token.content for token in tokens if token.type in ("fence", "code_block")]
    return Block(source, tokens, references, number, inner=inner, close_up=close_up)


def _end_of(marks: str) -> re.Pattern[str]:
    """What a line has to be to end a fence that begins with these marks."""
    return re.compile(rf" {{0,3}}{marks[0]}{{{len(marks)},}}[ \t]*")
