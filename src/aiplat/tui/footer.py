"""The last line of the screen: the keys of what has the focus, and two that are always there."""

from __future__ import annotations

from typing import ClassVar

from rich.cells import cell_len
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widgets import Footer
from textual.widgets._footer import FooterKey

_ALWAYS = ("help", "command_palette")
_BEFORE_ALWAYS = 1
"""Cells that no key has, before those that are always there."""


class Keys(Footer):
    """Keys, each of which can be clicked. Help and the commands stay at the right in any width.

    What has no room is left out, and no word is cut; F1 lists all.
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
        self._keys: list[FooterKey] = []
        self._always: list[FooterKey] = []

    def compose(self) -> ComposeResult:
        """The keys, and apart from them those that are always there."""
        self._let_go()
        found = [key for key in super().compose() if isinstance(key, FooterKey)]
        self._always = [key for key in found if key.action in self.ALWAYS]
        self._keys = [key for key in found if key.action not in self.ALWAYS]
        self._fit()
        yield from self._keys
        if self._always:
            yield Horizontal(*self._always, classes="always")

    def on_resize(self) -> None:
        """Show as many as there is room for now."""
        self._fit()

    def _fit(self) -> None:
        edges = self.styles.padding.width + _BEFORE_ALWAYS
        room = self.app.size.width - edges - sum(map(_cells, self._always))
        for key in self._keys:
            key.display = _cells(key) <= room
            if key.display:
                room -= _cells(key)

    def _let_go(self) -> None:
        """Forget the keys of before: Textual 8.2.8 keeps each that ever was, bound to `compact`."""
        bound = getattr(self, "__watchers", {}).get("compact", [])
        bound[:] = [(key, setter) for key, setter in bound if not key._closing]


def _cells(key: FooterKey) -> int:
    """How wide it is: a cell on both sides of the key, and one behind the words."""
    return cell_len(key.key_display) + cell_len(key.description) + 3
