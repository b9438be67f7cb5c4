"""Lines of the words' modules on the screen; what names a key in them can be clicked."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual.content import Content
from textual.style import Style
from textual.widgets import Static

from aiplat.tui.peers.words import Line, Part


def content_of(lines: Iterable[Line]) -> Content:
    """Lines as Textual draws them."""
    return Content("\n").join([Content.assemble(*map(_part, line)) for line in lines])


def _part(part: Part) -> Content | tuple[str, str]:
    text, style = part
    if not style.startswith("@"):
        return text, style
    key, _, words = text.partition(" ")
    click = Style.from_meta({"@click": f"press({style[1:]!r})"})
    shown = Content.assemble((key, "bold $accent"), (f" {words}", "$text-muted"))
    return shown.stylize(click)


class Told(Static):
    """Some lines. It takes no room while there are none, and is drawn anew only when they change.

    Whoever holds it has `press`, which does the action of that id.
    """

    DEFAULT_CSS = """
    Told { height: auto; display: none; padding: 0 1; }
    Told.-shown { display: block; }
    """

    ALLOW_SELECT: ClassVar[bool] = True

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__("", id=id, classes=classes, markup=False)
        self.auto_links = False  # what can be clicked has colours of its own
        self.lines: tuple[Line, ...] = ()

    def tell(self, lines: Iterable[Line]) -> None:
        """Show these."""
        wanted = tuple(lines)
        if wanted == self.lines:
            return
        self.lines = wanted
        self.set_class(bool(wanted), "-shown")
        self.update(content_of(wanted))

    async def action_press(self, name: str) -> None:
        """Do what the key of that action does."""
        for node in self.ancestors:
            for _, binding in node._bindings:
                if binding.id == name:
                    await self.app.run_action(binding.action, default_namespace=node)
                    return
