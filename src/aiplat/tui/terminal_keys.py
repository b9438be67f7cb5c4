"""Mends how Textual 8.2.8 reads Alt on terminals that send it as an escape before the key.

It takes Alt+1 for the ``¡`` that a Mac's keyboard makes, Alt+Enter for Enter, and lets Alt+C type a
``c``. (Terminals that speak kitty's keyboard protocol say what was pressed, and need none of this.)
"""

from __future__ import annotations

from enum import StrEnum

from textual._ansi_sequences import ANSI_SEQUENCES_KEYS
from textual.events import Key


class AltKeys(StrEnum):
    """What `textual.keys.Keys` lacks."""

    AltEnter = "alt+enter"


def mend() -> None:
    """Have them read as what they are; once, or again, for the whole process."""
    assert isinstance(ANSI_SEQUENCES_KEYS, dict)
    for digit in "0123456789":
        ANSI_SEQUENCES_KEYS.pop(f"\x1b{digit}", None)
    ANSI_SEQUENCES_KEYS["\x1b\r"] = (AltKeys.AltEnter,)


def untyped(event: Key) -> Key:
    """Take the character from a key that was pressed with Alt: it is not to be typed."""
    if event.key.startswith("alt+"):
        event.character = None
    return event
