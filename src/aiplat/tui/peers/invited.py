"""Shows a token that was made: to read, to copy, and for a camera."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Button, Static

from aiplat.tui.dialogs import ShowText
from aiplat.tui.peers.qr import drawn
from aiplat.tui.text import clean


class Invited(ShowText):
    """The token, what it is for, and a code for a camera one key away.

    Arguments:
        text: what is said about it.
        token: what is copied.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "code", "QR code", id="peers.code"),
    ]

    def __init__(self, text: str, token: str) -> None:
        super().__init__("Invitation", text, token)
        self._code = drawn(token)

    def compose(self) -> ComposeResult:
        """What is said, the token, the buttons."""
        with Vertical():
            with VerticalScroll(classes="body"):
                yield Static(Content(clean(self._text)), classes="text")
                yield Static(Content(clean(self._shown)), classes="shown")
            with Horizontal(classes="buttons"):
                yield Button("Copy  c", id="copy", variant="primary")
                yield Button("QR  q", id="code")
                yield Button("Close", id="close")

    def action_code(self) -> None:
        """Show the code, if it fits."""
        wide, high = len(self._code[0]), len(self._code)
        size = self.app.size
        if wide > size.width or high > size.height:
            self.app.notify(
                f"The QR code needs {wide} columns and {high} lines; this terminal has "
                f"{size.width} and {size.height}.", markup=False, severity="warning",
            )  # fmt: skip
            return
        self.app.push_screen(Code(self._code))

    @on(Button.Pressed, "#code")
    def _on_code(self, event: Button.Pressed) -> None:
        event.stop()
        event.prevent_default()
        self.action_code()


class Code(ModalScreen[None]):
    """A code for a camera, white on black whatever the theme, and nothing else."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,enter,q", "leave", "Back", id="peers.code_leave"),
    ]

    DEFAULT_CSS = """
    Code { align: center middle; background: #000000; }
    Code Static { width: auto; height: auto; color: #ffffff; background: #000000; }
    """

    def __init__(self, lines: list[str]) -> None:
        super().__init__()
        self._code = lines

    def compose(self) -> ComposeResult:
        """The code."""
        yield Static(Content("\n".join(self._code)))

    def action_leave(self) -> None:
        """Go back to the token."""
        self.dismiss(None)

    def on_click(self) -> None:
        """Go back, too."""
        self.dismiss(None)
