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
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from aiplat.tui.markdown.lines import Line
from aiplat.tui.markdown.tables import Table, rows_of
from aiplat.tui.text import flat

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

Kind = Literal["text", "fence"]

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})([^\n`]*)\n", re.MULTILINE)
MAX_SOURCE = 2_000_000


@lru_cache(maxsize=1)
def parser() -> MarkdownIt:
    """CommonMark with tables, strikethrough; no HTML, which is shown as it stands."""
    from markdown_it import MarkdownIt  # 30 ms, and an empty screen needs none

    return MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])


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
        table: of a table: its rows.
        open: whether more of it may come.
        close_up: whether it follows the one before without an empty line, as items do.
    """

    source: str
    tokens: list[Token] = field(default_factory=list)
    references: dict[str, Any] = field(default_factory=dict)
    number: int | None = None
    code: str | None = None
    language: str = ""
    table: Table | None = None
    open: bool = False
    close_up: bool = False
    drawn: dict[int, list[Line]] = field(default_factory=dict)
    """Its lines, by the width that they were made for."""
    drawn_code: tuple[int, int, list[Line]] = (0, 0, [])
    """Of an open fence: the width, the characters of its whole lines, and what these look like."""


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
        self._closed, self._tail = _blocks(source), []
        self._text, self._fresh, self._growing = "", [], None

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
        """Put more code into an open fence without reading it anew; not where it may end."""
        last = self._tail[-1]
        if last.code is None or not last.open:
            return False
        line = self._text.rpartition("\n")[2] + text
        if any(part.lstrip().startswith(("```", "~~~", "`", "~")) for part in line.split("\n")):
            return False
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
        if len(found) > 1:
            self._closed += found[:-1]
            self._text, self._growing = found[-1].source, None
            found = found[-1:]
        elif found and found[0].table is not None:
            self._close_rows(found[0], found[0].table)
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
        blocks.append(_block(text, part, close_up, references))
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


def _block(source: str, tokens: list[Token], close_up: bool, references: dict[str, Any]) -> Block:
    first = tokens[0]
    if first.type == "fence":
        code = first.content
        marks = _FENCE.match(source)
        ended = (
            marks is not None
            and source.rstrip().endswith(marks[1][:3])
            and (source.rstrip().count("\n") > 0)
        )
        return Block(
            source, code=code, language=flat(first.info), open=not ended, close_up=close_up
        )
    if first.type == "table_open":
        return Block(source, tokens[:1], table=Table(rows_of(tokens)), close_up=close_up)
    if first.type == "code_block":
        return Block(source, code=first.content, close_up=close_up)
    start = first.attrs.get("start")
    number = int(start) if start is not None else None
    return Block(source, tokens, references, number, close_up=close_up)
