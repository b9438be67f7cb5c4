"""A box that shows that something is under way, and how it ended when it did not end well."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Button, Static

from aiplat.tui.dialogs import Dialog
from aiplat.tui.text import clean

if TYPE_CHECKING:
    from aiplat.tui.frame import Frame


class Working(Dialog[None]):
    """The box. Esc leaves it, and what is under way goes on.

    Arguments:
        title, text: what is done, and who is asked.
        seconds: how long it may take.
    """

    DEFAULT_CSS = """
    Working .clock { height: 1; color: $accent; margin-bottom: 1; }
    """

    def __init__(self, title: str, text: str, seconds: float) -> None:
        super().__init__()
        self.heading = title
        self._text = text
        self._seconds = seconds
        self._failure = ""
        self._over = False
        self._left = False
        self._began = 0.0

    def compose(self) -> ComposeResult:
        """What is done, for how long, and a button."""
        with Vertical():
            yield Static(Content(clean(self._text)), classes="text")
            yield Static("", classes="clock", markup=False)
            yield Static("", classes="fault", markup=False)
            with Horizontal(classes="buttons"):
                yield Button("Leave it to go on", id="leave")

    def on_mount(self) -> None:
        """Count the seconds."""
        super().on_mount()
        self._began = self._clock()
        self.set_interval(1.0, self._tick)
        self._tick()
        self._show()

    def on_screen_resume(self) -> None:
        """Close, if it ended while something else was in front."""
        if self._over:
            self.action_leave()

    def action_leave(self) -> None:
        """Close it, once: it may end at the moment in which a person leaves it."""
        if not self._left and self.is_active:
            self._left = True
            self.dismiss(None)

    def _clock(self) -> float:
        return cast("Frame", self.app).clock.monotonic()

    def _tick(self) -> None:
        spent = self._clock() - self._began
        text = f"◌ {spent:.0f} s; it may take up to {self._seconds:.0f} s"
        self.query_one(".clock", Static).update(Content("" if self._failure else text))

    def failed(self, text: str) -> bool:
        """Say why it did not go; tells whether a person sees it here."""
        self._failure = text
        if self._left or not self.is_attached:
            return False
        self._show()
        return True

    def _show(self) -> None:
        if self._failure:
            self._tick()
            self.fault(f"✕ {self._failure}")
            self.query_one("#leave", Button).label = "Close"

    def finished(self) -> None:
        """Close it, now or when it is in front again."""
        self._over = True
        self.action_leave()

    @on(Button.Pressed)
    def _on_button(self) -> None:
        self.action_leave()
