"""Jump mode: a letter on each part of the screen that can have the focus; typing it goes there."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.events import Click, Key
from textual.geometry import Offset
from textual.screen import ModalScreen, Screen
from textual.widget import Widget
from textual.widgets import Static

from aiplat.tui.labels import letters_for, spread
from aiplat.tui.topbar import TabName

_HINT = " Type a letter to go there · Esc goes back "


class JumpLabel(Static):
    """A letter over a part of the screen; a click goes there, too."""

    ALLOW_SELECT: ClassVar[bool] = False

    def __init__(self, letters: str, target: Widget, place: tuple[int, int]) -> None:
        super().__init__(Content(f" {letters} "), classes="label")
        self.letters = letters
        self.target = target
        self.absolute_offset = Offset(*place)

    def on_click(self, event: Click) -> None:
        """Go there."""
        event.stop()
        self.screen.dismiss(self.target)


class JumpScreen(ModalScreen[Widget | None]):
    """The letters. Gives the part that was chosen, or None.

    Arguments:
        below: the screen whose parts they are.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Back", id="jump.leave"),
    ]

    DEFAULT_CSS = """
    JumpScreen { background: $background 35%; layers: labels; }
    JumpScreen .label { layer: labels; position: absolute; width: auto; height: 1;
        background: $accent; color: $background; text-style: bold; }
    JumpScreen .label.-off { display: none; }
    JumpScreen .hint { dock: bottom; width: 100%; height: 1; background: $panel;
        color: $foreground; }
    JumpScreen:nocolor .label { text-style: reverse bold; }
    """

    def __init__(self, below: Screen[object]) -> None:
        super().__init__()
        self.below = below
        self.typed = ""

    def compose(self) -> ComposeResult:
        """A label on each part, and what to do."""
        found = targets(self.below)
        size = self.below.size
        places = spread([(where.x, where.y) for _, where in found], size.width, size.height - 1)
        for letters, (target, _), place in zip(
            letters_for(len(found)), found, places, strict=False
        ):
            yield JumpLabel(letters, target, place)
        yield Static(Content(_HINT), classes="hint")

    def on_key(self, event: Key) -> None:
        """Go where the letters lead; another key leaves."""
        if event.character is None or not event.character.isalpha():
            return
        event.stop()
        event.prevent_default()
        self.typed += event.character.lower()
        left = [label for label in self.query(JumpLabel) if label.letters.startswith(self.typed)]
        if not left or left[0].letters == self.typed:
            self.dismiss(left[0].target if left else None)
            return
        for label in self.query(JumpLabel):
            label.set_class(label not in left, "-off")

    def on_click(self) -> None:
        """Leave: the click was beside the letters."""
        self.dismiss(None)

    def action_leave(self) -> None:
        """Leave; the focus stays where it was."""
        self.dismiss(None)


def targets(screen: Screen[object]) -> list[tuple[Widget, Offset]]:
    """What can be gone to, and where it begins: the names above, then what can have the focus."""
    found: list[tuple[Widget, Offset]] = []
    for widget in (*screen.query(TabName), *screen.focus_chain):
        region = screen._compositor.visible_widgets.get(widget)
        if region is None:
            continue
        part, clip = region
        seen = part.intersection(clip)
        if seen.area:
            found.append((widget, seen.offset))
    return found
