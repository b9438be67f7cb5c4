"""The newest lines of a node's log, in memory, for who asks for them."""

from __future__ import annotations

import logging
from collections import deque
from pathlib import Path

from aiplat.control.machine import LogAsk, LogLine, LogReply
from aiplat.runtime.log_lines import check, line_of, wanted


class Ring(logging.Handler):
    """Keeps the newest lines.

    Arguments:
        lines: how many.
        file: that holds them all; a face is told.
    """

    def __init__(self, lines: int, file: Path) -> None:
        super().__init__()
        self._lines: deque[LogLine] = deque(maxlen=lines)
        self._next = 0
        self._file = file

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one more."""
        try:
            self._lines.append(line_of(record, self._next))
            self._next += 1
        except Exception:  # noqa: BLE001  # no line ends who logs it
            self.handleError(record)

    def read(self, ask: LogAsk) -> LogReply:
        """Give those that are wanted, the oldest first.

        One who says a number that was not given yet has read an earlier life's: it gets all.

        Raises:
            InvalidRequest: it asks for too much at once.
        """
        check(ask)
        lines, last = self._now()
        after = ask.after if ask.after <= last else -1
        since = [line for line in lines if line.number > after]
        found = wanted(since, ask)
        dropped = last - max(after, -1) - len(since)
        return LogReply(
            lines=tuple(found[-ask.most :]), last=last,
            lost=dropped + max(0, len(found) - ask.most), path=str(self._file),
        )  # fmt: skip

    def _now(self) -> tuple[list[LogLine], int]:
        """All of them, and the newest one's number; other threads log meanwhile."""
        self.acquire()
        try:
            return list(self._lines), self._next - 1
        finally:
            self.release()
