"""The parts of the pane besides its tables: who one is, the names of the views, and what stands
where there is nothing to show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.events import Click
from textual.message import Message
from textual.widgets import Button, Static

from aiplat.tui.keys.facts import FactLines
from aiplat.tui.keys.faults import LOOKING, Standing
from aiplat.tui.keys.words import Row
from aiplat.tui.steady import Steady
from aiplat.tui.text import clean, flat

_LABEL = 8
_SHORT = 24
_WIDE = 140


class AccountHead(Horizontal):
    """Who one is, what is left of the limits, where secrets are kept: in two columns where there
    is room, and the most important three lines on a short screen."""

    SCOPED_CSS: ClassVar[bool] = False  # classes of the screen are named in it

    DEFAULT_CSS = """
    AccountHead { height: auto; padding: 1 2; }
    AccountHead #more { display: none; margin-left: 4; }
    .-wide AccountHead #more { display: block; }
    .-short AccountHead { padding: 0 1; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.facts: tuple[Row, ...] = ()

    def compose(self) -> ComposeResult:
        """The columns."""
        yield FactLines(_LABEL, id="who")
        yield FactLines(_LABEL, id="more")

    def show(self, rows: Sequence[Row]) -> None:
        """Show these."""
        self.facts = tuple(rows)
        self._draw()

    def on_resize(self) -> None:
        """Arrange them anew."""
        self._draw()

    def _draw(self) -> None:
        if not self.query("#more"):
            return
        self.display = bool(self.facts)
        size = self.app.size
        rows = [row for row in self.facts if row.essential or size.height >= _SHORT]
        half = (len(rows) + 1) // 2 if size.width >= _WIDE else len(rows)
        self.query_one("#who", FactLines).show(rows[:half])
        self.query_one("#more", FactLines).show(rows[half:])


class ViewName(Static):
    """The name of a view; a click shows it."""

    ALLOW_SELECT: ClassVar[bool] = False

    DEFAULT_CSS = """
    ViewName { width: auto; margin-right: 2; color: $text-muted; }
    ViewName:hover { color: $foreground; }
    ViewName.-active { color: $accent; text-style: bold underline; }
    """

    class Asked(Message):
        """A person wants that view."""

        def __init__(self, view: str) -> None:
            super().__init__()
            self.view = view

    def __init__(self, view: str, title: str) -> None:
        super().__init__(Content(title), id=f"view-{view}", markup=False)
        self.view = view

    def on_click(self, event: Click) -> None:
        """Ask for it."""
        event.stop()
        self.post_message(self.Asked(self.view))


class ViewBar(Horizontal):
    """The names of the views, and what of them is shown."""

    SCOPED_CSS: ClassVar[bool] = False  # classes of the screen are named in it

    DEFAULT_CSS = """
    ViewBar { height: 1; padding: 0 2; margin-bottom: 1; }
    ViewBar #shown { width: 1fr; text-align: right; color: $text-muted; text-wrap: nowrap;
        text-overflow: ellipsis; }
    .-short ViewBar { padding: 0 1; margin-bottom: 0; }
    """

    def __init__(self, views: dict[str, str]) -> None:
        super().__init__()
        self._views = views

    def compose(self) -> ComposeResult:
        """The names, and a line at the right."""
        for view, title in self._views.items():
            yield ViewName(view, title)
        yield Steady(id="shown")

    def show(self, view: str, shown: str, *, operator: bool) -> None:
        """Mark the view.

        Arguments:
            shown: what of it is shown, in words.
            operator: whether the others are for this person.
        """
        for name in self.query(ViewName):
            name.set_class(name.view == view, "-active")
            name.display = operator or name.view == "keys"
        self.query_one("#shown", Static).update(Content(flat(shown)))


class StandingView(Vertical, can_focus=True):
    """What is so, and what one can do, where there are no keys to show."""

    SCOPED_CSS: ClassVar[bool] = False  # classes of the screen are named in it

    DEFAULT_CSS = """
    StandingView { align: center middle; }
    StandingView #words { width: 72; max-width: 96%; height: auto; }
    StandingView #what { text-style: bold; color: $accent; margin-bottom: 1; }
    StandingView #why { height: auto; margin-bottom: 1; }
    StandingView #offers { height: auto; }
    StandingView Button { margin-right: 1; }
    .-short StandingView #what { margin-bottom: 0; }
    """

    class Chosen(Message):
        """A button was pressed: the name of an action."""

        def __init__(self, action: str) -> None:
            super().__init__()
            self.action = action

    def __init__(self, offers: dict[str, str], *, id: str) -> None:  # Textual's own name
        super().__init__(id=id)
        self._offers = offers
        self.standing = LOOKING

    def compose(self) -> ComposeResult:
        """The words and the buttons."""
        with Vertical(id="words"):
            yield Steady(id="what")
            yield Steady(id="why")
            with Horizontal(id="offers"):
                for action, title in self._offers.items():
                    yield Button(Content(title), id=f"offer-{action}")

    def on_mount(self) -> None:
        """Show what was said before there was anything to show it in."""
        self.show(self.standing)

    def show(self, standing: Standing) -> None:
        """Show it."""
        self.standing = standing
        if not self.query("#what"):
            return
        self.query_one("#what", Static).update(Content(clean(standing.title)))
        self.query_one("#why", Static).update(Content(clean(standing.text)))
        for button in self.query(Button):
            action = (button.id or "").removeprefix("offer-")
            button.display = action in standing.offers
            first = bool(standing.offers) and action == standing.offers[0]
            button.variant = "primary" if first else "default"

    @on(Button.Pressed)
    def _on_press(self, event: Button.Pressed) -> None:
        event.stop()
        self.post_message(self.Chosen((event.button.id or "").removeprefix("offer-")))
