"""What can be done where the focus is."""

from __future__ import annotations

from textual.app import App

from aiplat.tui.dialogs import ShowText


class HelpScreen(ShowText):
    """It."""

    @classmethod
    def of(cls, app: App[None]) -> HelpScreen:
        """Make it."""
        return cls("Help", "")
