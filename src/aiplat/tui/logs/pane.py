"""The pane Logs."""

from __future__ import annotations

from textual.app import ComposeResult

from aiplat.tui.notice import Notice
from aiplat.tui.pane import Pane


class LogsPane(Pane):
    """It."""

    def compose(self) -> ComposeResult:
        """Its parts."""
        yield Notice()
