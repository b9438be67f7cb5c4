"""All that is known of one peer: beside the table where there is room, else in a box."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.events import Resize
from textual.widgets import Button

from aiplat.control.messages import Status
from aiplat.tui.dialogs import Dialog
from aiplat.tui.peers.detail_words import fact_lines, facts, history_lines
from aiplat.tui.peers.figures import Figures
from aiplat.tui.peers.rows import Row
from aiplat.tui.peers.told import Told
from aiplat.tui.peers.words import Line


@dataclass(frozen=True)
class Shown:
    """What a detail shows.

    Arguments:
        row: the peer.
        status: of this node.
        figures: what the peer did; empty while that is not known.
        problem: why there may be less of that.
        hints: what can be done with it.
        graphs: what graphs are drawn with.
    """

    row: Row
    status: Status | None
    figures: Sequence[Figures] = ()
    problem: str = ""
    hints: Line = ()
    graphs: str = "auto"


_PARTS = 3


class Detail(VerticalScroll):
    """The facts under each other, then the figures."""

    DEFAULT_CSS = """
    Detail { padding: 0 1; scrollbar-gutter: stable; }
    Detail Told { padding: 0; }
    Detail .figures, Detail .hints { margin-top: 1; }
    """

    def __init__(self, *, id: str | None = None) -> None:  # Textual's own name
        super().__init__(id=id)
        self.shown: Shown | None = None

    def compose(self) -> ComposeResult:
        """Three parts."""
        yield Told(classes="facts")
        yield Told(classes="figures")
        yield Told(classes="hints")

    def show(self, shown: Shown | None) -> None:
        """Show this peer; nothing where there is none."""
        before = self.shown
        self.shown = shown
        if shown is not None and (before is None or before.row.key != shown.row.key):
            self.scroll_home(animate=False)
        self._draw()

    def on_mount(self) -> None:
        """Show what was given before."""
        self._draw()

    def on_resize(self, event: Resize) -> None:
        """Break the lines anew; Textual may forget that they take other room now, if at once."""
        self.call_after_refresh(self._draw)

    def _draw(self) -> None:
        parts = tuple(self.query(Told))
        if len(parts) != _PARTS or not self.size.width:
            return  # it is not composed or not laid out yet, or taken down
        facts_part, figures, hints = parts
        shown, cells = self.shown, max(20, self.scrollable_content_region.width)
        if shown is None:
            for part in (facts_part, figures, hints):
                part.tell(())
            return
        facts_part.tell(fact_lines(facts(shown.row, shown.status), cells))
        figures.tell(history_lines(shown.figures, shown.graphs, shown.problem))
        hints.tell([shown.hints] if shown.hints else [])


class DetailScreen(Dialog[str]):
    """The detail in a box; what is to be done with the peer is its answer."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("d", "choose('drain', 'undrain')", "Drain or not", show=False),
        Binding("b", "choose('block', 'unblock')", "Block or not", show=False),
        Binding("R", "choose('revoke')", "Revoke", show=False),
        Binding("enter", "leave", "Close", show=False),
    ]

    DEFAULT_CSS = """
    DetailScreen > Vertical { width: 84; padding: 1; }
    DetailScreen Detail { height: auto; max-height: 84vh; }
    DetailScreen.-short > Vertical { padding: 0; }
    """

    def __init__(self, shown: Shown, offered: Sequence[str]) -> None:
        super().__init__()
        self.heading = shown.row.name
        self.key = shown.row.key
        self._first = shown
        self._offered = offered

    def compose(self) -> ComposeResult:
        """The detail."""
        with Vertical():
            yield Detail()
            with Horizontal(classes="buttons"):
                yield Button("Close", id="close", compact=True)

    def on_mount(self) -> None:
        """Let it be scrolled."""
        super().on_mount()
        self.query_one(Detail).show(self._first)
        self.query_one(Detail).focus()

    def show(self, shown: Shown, offered: Sequence[str]) -> None:
        """Show how it is now, and take what can be done now."""
        self._offered = offered
        if self.query(Detail):
            self.query_one(Detail).show(shown)
        else:
            self._first = shown  # it is not composed yet

    def action_choose(self, *names: str) -> None:
        """Do the one of these with the peer that can be done now."""
        for name in names:
            if name in self._offered:
                self.dismiss(name)
                return

    @on(Button.Pressed)
    def _on_close(self) -> None:
        self.action_leave()

    async def action_press(self, name: str) -> None:
        """The same, by a click."""
        self.action_choose(name.partition(".")[2])
