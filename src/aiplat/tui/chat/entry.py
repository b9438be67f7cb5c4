"""A turn as the transcript draws it: lines of a width, and the places where the cursor stops.

Knows no widget. An answer that streams in draws only its last block anew.
"""

from __future__ import annotations

from dataclasses import dataclass

from aiplat.domain.conversations import Turn
from aiplat.tui.chat.facts import facts_lines
from aiplat.tui.markdown.blocks import Block, Blocks
from aiplat.tui.markdown.lines import Line, Span, wrap
from aiplat.tui.markdown.render import code_of, render
from aiplat.tui.text import clean, cut, flat, harmless, size

MAX_QUESTION_LINES = 400


@dataclass(frozen=True)
class Stop:
    """A place that the cursor stops at: a whole turn, or a block of code in it.

    Arguments:
        first, last: its lines within the entry; the last is the one behind.
        code: what is in the block; None for the turn.
    """

    first: int
    last: int
    code: str | None = None


@dataclass(frozen=True)
class Place:
    """Where a turn stands among its branches: the `number`-th of `count`."""

    number: int = 1
    count: int = 1


class Entry:
    """One turn.

    Arguments:
        turn: it.
        own: this node's peer id.
        place: among its branches.
        time: when it was, on the wall.
        name: who speaks, where it is not in the facts.
    """

    def __init__(
        self, turn: Turn, own: str, place: Place = Place(), time: str = "", name: str = ""
    ) -> None:
        self.turn = turn
        self.own = own
        self.place = place
        self.time = time
        self.name = name
        self.live = ""
        """What is said below an answer that runs."""
        self.blocks: Blocks | None = None
        self.stops: list[Stop] = []
        self.fresh = 0
        """The first line that may be otherwise than when it was drawn before."""
        self._width = 0
        self._lines: list[Line] | None = None
        self._height = 0
        """How many lines it has; 0 where that is not known."""
        self._closed: tuple[int, int, list[Line], list[Stop]] = (0, 0, [], [])

    @property
    def runs(self) -> bool:
        """Whether more of it may come."""
        return self.turn.facts is not None and self.turn.facts.state == "running"

    def take(self, turn: Turn) -> None:
        """Take what is known of an answer that runs, but for its text."""
        self.turn = turn
        self._redraw()

    def append(self, text: str) -> None:
        """Take more of an answer."""
        self._blocks().append(harmless(text))
        self._redraw()

    def end(self, turn: Turn) -> None:
        """Take the answer as it ended."""
        self.turn, self.live = turn, ""
        self.blocks = None
        self._closed = (0, 0, [], [])
        self._redraw()

    def say(self, live: str) -> None:
        """Say something else below an answer that runs; a gateway's words may be in it."""
        live = flat(live)
        if live != self.live:
            self.live = live
            self._redraw()

    def lines(self, width: int) -> list[Line]:
        """Its lines, with an empty one at the end."""
        if self._lines is None or width != self._width:
            self._width = width
            self._lines = self._draw(width)
            self._height = len(self._lines)
        return self._lines

    def known_height(self, width: int) -> int:
        """How many lines it has; 0 where it was not drawn yet as it is now."""
        return self._height if width == self._width else 0

    def rest(self) -> None:
        """Forget how it looks, but for its height and its stops: it is drawn anew when wanted.

        Drawn, an answer takes twenty times the room of its text.
        """
        if self.runs:
            return
        self.blocks = self._lines = None
        self._closed = (0, 0, [], [])

    def _redraw(self) -> None:
        self._lines, self._height = None, 0

    # -- drawing ---------------------------------------------------------------------------------

    def _blocks(self) -> Blocks:
        if self.blocks is None:
            text = harmless(self.turn.text)
            if self.runs:
                self.blocks = Blocks()
                if text:
                    self.blocks.append(text)
            else:
                self.blocks = Blocks(text)
        return self.blocks

    def _draw(self, width: int) -> list[Line]:
        if self.turn.role == "user":
            lines = [self._head("You", "you", width), *self._question(width), ()]
            self.stops = [Stop(0, len(lines) - 1)]
            return lines
        facts = self.turn.facts
        name = (facts.model if facts else "") or self.name or "model"
        lines = [self._head(name, "model", width)]
        stops: list[Stop] = []
        self._answer(width, lines, stops)
        if facts is not None and facts.error:
            lines += wrap([(clean(facts.error), "error")], width)
        if self.runs:
            lines.append(((cut(self.live or "…", width), "muted"),))
        elif facts is not None:
            lines += facts_lines(facts, self.own, width)
        self.stops = [Stop(0, len(lines)), *stops]
        return [*lines, ()]

    def _head(self, name: str, style: str, width: int) -> Line:
        head: list[Span] = [(cut(flat(name), max(8, width - 20)), style)]
        if self.place.count > 1:
            head.append((f"  ‹ {self.place.number}/{self.place.count} ›", "mark"))
        if self.time:
            head.append((f"  {self.time}", "muted"))
        return tuple(head)

    def _question(self, width: int) -> list[Line]:
        lines = wrap([(clean(self.turn.text), "")], width) if self.turn.text else []
        if len(lines) > MAX_QUESTION_LINES:
            more = len(lines) - MAX_QUESTION_LINES
            lines = [*lines[:MAX_QUESTION_LINES], ((f"… {more} more lines", "muted"),)]
        for file in self.turn.files:
            text = f"+ {flat(file.name)} ({size(len(file.text.encode('utf-8', 'replace')))})"
            lines.append(((cut(text, width), "muted"),))
        return lines

    def _answer(self, width: int, lines: list[Line], stops: list[Stop]) -> None:
        """The closed blocks as they were drawn before, and the others."""
        blocks = self._blocks()
        drawn_width, count, kept, kept_stops = self._closed
        if drawn_width != width or count > len(blocks.closed):
            count, kept, kept_stops = 0, list(lines), []
        for block in blocks.closed[count:]:
            _put(block, width, kept, kept_stops)
        self._closed = (width, len(blocks.closed), kept, kept_stops)
        self.fresh = len(kept)
        lines[1:] = kept[1:]
        stops += kept_stops
        for block in blocks.tail:
            _put(block, width, lines, stops)


def _put(block: Block, width: int, lines: list[Line], stops: list[Stop]) -> None:
    if len(lines) > 1 and not block.close_up:
        lines.append(())
    first = len(lines)
    drawn = render(block, width)
    lines += drawn
    stops += [Stop(first + begin, first + end, code) for begin, end, code in code_of(block, drawn)]
