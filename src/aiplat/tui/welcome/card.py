"""The card of the first run: what one can do besides chatting."""

from __future__ import annotations

from aiplat.tui.dialogs import ShowText


class WelcomeCard(ShowText):
    """The card."""

    def __init__(self) -> None:
        super().__init__("Welcome", "The chat behind this works already.")
