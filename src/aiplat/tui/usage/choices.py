"""The line above the graphs: which time, by what, as whom, and whether it goes on."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.events import Click
from textual.widgets import Static

from aiplat.tui.pane import Pane
from aiplat.tui.text import flat
from aiplat.tui.usage.ranges import RANGES


class Choice(Static):
    """A word of the line; a click does what its key does."""

    DEFAULT_CSS = """
    Choice { width: auto; padding: 0 1; color: $text-muted; }
    Choice:hover { color: $foreground; background: $panel; }
    Choice.-chosen { color: $accent; text-style: bold; background: $surface; }
    """
    ALLOW_SELECT: ClassVar[bool] = False

    def __init__(self, text: str, does: str, *, id: str) -> None:  # Textual's own name
        super().__init__(Content(text), id=id)
        self.does = does

    async def on_click(self, event: Click) -> None:
        """Do it."""
        event.stop()
        pane = next(node for node in self.ancestors if isinstance(node, Pane))
        await self.app.run_action(self.does, default_namespace=pane)


class Choices(Horizontal):
    """The line."""

    DEFAULT_CSS = """
    Choices { height: 1; margin-bottom: 1; }
    Choices #page { width: 1fr; text-align: right; padding: 0 1; color: $text-muted;
        text-wrap: nowrap; text-overflow: ellipsis; }
    .-short Choices { margin-bottom: 0; }
    """

    SCOPED_CSS: ClassVar[bool] = False  # a class of the screen is named in it

    def __init__(self) -> None:
        super().__init__()
        self._told: tuple[object, ...] = ()

    def compose(self) -> ComposeResult:
        """The times, what has lines of its own, whose requests, what is shown."""
        for place, each in enumerate(RANGES):
            yield Choice(each.name, f"take_range({place})", id=f"range-{place}")
        yield Choice("", "by", id="choice-by")
        yield Choice("", "view", id="choice-view")
        yield Choice("", "pause", id="choice-pause")
        yield Static("", id="page", markup=False)

    def show(self, place: int, by: str, view: str, pause: str, page: str) -> None:
        """Show what is chosen.

        Arguments:
            place: of the time in `RANGES`.
            by, view, pause, page: what is said of the others; empty leaves one away.
        """
        told = (place, by, view, pause, page)
        if told == self._told:
            return
        self._told = told
        for number in range(len(RANGES)):
            self.query_one(f"#range-{number}").set_class(number == place, "-chosen")
        for name, text in (("choice-by", by), ("choice-view", view), ("choice-pause", pause)):
            choice = self.query_one(f"#{name}", Choice)
            choice.update(Content(flat(text)))
            choice.display = bool(text)
        self.query_one("#page", Static).update(Content(flat(page)))
