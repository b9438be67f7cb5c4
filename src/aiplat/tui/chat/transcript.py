"""The turns of a conversation, drawn line by line: only what is seen costs anything.

All of it is one widget: old turns are measured in the background, the newest first, so that a long
history opens at once. Lines are asked from `Entry` by the line's number.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import work
from textual.binding import Binding, BindingType
from textual.events import Click, Resize
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.selection import Selection
from textual.strip import Strip

from aiplat.tui.chat.entry import Entry, Stop
from aiplat.tui.chat.palette import Palette
from aiplat.tui.chat.selected import selected
from aiplat.tui.markdown.lines import Line, width_of

GUTTER = 2
MAX_WIDTH = 110
"""Cells of a line of text: longer ones are hard to read."""
_FIRST = 40
_STRIPS = 512
"""Lines that are kept as they are sent to the terminal: some screens full, 5 kB each."""
DRAWN = 100
"""Turns that are kept as they are drawn, those that were wanted last; more than a screen has."""
_SLICE_SECONDS = 0.008
_PAUSE_SECONDS = 0.01


@dataclass(frozen=True)
class Cursor:
    """Where the cursor is: which entry, and which of its stops."""

    entry: int
    stop: int


class Transcript(ScrollView, can_focus=True):
    """The widget."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("alt+up,k", "walk(-1)", "Block above", show=False, id="transcript.up"),
        Binding("alt+down,j", "walk(1)", "Block below", show=False, id="transcript.down"),
        Binding("c,y", "want('copy')", "Copy", id="transcript.copy"),
        Binding("e", "want('edit')", "Edit", id="transcript.edit"),
        Binding("r", "want('again')", "Again", id="transcript.again"),
        Binding("b,right", "want('branch')", "Branch", id="transcript.branch"),
        Binding("left", "want('branch_back')", "Branch back", show=False,
                id="transcript.branch_back"),
        Binding("w", "want('why')", "Why this peer?", id="transcript.why"),
        Binding("escape,i", "want('write')", "Write", id="transcript.write"),
    ]  # fmt: skip

    DEFAULT_CSS = """
    Transcript { background: $background; padding: 0; overflow-y: scroll;
        scrollbar-size-vertical: 1; overflow-x: hidden; }
    """

    class Wanted(Message):
        """Something is to be done with the block under the cursor."""

        def __init__(self, what: str, entry: Entry, block: Stop) -> None:
            super().__init__()
            self.what = what
            self.entry = entry
            self.block = block

    class Left(Message):
        """The person wants to write again."""

    def __init__(self, *, id: str | None = None) -> None:  # Textual's own name
        super().__init__(id=id)
        self.entries: list[Entry] = []
        self.cursor: Cursor | None = None
        self._tops: list[int] = []
        self._heights: list[int] = []
        self._begin = 0
        self._width_before = 0
        self._follows = True
        self._palette: Palette | None = None
        self._strips = lru_cache(maxsize=_STRIPS)(self._make_strip)
        self._drawn: dict[Entry, None] = {}
        """What is kept drawn; what was wanted last stands last."""

    # -- what is shown ---------------------------------------------------------------------------

    def show(self, entries: Sequence[Entry], *, keep_place: bool = False) -> None:
        """Show these turns, from their end; or from where one is, with `keep_place`."""
        measured = len(self.entries) - self._begin
        grown = len(entries) - len(self.entries)
        begins = [entry.turn.id for entry in (*self.entries[:1], *entries[:1])]
        self.entries = list(entries)
        if not keep_place or len(set(begins)) > 1:
            measured, grown = _FIRST, 0  # other turns: the older ones are measured anew
        if not keep_place:
            self._follows = True
            self.cursor = None
        elif self.cursor is not None and self.cursor.entry >= len(entries):
            self.cursor = None
        self._begin = max(0, len(entries) - max(_FIRST, measured + grown))
        self._measure()
        if self._begin:
            self._measure_rest()

    def changed(self, entry: Entry) -> None:
        """Draw that entry anew."""
        if not self._heights or not self.is_mounted:
            return
        for place in range(len(self.entries) - 1, self._begin - 1, -1):  # one of the last, mostly
            if self.entries[place] is entry:
                height = self._height(entry)
                number = place - self._begin
                if height != self._heights[number]:
                    self._heights[number] = height
                    self._lay_out()
                else:
                    self.refresh_lines(self._tops[number] + entry.fresh, height - entry.fresh)
                return

    @property
    def text_width(self) -> int:
        """Cells of a line of text."""
        return max(10, min(MAX_WIDTH, self.scrollable_content_region.width - GUTTER - 1))

    def _measure(self) -> None:
        """Find out how high each entry is, of those that are drawn."""
        if not self.is_mounted or self.size.width == 0:
            return
        self._heights = [self._height(entry) for entry in self.entries[self._begin :]]
        self._lay_out()

    def _lines_of(self, entry: Entry) -> list[Line]:
        """Its lines; what was wanted long ago is drawn no more."""
        lines = entry.lines(self.text_width)
        self._drawn.pop(entry, None)
        self._drawn[entry] = None
        while len(self._drawn) > DRAWN:
            old = next(iter(self._drawn))
            del self._drawn[old]
            old.rest()
        return lines

    def _height(self, entry: Entry) -> int:
        known = entry.known_height(self.text_width)
        return known or len(self._lines_of(entry))

    def _lay_out(self) -> None:
        """Find out where each entry begins; the end stays in sight where it was."""
        self._tops = list(accumulate(self._heights, initial=0))
        height = self._tops.pop() if self._tops else 0
        # Not by `self.virtual_size = …`: that lays out the whole screen anew at each line.
        self.set_reactive(ScrollView.virtual_size, Size(self.size.width, height))
        self._scroll_update(self.virtual_size)
        if self._follows:
            self.scroll_to(y=max(0, height - self.size.height), animate=False, immediate=True,
                           force=True)  # fmt: skip
        self.refresh()

    @work(exclusive=True, group="measure")
    async def _measure_rest(self) -> None:
        """Draw the older turns in small slices, so that nothing waits for them."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(_PAUSE_SECONDS)
        drawn = self._begin
        while self._begin > 0 and self._heights:
            end = loop.time() + _SLICE_SECONDS
            while drawn > 0 and loop.time() < end:
                drawn -= 1
                self._height(self.entries[drawn])
            # Who does not look at the beginning sees nothing of it: it is laid out once.
            if drawn == 0 or self.scroll_offset.y < self.size.height:
                self._take_in(drawn)
            await asyncio.sleep(_PAUSE_SECONDS)

    def _take_in(self, begin: int) -> None:
        """Lay out the older turns from `begin` on too; what is seen stays where it is."""
        heights = [self._height(entry) for entry in self.entries[begin : self._begin]]
        self._begin, self._heights = begin, [*heights, *self._heights]
        follows, at = self._follows, self.scroll_offset.y
        self._lay_out()
        if not follows:
            self.scroll_to(y=at + sum(heights), animate=False, immediate=True, force=True)

    # -- drawing ---------------------------------------------------------------------------------

    def notify_style_update(self) -> None:
        """Another theme: other colours."""
        super().notify_style_update()
        self._palette = None
        self._strips.cache_clear()

    @property
    def palette(self) -> Palette:
        """The colours."""
        if self._palette is None:
            self._palette = Palette(self.app.theme_variables)
        return self._palette

    def render_line(self, y: int) -> Strip:
        """The line at `y` of what is seen."""
        number = y + self.scroll_offset.y
        width = self.scrollable_content_region.width
        found = self._line(number)
        if found is None:
            return Strip.blank(width, self.palette.base)
        entry, line, inner = found
        gutter = self._gutter(entry, inner)
        selection = self.text_selection
        span = selection.get_span(number) if selection is not None else None
        if span is not None:
            return self._selected(line, gutter, width, span).apply_offsets(-GUTTER, number)
        return self._strips(line, gutter, width).apply_offsets(-GUTTER, number)

    def _line(self, number: int) -> tuple[int, Line, int] | None:
        """Which entry a line is of, what it is, and which of the entry's lines."""
        if not self._tops or number < 0:
            return None
        place = bisect_right(self._tops, number) - 1
        lines = self._lines_of(self.entries[self._begin + place])
        inner = number - self._tops[place]
        return (self._begin + place, lines[inner], inner) if inner < len(lines) else None

    def _gutter(self, entry: int, inner: int) -> str:
        cursor = self.cursor
        found = self.entries[entry]
        if cursor is not None and cursor.entry == entry and self.has_focus:
            stops = found.stops
            if cursor.stop < len(stops):
                stop = stops[cursor.stop]
                if stop.first <= inner < stop.last:
                    return "gutter.at"
        if found.turn.role == "user" and inner < self._height(found) - 1:
            return "gutter.you"
        return ""

    def _make_strip(self, line: Line, gutter: str, width: int) -> Strip:
        palette = self.palette
        mark = {"gutter.at": "┃ ", "gutter.you": "│ "}.get(gutter, "  ")
        segments = [Segment(mark, palette.style(gutter))]
        segments += [Segment(text, palette.style(style)) for text, style in line]
        return Strip(segments, GUTTER + width_of(line)).extend_cell_length(width, palette.base)

    def _selected(self, line: Line, gutter: str, width: int, span: tuple[int, int]) -> Strip:
        """The line with a part of it marked."""
        first, last = span
        marked = self.screen.get_component_rich_style("screen--selection")
        strip = self._strips(line, gutter, width)
        segments: list[Segment] = []
        place = -GUTTER
        for text, style, _ in strip:
            for character in text:
                here = first <= place and (last == -1 or place < last) and place >= 0
                segments.append(Segment(character, (style or Style()) + marked if here else style))
                place += 1
        return Strip(Segment.simplify(segments), strip.cell_length)

    # -- selecting -------------------------------------------------------------------------------

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """The text that is selected, without what stands at the edge."""
        lines = (line for entry in self.entries[self._begin :] for line in self._lines_of(entry))
        return selected(lines, selection.get_span), "\n"

    def selection_updated(self, selection: Selection | None) -> None:
        """Draw what is selected."""
        self.refresh()

    # -- the cursor ------------------------------------------------------------------------------

    def action_walk(self, step: int) -> None:
        """Go to the block above or below."""
        stops = [(e, s) for e in range(self._begin, len(self.entries))
                 for s in range(len(self.entries[e].stops))]  # fmt: skip
        if not stops:
            return
        if self.cursor is None or (self.cursor.entry, self.cursor.stop) not in stops:
            place = len(stops) - 1 if step < 0 else 0
        else:
            place = stops.index((self.cursor.entry, self.cursor.stop)) + step
        if place >= len(stops):
            self.post_message(self.Left())
            return
        self.go_to(*stops[max(0, place)])

    def go_to(self, entry: int, stop: int) -> None:
        """Put the cursor there, and bring it into sight."""
        self.cursor = Cursor(entry, stop)
        found = self.entries[entry].stops[stop]
        top = self._tops[entry - self._begin] + found.first
        height = found.last - found.first
        seen = range(self.scroll_offset.y, self.scroll_offset.y + self.size.height)
        if top not in seen or (height <= self.size.height and top + height - 1 not in seen):
            self._follows = False
            room = max(0, self.size.height - height)
            self.scroll_to(y=top - min(2, room), animate=False, immediate=True, force=True)
        self.refresh()
        self.refresh_bindings()

    @property
    def chosen(self) -> tuple[Entry, Stop] | None:
        """The block under the cursor; without one the last answer."""
        if self.cursor is not None and self.cursor.entry < len(self.entries):
            entry = self.entries[self.cursor.entry]
            if self.cursor.stop < len(entry.stops):
                return entry, entry.stops[self.cursor.stop]
        if self.entries:
            self._height(self.entries[-1])
            return self.entries[-1], self.entries[-1].stops[0]
        return None

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer only what makes sense for the block under the cursor."""
        if action != "want" or parameters == ("write",):
            return True
        chosen = self.chosen
        if chosen is None:
            return False
        entry, _ = chosen
        match parameters[0]:
            case "edit":
                return entry.turn.role == "user"
            case "again":
                return entry.turn.role == "assistant" and not entry.runs
            case "why":
                return entry.turn.facts is not None and bool(entry.turn.facts.request)
            case "branch" | "branch_back":
                return entry.place.count > 1
        return True

    def action_want(self, what: str) -> None:
        """Tell the pane what is to be done."""
        if what == "write":
            self.post_message(self.Left())
        elif (chosen := self.chosen) is not None:
            self.post_message(self.Wanted(what, *chosen))

    def on_click(self, event: Click) -> None:
        """Put the cursor on what was clicked; the head of a block of code copies it."""
        found = self._line(event.y + self.scroll_offset.y)
        if found is None:
            return
        entry, _, inner = found
        best = 0
        for number, stop in enumerate(self.entries[entry].stops):
            if stop.first <= inner < stop.last:
                best = number
        self.cursor = Cursor(entry, best)
        self.refresh()
        self.refresh_bindings()
        stop = self.entries[entry].stops[best]
        if stop.code is not None and inner == stop.first:
            self.post_message(self.Wanted("copy", self.entries[entry], stop))

    # -- its life --------------------------------------------------------------------------------

    def on_resize(self, event: Resize) -> None:
        """Lines break elsewhere."""
        if event.size.width != self._width_before:
            self._begin = max(0, len(self.entries) - _FIRST)
        self._width_before = event.size.width
        self._measure()
        if self._begin:
            self._measure_rest()

    def on_focus(self) -> None:
        """Show the cursor."""
        if self.cursor is None and self.entries:
            self.cursor = Cursor(len(self.entries) - 1, 0)
        self.refresh()

    def on_blur(self) -> None:
        """Hide it."""
        self.refresh()

    def watch_scroll_y(self, old: float, new: float) -> None:
        """Who scrolls away from the end stays there; who comes back to it follows again."""
        super().watch_scroll_y(old, new)
        if round(new) >= self.max_scroll_y:
            self._follows = True
        elif new < old:
            self._follows = False

    def action_scroll_end(self) -> None:
        """Go to the end, and follow it."""
        self._follows = True
        self._measure()
