"""Asks for a key by having it pressed."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.events import Key
from textual.widgets import Static

from aiplat.domain.errors import AiplatError
from aiplat.tui.dialogs import Dialog
from aiplat.tui.text import clean


class PressKey(Dialog[str]):
    """Gives the key that was pressed, as Textual names it; None is Esc.

    Arguments:
        what: the action that gets it.
        now: its key until then, as it is shown.
        check: raises `AiplatError` for a key that cannot be given.
    """

    TAKES_EVERY_KEY = True
    BINDINGS: ClassVar[list[BindingType]] = []
    heading = "Another key"

    def __init__(self, what: str, now: str, check: Callable[[str], object]) -> None:
        super().__init__()
        self._what = what
        self._now = now
        self._check = check

    def compose(self) -> ComposeResult:
        """What is asked."""
        text = f"Press the new key for “{self._what}” (now {self._now or 'none'}). Esc leaves it."
        with Vertical():
            yield Static(Content(clean(text)), classes="text")
            yield Static("", classes="fault", markup=False)

    def on_key(self, event: Key) -> None:
        """Take it, or say why it cannot be."""
        event.stop()
        event.prevent_default()
        if event.key == "escape":
            self.dismiss(None)
            return
        try:
            self._check(event.key)
        except AiplatError as fault:
            self.fault(str(fault))
        else:
            self.dismiss(event.key)
