"""Draws the lines of the log: only those that are seen, however many there are."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.events import Click, Resize
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from aiplat.tui.clock import Clock
from aiplat.tui.logs.book import SIGNS, Entry, short_logger
from aiplat.tui.logs.folding import fold
from aiplat.tui.text import cut, flat

_TIME, _LEVEL = 10, 9
_WORDS = {"warning": "warn", "critical": "crit"}


class LogView(ScrollView, can_focus=True):
    """The lines, with a cursor on one of them. It follows the end while the cursor stands there.

    Arguments:
        clock: tells the times on the wall.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "Line before", show=False, id="logs.up"),
        Binding("down,j", "move(1)", "Next line", show=False, id="logs.down"),
        Binding("pageup", "page(-1)", "Page before", show=False, id="logs.page_up"),
        Binding("pagedown", "page(1)", "Next page", show=False, id="logs.page_down"),
        Binding("home", "oldest", "Oldest line", show=False, id="logs.oldest"),
        Binding("end", "newest", "Follow", id="logs.newest"),
        Binding("enter", "open", "Detail", id="logs.open"),
    ]

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "log--time", "log--logger", "log--debug", "log--info", "log--warning", "log--error",
        "log--critical", "log--message", "log--more", "log--divider", "log--cursor",
        "log--cursor-blurred",
    }  # fmt: skip

    DEFAULT_CSS = """
    LogView { height: 1fr; overflow-x: hidden; overflow-y: scroll; padding: 0 0 0 1;
        background: $background; scrollbar-size-vertical: 1; }
    LogView > .log--time, LogView > .log--logger { color: $text-muted; }
    LogView > .log--debug, LogView > .log--info, LogView > .log--more { color: $text-muted; }
    LogView > .log--warning { color: $warning; }
    LogView > .log--error, LogView > .log--critical { color: $error; text-style: bold; }
    LogView > .log--message { color: $foreground; }
    LogView > .log--divider { color: $accent; }
    LogView > .log--cursor { background: $block-cursor-background; }
    LogView > .log--cursor-blurred { background: $block-cursor-blurred-background; }
    LogView:nocolor > .log--cursor { text-style: reverse; }
    """

    ALLOW_SELECT: ClassVar[bool] = False

    class Opened(Message):
        """Enter, or a click on the line with the cursor."""

        def __init__(self, entry: Entry) -> None:
            super().__init__()
            self.entry = entry

    class Moved(Message):
        """The cursor moved, or the end is followed or no more."""

    def __init__(self, clock: Clock, *, id: str | None = None) -> None:  # Textual's own name
        super().__init__(id=id)
        self._wall = clock
        self.entries: list[Entry] = []
        self.cursor_at = 0
        self.follows = True
        self.wraps = False
        self._tops: list[int] = []
        self._height = 0
        self._measured = 20

    @property
    def current(self) -> Entry | None:
        """The line with the cursor."""
        return self.entries[self.cursor_at] if self.cursor_at < len(self.entries) else None

    # -- what is shown ---------------------------------------------------------------------------

    def append(self, entries: Sequence[Entry]) -> None:
        """Show more lines below."""
        if entries:
            self.entries.extend(entries)
            self._measure(entries)
            self._settle()

    def replace(self, entries: Sequence[Entry]) -> None:
        """Show these lines instead; the cursor and what is seen stay where they can."""
        current, top = self.current, self._entry_at_top()
        self.entries = list(entries)
        self._tops, self._height, self._measured = [], 0, self._room()
        self._measure(self.entries)
        places = {id(entry): place for place, entry in enumerate(self.entries)}
        last = max(0, len(self.entries) - 1)
        self.cursor_at = places.get(id(current), min(self.cursor_at, last))
        self._settle()
        if not self.follows and id(top) in places:
            self.scroll_to(y=self._tops[places[id(top)]], animate=False, force=True)

    def set_wrap(self, wraps: bool) -> None:
        """Show long lines whole, over several rows, or cut to one."""
        self.wraps, follows = wraps, self.follows
        self.replace(self.entries)
        if not follows:
            self.put_cursor(self.cursor_at)

    def _entry_at_top(self) -> Entry | None:
        place = bisect_right(self._tops, round(self.scroll_y)) - 1
        return self.entries[place] if 0 <= place < len(self.entries) else None

    def _measure(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            self._tops.append(self._height)
            self._height += len(self._texts(entry)) if self.wraps else 1

    def _settle(self) -> None:
        """Take the new height; stay at the end if it is followed."""
        self.virtual_size = Size(self.scrollable_content_region.width, self._height)
        if self.follows:
            self.cursor_at = max(0, len(self.entries) - 1)
            self.scroll_to(y=self.max_scroll_y, animate=False, force=True)
        self.refresh()

    def on_resize(self, event: Resize) -> None:
        """Measure again: in another width lines break elsewhere."""
        self.replace(self.entries)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Who scrolls up reads: the end is not followed any more."""
        super().watch_scroll_y(old_value, new_value)
        if new_value < old_value and round(new_value) < self.max_scroll_y and self.follows:
            self._follow(False)
        elif round(new_value) >= self.max_scroll_y and self.cursor_at >= len(self.entries) - 1:
            self._follow(True)

    def _follow(self, follows: bool) -> None:
        if follows != self.follows:
            self.follows = follows
            self.post_message(self.Moved())
            self.refresh_bindings()

    # -- drawing ---------------------------------------------------------------------------------

    @property
    def _logger_cells(self) -> int:
        width = self._measured
        return 26 if width >= 136 else 18 if width >= 96 else 0

    def _room(self) -> int:
        return max(20, self.scrollable_content_region.width)

    def _texts(self, entry: Entry) -> list[str]:
        if entry.line is None or not self.wraps:
            return [entry.text]
        cells = self._measured - self._before()
        if len(entry.text) * 2 <= cells:  # no character is wider than two cells
            return [entry.text]
        return fold(entry.text, cells)

    def _before(self) -> int:
        logger = self._logger_cells
        return _TIME + _LEVEL + (logger + 2 if logger else 0)

    def render_line(self, y: int) -> Strip:
        """Draw one row."""
        row, width = y + self.scroll_offset.y, self._room()
        place = bisect_right(self._tops, row) - 1
        if not 0 <= place < len(self.entries) or row >= self._height:
            return Strip.blank(width, self.rich_style)
        entry = self.entries[place]
        segments = (
            self._divider(entry, width) if entry.line is None
            else self._line(entry, row - self._tops[place], width)
        )  # fmt: skip
        strip = Strip(segments).adjust_cell_length(width, self.rich_style)
        if place == self.cursor_at:
            name = "log--cursor" if self.has_focus else "log--cursor-blurred"
            cursor = self.get_component_rich_style(name, partial=True)
            strip = Strip(
                [Segment(s.text, (s.style or Style()) + cursor) for s in strip], strip.cell_length
            )
        return strip

    def _divider(self, entry: Entry, width: int) -> list[Segment]:
        style = self._style("divider")
        words = cut(f" {flat(entry.words)} ", width - 6)
        return [Segment(f"── {words} ".replace("  ", " "), style),
                Segment("─" * max(2, width - cell_len(words) - 4), style)]  # fmt: skip

    def _line(self, entry: Entry, part: int, width: int) -> list[Segment]:
        line = entry.line
        assert line is not None
        before = self._before()
        if part:
            text = self._texts(entry)[part]
            return [Segment(" " * before, self.rich_style), Segment(text, self._style("message"))]
        level = _WORDS.get(line.level, line.level)
        segments = [
            Segment(f"{self._wall.local(line.at):%H:%M:%S}  ", self._style("time")),
            Segment(f"{SIGNS[line.level]} {level:<7}", self._style(line.level)),
        ]
        if self._logger_cells:
            logger = cut(short_logger(line.logger), self._logger_cells)
            gap = " " * (self._logger_cells - cell_len(logger) + 2)
            segments.append(Segment(logger + gap, self._style("logger")))
        if self.wraps:
            return [*segments, Segment(self._texts(entry)[0], self._style("message"))]
        room = width - before
        message = cut(flat(line.message), room)
        segments.append(Segment(message, self._style("message")))
        left = room - cell_len(message) - 2
        if line.more and left > 3:
            segments.append(Segment("  " + cut(flat(line.more), left), self._style("more")))
        return segments

    def _style(self, name: str) -> Style:
        return self.get_component_rich_style(f"log--{name}")

    # -- what a person does ----------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer to follow only where it does not yet, to open only what is there."""
        if action == "newest":
            return not self.follows
        if action == "open":
            return self.current is not None and self.current.line is not None
        return True

    def why_off(self, action: str) -> str:
        """Why an action makes no sense now."""
        return "it follows already" if action == "newest" else "no line is there"

    def put_cursor(self, place: int) -> None:
        """Put the cursor on a line, and show it."""
        last = len(self.entries) - 1
        if last < 0:
            return
        self.cursor_at = max(0, min(place, last))
        self._follow(self.cursor_at == last)
        top = self._tops[self.cursor_at]
        end = self._tops[self.cursor_at + 1] if self.cursor_at < last else self._height
        seen = max(1, self.scrollable_content_region.height)
        if top < self.scroll_offset.y:
            self.scroll_to(y=top, animate=False, force=True)
        elif end > self.scroll_offset.y + seen:
            self.scroll_to(y=min(top, end - seen), animate=False, force=True)
        self.refresh()
        self.refresh_bindings()
        self.post_message(self.Moved())

    def action_move(self, by: int) -> None:
        """Go some lines on."""
        self.put_cursor(self.cursor_at + by)

    def action_page(self, way: int) -> None:
        """Go a page on."""
        seen = max(1, self.scrollable_content_region.height - 1)
        if not self._tops:
            return
        row = self._tops[self.cursor_at] + way * seen
        self.put_cursor(max(0, bisect_right(self._tops, max(0, row)) - 1))

    def action_oldest(self) -> None:
        """Go to the first line."""
        self.put_cursor(0)

    def action_newest(self) -> None:
        """Go to the last line, and follow from there."""
        self.put_cursor(len(self.entries) - 1)
        self.scroll_to(y=self.max_scroll_y, animate=False, force=True)

    def action_open(self) -> None:
        """Show all of a line."""
        if self.current is not None and self.current.line is not None:
            self.post_message(self.Opened(self.current))

    def on_click(self, event: Click) -> None:
        """Put the cursor there; a second click opens the line."""
        row = event.y + self.scroll_offset.y
        place = bisect_right(self._tops, row) - 1
        if 0 <= place < len(self.entries) and row < self._height:
            if event.chain > 1:
                self.action_open()
            else:
                self.put_cursor(place)
