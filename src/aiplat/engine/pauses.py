"""How long to wait before a process is started again. Pure."""

from __future__ import annotations


class Pauses:
    """Doubles from `first` to `most`, and begins anew after a life of `reset`; all in seconds."""

    def __init__(self, first: float, most: float, reset: float) -> None:
        self._first, self._most, self._reset = first, most, reset
        self._next = min(first, most)

    def after(self, lived: float) -> float:
        """The pause after a life of `lived` seconds."""
        if lived >= self._reset:
            self._next = min(self._first, self._most)
        pause = self._next
        self._next = min(self._most, pause * 2)
        return pause
