"""The screen of settings."""

from __future__ import annotations

from aiplat.tui.dialogs import ShowText


class SettingsScreen(ShowText):
    """It."""

    def __init__(self) -> None:
        super().__init__("Settings", "")
