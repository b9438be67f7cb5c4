"""A line that says what is wrong or what happened, and is gone when nothing is."""

from __future__ import annotations

from typing import Literal

from textual.content import Content
from textual.widgets import Static

from aiplat.tui.text import clean

Kind = Literal["info", "warning", "error"]


class Notice(Static):
    """The line. It takes no room while it is empty."""

    DEFAULT_CSS = """
    Notice { display: none; height: auto; max-height: 6; padding: 0 1; background: $surface; }
    Notice.-shown { display: block; }
    Notice.-info { color: $foreground; }
    Notice.-warning { color: $warning; }
    Notice.-error { color: $error; }
    """

    def __init__(self, *, id: str | None = None) -> None:  # Textual's own name
        super().__init__("", id=id, markup=False)
        self.text = ""

    def tell(self, text: str, kind: Kind = "info") -> None:
        """Show it, or nothing when it is empty."""
        if text == self.text and self.has_class(f"-{kind}"):
            return
        self.text = text
        self.set_classes(f"-{kind}" + (" -shown" if text else ""))
        self.update(Content(clean(text)))
