"""The pane Chat."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.widgets import TextArea

from aiplat.tui.notice import Notice
from aiplat.tui.pane import Pane


class ChatPane(Pane):
    """It."""

    def compose(self) -> ComposeResult:
        """Its parts."""
        yield Notice()
        yield TextArea()
