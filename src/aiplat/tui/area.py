"""A text of several lines that is edited, into which nothing comes that controls the terminal."""

from __future__ import annotations

from typing import Any

from textual.document._edit import Edit
from textual.widgets import TextArea
from textual.widgets.text_area import EditResult

from aiplat.tui.line import InOrder
from aiplat.tui.text import harmless


class Area(InOrder, TextArea):
    """The field. Tabs and line feeds stay; what an editor, a paste or a model put there is cleaned.

    Arguments:
        text: what stands in it at first.
    """

    def __init__(self, text: str = "", **settings: Any) -> None:
        super().__init__(harmless(text), **settings)

    def load_text(self, text: str) -> None:
        """Put another text there."""
        super().load_text(harmless(text))

    def edit(self, edit: Edit) -> EditResult:
        """Change a part of it."""
        edit.text = harmless(edit.text)
        return super().edit(edit)
