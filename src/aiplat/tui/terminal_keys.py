"""Mends how Textual 8.2.8 reads what a terminal sends.

- Alt, which plain terminals send as an escape before the key: it takes Alt+1 for the ``¡`` of a
  Mac's keyboard, Alt+Enter for Enter, and lets Alt+C type a ``c``.
- What is pasted: an escape in it would end the paste, and the rest would be typed, Enter and all.
- Bytes that are no UTF-8 end the program there; here they become U+FFFD.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterable
from enum import StrEnum
from functools import partial

from textual._ansi_sequences import ANSI_SEQUENCES_KEYS
from textual._xterm_parser import XTermParser
from textual.events import Key
from textual.message import Message

_BEGIN = "\x1b[200~"
_END = "\x1b[201~"
"""Around what is pasted (xterm's bracketed paste mode)."""


class AltKeys(StrEnum):
    """What `textual.keys.Keys` lacks."""

    AltEnter = "alt+enter"


class PasteParser(XTermParser):
    """Reads keys and pastes; a paste reaches from its mark to its mark, whatever is in it."""

    def __init__(self, debug: bool = False) -> None:
        super().__init__(debug)
        self._pastes = False
        self._held = ""
        self._before = ""

    def feed(self, data: str) -> Iterable[Message]:
        """Take what the terminal sent; nothing at all is its end."""
        if data:
            data = self._harmless(data)
            if not data:
                return
        yield from super().feed(data)

    def _harmless(self, data: str) -> str:
        """Take escapes out of what is pasted; what may be the beginning of its end is held back."""
        data, self._held = self._held + data, ""
        parts: list[str] = []
        while data:
            if not self._pastes:
                passed = self._passed(data)
                parts.append(data[:passed])
                data = data[passed:]
                continue
            inside, mark, data = data.partition(_END)
            if not mark:
                cut = _beginning_of_end(inside)
                inside, self._held = inside[: len(inside) - cut], inside[len(inside) - cut :]
            parts += (inside.replace("\x1b", ""), mark)
            self._pastes = not mark
        return "".join(parts)

    def _passed(self, data: str) -> int:
        """How much is before the inside of a paste; its mark may come in pieces."""
        joined = self._before + data
        found = joined.find(_BEGIN)
        self._pastes = found >= 0
        if not self._pastes:
            self._before = joined[-len(_BEGIN) + 1 :]
            return len(data)
        passed = found + len(_BEGIN) - len(self._before)
        self._before = ""
        return passed


def _beginning_of_end(text: str) -> int:
    """How many characters at its end may be the first of the mark that ends a paste."""
    return next((n for n in range(len(_END) - 1, 0, -1) if text.endswith(_END[:n])), 0)


def _lenient(name: str) -> Callable[[], codecs.IncrementalDecoder]:
    return partial(codecs.getincrementaldecoder(name), errors="replace")


def mend() -> None:
    """Have what is sent read as what it is; once, or again, for the whole process."""
    assert isinstance(ANSI_SEQUENCES_KEYS, dict)
    for digit in "0123456789":
        ANSI_SEQUENCES_KEYS.pop(f"\x1b{digit}", None)
    ANSI_SEQUENCES_KEYS["\x1b\r"] = (AltKeys.AltEnter,)
    from textual.drivers import linux_driver

    vars(linux_driver).update(XTermParser=PasteParser, getincrementaldecoder=_lenient)


def untyped(event: Key) -> Key:
    """Take the character from a key that was pressed with Alt: it is not to be typed."""
    if event.key.startswith("alt+"):
        event.character = None
    return event
