"""Jump mode."""

from __future__ import annotations

from textual.screen import ModalScreen, Screen
from textual.widget import Widget


class JumpScreen(ModalScreen[Widget | None]):
    """It."""

    def __init__(self, below: Screen[object]) -> None:
        super().__init__()
        self.below = below
