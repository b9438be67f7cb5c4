"""A text that is told again and again, and drawn when it is another."""

from __future__ import annotations

from textual.content import Content
from textual.visual import VisualType
from textual.widgets import Static


class Steady(Static):
    """The text. Textual's own lays the whole screen out anew each time, some ms each second."""

    def __init__(
        self, text: str = "", *, id: str | None = None, classes: str | None = None
    ) -> None:
        super().__init__(text, id=id, classes=classes, markup=False)
        self._told: Content | None = None

    def update(self, content: VisualType = "", *, layout: bool = True) -> None:
        """Show it, unless it is shown."""
        told = content if isinstance(content, Content) else None
        if told is not None and self._told is not None and told.is_same(self._told):
            return
        self._told = told
        super().update(content, layout=layout)
