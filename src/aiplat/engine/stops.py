"""Finds stop strings in text that comes in pieces. Pure."""

from __future__ import annotations


class StopFilter:
    """Lets text through up to the first stop string, and holds back what may become one.

    The stop string that is whole first wins; of several that end at the same character the
    longest. So the answer is the same however its text was cut into pieces.

    Arguments:
        stops: the strings, none of them empty.
    """

    __slots__ = ("_held", "_stops", "found", "stopped")

    def __init__(self, stops: tuple[str, ...] = ()) -> None:
        self._stops = stops
        self._held = ""
        self.stopped = False
        self.found = ""
        """The stop string that came; empty while none did."""

    @property
    def idle(self) -> bool:
        """Whether there is nothing to look for."""
        return not self._stops

    def push(self, text: str) -> str:
        """Take the next piece; give what is certain to come before any stop string."""
        if self.stopped:
            return ""
        if not self._stops:
            return text
        text = self._held + text
        ends = [(at + len(stop), at) for stop in self._stops if (at := text.find(stop)) >= 0]
        if ends:
            end, start = min(ends)
            self.stopped, self._held, self.found = True, "", text[start:end]
            return text[:start]
        keep = self._undecided(text)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def flush(self) -> str:
        """The end: what was held back was no stop string after all."""
        held, self._held = self._held, ""
        return held

    def _undecided(self, text: str) -> int:
        """How many characters at the end of `text` may be the beginning of a stop string."""
        longest = min(len(text), max(map(len, self._stops)) - 1)
        for length in range(longest, 0, -1):
            tail = text[len(text) - length :]
            if any(stop.startswith(tail) for stop in self._stops):
                return length
        return 0
