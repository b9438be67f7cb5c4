"""The last line of the screen: the keys of what has the focus, and two that are always there."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widget import Widget
from textual.widgets import Footer

_ALWAYS = ("help", "command_palette")


class Keys(Footer):
    """Keys, each of which can be clicked. Help and the commands stay at the right in any width.

    What has no room can be scrolled to; F1 lists all.
    """

    DEFAULT_CSS = """
    Keys { padding: 0 1; }
    .-narrow Keys { padding: 0; }
    Keys .always { dock: right; width: auto; height: 1; background: $footer-background;
        padding-left: 1; }
    """

    SCOPED_CSS: ClassVar[bool] = False  # classes of the screen are named in it
    ALWAYS: ClassVar[tuple[str, ...]] = _ALWAYS

    def __init__(self, *, id: str | None = None) -> None:  # Textual's own name
        super().__init__(id=id, show_command_palette=False)

    def compose(self) -> ComposeResult:
        """The keys, and apart from them those that are always there."""
        self._let_go()
        always: list[Widget] = []
        for key in super().compose():
            if getattr(key, "action", "") in self.ALWAYS:
                always.append(key)
            else:
                yield key
        if always:
            yield Horizontal(*always, classes="always")

    def _let_go(self) -> None:
        """Forget the keys of before: Textual 8.2.8 keeps each that ever was, bound to `compact`."""
        bound = getattr(self, "__watchers", {}).get("compact", [])
        bound[:] = [(key, setter) for key, setter in bound if not key._closing]
