"""Where a prompt is written: Enter sends, Ctrl+J (Alt+Enter, Shift+Enter) makes a new line."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.events import Key, Paste
from textual.message import Message

from aiplat.domain.conversations import MAX_TURN_CHARS
from aiplat.tui.area import Area
from aiplat.tui.text import harmless

_NEW_LINE = frozenset({"ctrl+j", "alt+enter", "shift+enter", "ctrl+enter"})


class Composer(Area):
    """The text field. It grows with its text, up to a third of the screen."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "send", "Send", id="composer.send"),
        Binding("pageup", "leaf(-1)", "Page up", show=False, id="composer.page_up"),
        Binding("pagedown", "leaf(1)", "Page down", show=False, id="composer.page_down"),
        Binding("ctrl+home", "leaf(-2)", "To the beginning", show=False, id="composer.top"),
        Binding("ctrl+end", "leaf(2)", "To the end", show=False, id="composer.end"),
    ]

    SCOPED_CSS: ClassVar[bool] = False  # classes of the screen are named in it

    DEFAULT_CSS = """
    Composer { height: auto; min-height: 3; max-height: 14; border: round $border;
        background: $background; padding: 0 1; scrollbar-size-vertical: 1; }
    Composer:focus { border: round $accent; }
    Composer > .text-area--cursor-line { background: $background; }
    .-short Composer { max-height: 6; }
    """

    class Submitted(Message):
        """The person sends it."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class Leafed(Message):
        """The transcript shall scroll: by pages, or with 2 to an end."""

        def __init__(self, pages: int) -> None:
            super().__init__()
            self.pages = pages

    class TooLong(Message):
        """What was pasted is more than a turn may have."""

    def __init__(self) -> None:
        super().__init__(
            soft_wrap=True, show_line_numbers=False, id="composer",
            placeholder="Ask something …  Enter sends, Ctrl+J makes a new line",
        )  # fmt: skip
        self.cursor_blink = False
        self.highlight_cursor_line = False

    async def _on_key(self, event: Key) -> None:
        if event.key == "enter":
            event.stop()
            event.prevent_default()
            self.action_send()
            return
        if event.key in _NEW_LINE:
            event.stop()
            event.prevent_default()
            self.insert("\n")

    async def _on_paste(self, event: Paste) -> None:
        event.prevent_default()
        event.stop()
        text = harmless(event.text)
        if len(self.text) + len(text) > MAX_TURN_CHARS:
            self.post_message(self.TooLong())
            return
        self.insert(text)

    def action_send(self) -> None:
        """Ask what is written."""
        self.post_message(self.Submitted(self.text))

    def action_leaf(self, pages: int) -> None:
        """Scroll the transcript."""
        self.post_message(self.Leafed(pages))
