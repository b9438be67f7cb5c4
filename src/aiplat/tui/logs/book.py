"""The lines of the log that were read: a bounded number, over the lives of the node.

Knows no widget. A divider stands where the node was started again, and where lines are missing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from aiplat.control.machine import LogLevel, LogLine, LogReply
from aiplat.tui.clock import Clock
from aiplat.tui.text import flat

MAX_LINES = 5000
_DROPPED_AT_ONCE = 500
LEVELS: tuple[LogLevel, ...] = ("debug", "info", "warning", "error", "critical")
SIGNS = {"debug": "·", "info": "○", "warning": "▲", "error": "✕", "critical": "■"}


@dataclass(frozen=True, eq=False)
class Entry:
    """A line of the log, or a divider between lines.

    Arguments:
        line: None for a divider.
        words: of the divider.
    """

    line: LogLine | None
    words: str = ""

    @cached_property
    def text(self) -> str:
        """What it says, on one line."""
        if self.line is None:
            return flat(self.words)
        return flat(f"{self.line.message} {self.line.more}")

    @cached_property
    def searched(self) -> str:
        """What is searched, in small letters."""
        line = self.line
        return f"{line.level} {line.logger} {self.text}".casefold() if line is not None else ""


class Book:
    """What was read so far."""

    def __init__(self, most: int = MAX_LINES) -> None:
        self.entries: list[Entry] = []
        self.after = -1
        self.path = ""
        self.dropped = 0
        self._most = most
        self._life = 0
        self._divider: Entry | None = None

    def begin(self, life: int) -> None:
        """Say which life of the node is asked next; in another one the numbers begin anew."""
        if self._life not in (0, life):
            self._begin_anew()
        self._life = life

    def take(self, reply: LogReply) -> list[Entry]:
        """Take what the node said; gives what is new of it, dividers too."""
        self.path = reply.path or self.path
        if reply.last < self.after:
            self._begin_anew()
            return []
        new: list[Entry] = []
        if reply.lost:
            words = "1 older line is" if reply.lost == 1 else f"{reply.lost} older lines are"
            new.append(Entry(None, f"{words} in the file alone"))
        new.extend(Entry(line) for line in reply.lines if line.number > self.after)
        self.after = max(reply.last, self.after)
        if new and self._divider is not None:
            new = [self._divider, *new]
            self._divider = None
        return self._add(new)

    def _begin_anew(self) -> None:
        self.after = -1
        if self.entries:
            self._divider = Entry(None, "the node was started again")

    def _add(self, new: list[Entry]) -> list[Entry]:
        self.entries.extend(new)
        if len(self.entries) > self._most:
            gone = max(len(self.entries) - self._most, min(_DROPPED_AT_ONCE, self._most // 10))
            del self.entries[:gone]
            self.dropped += gone
        return new


def matching(entries: Iterable[Entry], level: LogLevel, search: str) -> list[Entry]:
    """The lines of this level and graver that hold the text, whatever its case.

    Dividers stay, but not two in a row, and none at the end.
    """
    least, text = LEVELS.index(level), search.casefold().strip()
    found: list[Entry] = []
    for entry in entries:
        if entry.line is None:
            if found and found[-1].line is None:
                found.pop()
            found.append(entry)
        elif LEVELS.index(entry.line.level) >= least and (not text or text in entry.searched):
            found.append(entry)
    return found


def as_text(line: LogLine, clock: Clock) -> str:
    """A line as it is copied: date, level, who says it, what."""
    at = clock.local(line.at).isoformat(" ", "milliseconds")
    parts = (at, line.level.upper(), line.logger, line.message, line.more)
    return " ".join(flat(part) for part in parts if part)


def short_logger(name: str) -> str:
    """Who says it, without the part that all have in common."""
    return flat(name).removeprefix("aiplat.")
