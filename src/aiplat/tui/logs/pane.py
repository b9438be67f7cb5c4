"""The pane Logs: what the node says of itself."""

from __future__ import annotations

from typing import ClassVar

from msgspec.structs import replace
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.events import Click, Resize
from textual.widgets import Input, Static

from aiplat.control import calls
from aiplat.control.machine import MAX_LOG_LINES, LogAsk, LogLevel, LogReply
from aiplat.tui.dialogs import ShowText
from aiplat.tui.line import Line
from aiplat.tui.logs.book import LEVELS, MAX_LINES, SIGNS, Book, Entry, as_text, matching
from aiplat.tui.logs.view import LogView
from aiplat.tui.notice import Notice
from aiplat.tui.pane import Pane
from aiplat.tui.steady import Steady
from aiplat.tui.text import clean, flat
from aiplat.tui.waiting import waiting_words

_LEAST_PATH = 24
_NO_LINE = "No line yet. What the node says of itself is shown here."


class _Word(Static):
    """A word of the line above; a click does what its key does."""

    ALLOW_SELECT: ClassVar[bool] = False

    def __init__(self, name: str, action: str) -> None:
        super().__init__("", id=name, markup=False)
        self.does = action

    async def on_click(self, event: Click) -> None:
        """Do it."""
        event.stop()
        pane = next(node for node in self.ancestors if isinstance(node, LogsPane))
        await self.app.run_action(self.does, default_namespace=pane)


class LogsPane(Pane):
    """The node's log: it follows the end until one goes up, and outlives the node."""

    HELP: ClassVar[str] = (
        "What the node says of itself: who came, who left, what failed and why.\n"
        "No question, answer or secret is ever in it.\n"
        "· debug   ○ info   ▲ warn   ✕ error   ■ crit: the gravest last.\n"
        "It follows the end until you go up; End follows again. p holds it still.\n"
        f"What the node still holds is read at first; up to {MAX_LINES} lines are kept here.\n"
        "The file named above has them all.\n"
        "A line across the screen says that the node was started again, or lines are missing."
    )

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "Filter", id="logs.filter"),
        Binding("l", "level(1)", "Level", id="logs.level"),
        Binding("L", "level(-1)", "Level back", show=False, id="logs.level_back"),
        Binding("p", "pause", "Pause", id="logs.pause"),
        Binding("w", "wrap", "Wrap", id="logs.wrap"),
        Binding("c", "copy", "Copy", id="logs.copy"),
        Binding("C", "copy_all", "Copy all", id="logs.copy_all"),
        Binding("escape", "unfilter", "Show all", show=False, id="logs.unfilter"),
    ]

    DEFAULT_CSS = """
    LogsPane #bar { height: 1; padding: 0 1; margin-bottom: 1; background: $background; }
    .-short LogsPane #bar { margin-bottom: 0; }
    LogsPane #bar _Word { width: auto; margin-right: 3; color: $text-muted; }
    LogsPane #bar _Word:hover { color: $foreground; }
    LogsPane #bar _Word.-on { color: $accent; }
    LogsPane #path { width: 1fr; text-align: right; color: $text-muted; text-wrap: nowrap;
        text-overflow: ellipsis; }
    LogsPane #filter { display: none; border: none; height: 1; padding: 0 1; background: $panel; }
    LogsPane #filter.-shown { display: block; }
    LogsPane #empty { display: none; height: auto; padding: 1 2; color: $text-muted; }
    LogsPane #empty.-shown { display: block; }
    LogsPane #newer { display: none; height: 1; width: 100%; text-align: center;
        background: $panel; color: $accent; }
    LogsPane #newer.-shown { display: block; }
    .-narrow LogsPane #bar _Word { margin-right: 2; }
    """

    def __init__(self, *, id: str | None = None) -> None:  # Textual's own name
        super().__init__(id=id)
        self.book = Book()
        self.level: LogLevel = "debug"
        self.search = ""
        self.paused = False
        self.unread = 0
        self._gone = 0
        self._is_told = False
        self._fault = ""

    def compose(self) -> ComposeResult:
        """What is shown and how, the lines, and what came meanwhile."""
        yield Notice()
        with Horizontal(id="bar"):
            yield _Word("level", "level(1)")
            yield _Word("state", "pause")
            yield _Word("wrap", "wrap")
            yield _Word("count", "unfilter")
            yield Steady(id="path")
        yield Line(placeholder="Filter: type what a line must hold", id="filter", compact=True)
        yield Steady(id="empty")
        yield LogView(self.aiplat.clock, id="lines")
        yield _Word("newer", "newest")

    def on_mount(self) -> None:
        """Say that nothing was read yet."""
        self._tell()

    def on_resize(self, event: Resize) -> None:
        """Say what there is room for."""
        self.node_changed()

    @property
    def view(self) -> LogView:
        """The lines."""
        return self.query_one(LogView)

    def focus_first(self) -> None:
        """The lines have the focus."""
        self.view.focus()

    # -- reading ---------------------------------------------------------------------------------

    async def load(self) -> None:
        """Read what came since."""
        self.book.begin(self.world.lives)
        reply = await self._read()
        self._is_told = True
        self._show(self.book.take(reply))

    async def _read(self) -> LogReply:
        """All that came since and is still there, part by part, the newest first."""
        after = self.book.after
        reply = await self.ask(calls.log(LogAsk(after=after, most=MAX_LOG_LINES)))
        while reply.lost and reply.lines and len(reply.lines) < MAX_LINES:
            first = reply.lines[0].number
            older = await self.ask(calls.log(LogAsk(after=after, before=first, most=MAX_LOG_LINES)))
            found = tuple(line for line in older.lines if line.number < first)
            if not found or older.last < reply.last:
                break  # no more is there, or the node is another one by now
            reply = replace(reply, lines=found + reply.lines, lost=older.lost)
        return reply

    def _show(self, new: list[Entry]) -> None:
        found = matching(new, self.level, self.search)
        seen = sum(entry.line is not None for entry in found)
        if self.paused or not self.view.follows:
            self.unread += seen
        if not self.paused:
            if self.book.dropped != self._gone:
                self._draw()
            else:
                self.view.append(found)
        self._tell()

    def _draw(self) -> None:
        """Show all lines anew, as they are filtered now."""
        self._gone = self.book.dropped
        self.view.replace(matching(self.book.entries, self.level, self.search))
        self._tell()

    def show_fault(self, text: str) -> None:
        """Show what went wrong, and where there is no line say so."""
        super().show_fault(text)
        if text != self._fault:
            self._fault = text
            self.node_changed()

    def node_changed(self) -> None:
        """Say whether it is there."""
        if self.is_mounted and self.query(LogView):
            self._tell()

    # -- what is said of it ----------------------------------------------------------------------

    def _tell(self) -> None:
        lines = sum(entry.line is not None for entry in self.view.entries)
        held = sum(entry.line is not None for entry in self.book.entries)
        graver = "" if self.level in ("debug", "critical") else " and graver"
        words = "all levels" if self.level == "debug" else f"{SIGNS[self.level]} {self.level}"
        self._word("level", f"{words}{graver}", on=self.level != "debug")
        state = (
            "‖ paused" if self.paused
            else "○ the node is gone" if not self.world.is_attached
            else "● follows" if self.view.follows else "‖ stands still"
        )  # fmt: skip
        self._word("state", state, on=self.paused)
        self._word("wrap", "wrapped" if self.view.wraps else "", on=True)
        of = f"{lines} of {held}" if lines != held else f"{held}"
        self._word("count", f"{of} line{'' if held == 1 else 's'}", on=lines != held)
        self._tell_path()
        newer = f"▼ {self.unread} new line{'' if self.unread == 1 else 's'}"
        how = self.aiplat.key_of("logs.pause" if self.paused else "logs.newest")
        self._word("newer", f"{newer}  {how}" if self.unread else "")
        self.query_one("#newer").set_class(bool(self.unread), "-shown")
        self._tell_empty(held)

    def _tell_path(self) -> None:
        """Name the file, if there is room for enough of its name; a line's detail has all of it."""
        words = [word for word in self.query(_Word) if word.display and word.id != "newer"]
        room = self.size.width - 2 - sum(len(str(word.content)) + 3 for word in words)
        path = _path_end(flat(self.book.path), room) if room >= _LEAST_PATH else ""
        self.query_one("#path", Static).update(Content(path))

    def _word(self, name: str, text: str, *, on: bool = False) -> None:
        word = self.query_one(f"#{name}", _Word)
        word.update(Content(clean(text)))
        word.display = bool(text)
        word.set_class(on, "-on")

    def _tell_empty(self, held: int) -> None:
        empty = self.query_one("#empty", Static)
        empty.set_class(not self.view.entries, "-shown")
        if held:
            what = f" holds “{flat(self.search)}”" if self.search else ""
            least = "" if self.level == "debug" else f" of the level {self.level} or graver"
            empty.update(Content(f"No line{least}{what}. Esc shows all lines."))
        else:
            asking = _NO_LINE if self._is_told else "Asking the node for its log …"
            empty.update(Content(waiting_words(self.world.phase, asking, self._fault)))

    # -- what a person does ----------------------------------------------------------------------

    def action_filter(self) -> None:
        """Type what a line must hold."""
        line = self.query_one("#filter", Input)
        line.add_class("-shown")
        line.focus()

    def action_unfilter(self) -> None:
        """Show all lines again."""
        line = self.query_one("#filter", Input)
        line.value = self.search = ""
        line.remove_class("-shown")
        self.level = "debug"
        self._draw()
        self.view.focus()

    def action_level(self, way: int) -> None:
        """Show only what is graver, or all again."""
        self.level = LEVELS[(LEVELS.index(self.level) + way) % len(LEVELS)]
        self._draw()

    def action_pause(self) -> None:
        """Hold the lines still, or go on."""
        self.paused = not self.paused
        if not self.paused:
            self.unread = 0
            self._draw()
        self._tell()

    def action_wrap(self) -> None:
        """Show long lines whole, or cut."""
        self.view.set_wrap(not self.view.wraps)
        self._tell()

    def action_newest(self) -> None:
        """Go to the end, and follow it."""
        if self.paused:
            self.action_pause()
        self.view.action_newest()

    def action_copy(self) -> None:
        """Copy the line with the cursor."""
        entry = self.view.current
        if entry is not None and entry.line is not None:
            self.app.copy_to_clipboard(as_text(entry.line, self.aiplat.clock))

    def action_copy_all(self) -> None:
        """Copy all lines that are shown."""
        clock = self.aiplat.clock
        lines = [as_text(entry.line, clock) for entry in self.view.entries if entry.line]
        self.app.copy_to_clipboard("\n".join(lines))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Copy only what is there."""
        if action in ("copy", "copy_all"):
            return bool(self.is_mounted and self.query(LogView) and self.view.entries)
        return True

    def why_off(self, action: str) -> str:
        """Why an action makes no sense now."""
        return "no line is shown" if action.startswith("copy") else ""

    @on(Input.Changed, "#filter")
    def _on_filter_typed(self, event: Input.Changed) -> None:
        event.stop()
        self.search = event.value
        self._draw()

    @on(Input.Submitted, "#filter")
    def _on_filter_done(self, event: Input.Submitted) -> None:
        event.stop()
        event.input.set_class(bool(event.value), "-shown")
        self.view.focus()

    @on(LogView.Moved)
    def _on_cursor_moved(self) -> None:
        if self.view.follows and not self.paused:
            self.unread = 0
        self._tell()

    @on(LogView.Opened)
    def _on_line_opened(self, event: LogView.Opened) -> None:
        line = event.entry.line
        if line is None:
            return
        at = self.aiplat.clock.local(line.at)
        file = f"\n{flat(self.book.path)}" if self.book.path else ""
        about = f"{at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03d}  ·  {flat(line.logger)}{file}"
        text = clean(line.message) + (f"\n\n{clean(line.more)}" if line.more else "")
        self.app.push_screen(ShowText(f"{SIGNS[line.level]} {line.level}", about, text))


def _path_end(path: str, cells: int) -> str:
    """A path cut at its beginning, which all have in common."""
    return path if len(path) <= cells else "…" + path[-(cells - 1) :]
