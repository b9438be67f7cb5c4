"""Log lines written by a thread: who logs never waits for a pipe or a disk.

The node logs on its loop. A reader that has stalled (``aiplat serve 2>&1 | less``) would stop the
loop with the next line, and its peers would take the node for dead. Lines that come close to each
other are written at once: a thread that wakes for each takes the interpreter from the loop.
"""

from __future__ import annotations

import copy
import logging
import math
import queue
import threading
import time

ROOM = 10_000
"""Lines that may wait; further ones are dropped and counted."""

CLOSE_SECONDS = 1.0
"""For what waits to be written, when a log is closed."""

_GATHER = 0.02
"""Seconds between two writes: lines that come meanwhile are written together."""
_AT_ONCE = 1000
_CHARS = 65_536
"""Of what is written at once; a line is never cut."""


class Behind(logging.Handler):
    """Hands lines to `target` in a thread of its own.

    Arguments:
        target: writes them; nobody else may use it. It is given several as one, ready made.
        formatter: makes the text of a line.
        room: how many may wait.
        gather: seconds between two writes; a line that comes alone is written at once.
        chars: as many are given at once, or one line.
    """

    def __init__(
        self,
        target: logging.Handler,
        formatter: logging.Formatter,
        room: int = ROOM,
        gather: float = _GATHER,
        chars: int = _CHARS,
    ) -> None:
        super().__init__()
        self.setFormatter(formatter)
        target.setFormatter(_AsItIs())
        target.lock = None  # one thread writes; one that hangs in it would hang the exit too
        self.waiting: queue.SimpleQueue[logging.LogRecord | None] = queue.SimpleQueue()
        self._target = target
        self._room = room
        self._gather = gather
        self._chars = chars
        self._written = -math.inf
        self._dropped = 0
        self._given_up = False
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._write, name="aiplat.log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Let it wait; when there is no room, drop it, and say later how many were."""
        if self.waiting.qsize() >= self._room:
            self._dropped += 1
            return
        if self._dropped:
            self.waiting.put(self._about_dropped())
            self._dropped = 0
        # Its text is fixed now: what it is made of may change. The rest is made by the thread.
        fixed = copy.copy(record)
        fixed.msg, fixed.args = record.getMessage(), None
        self.waiting.put(fixed)

    def _about_dropped(self) -> logging.LogRecord:
        text = f"{self._dropped} lines of this log were dropped: they were not written fast enough"
        return logging.LogRecord(__name__, logging.WARNING, __file__, 0, text, None, None)

    def _write(self) -> None:
        is_last = False
        while not is_last:
            batch, is_last = self._next()
            if self._given_up:
                return
            self._write_all(batch)

    def _write_all(self, batch: list[logging.LogRecord]) -> None:
        texts: list[str] = []
        size = 0
        for record in batch:
            text = self._text(record)
            if text is None:
                continue
            if size + len(text) > self._chars:
                self._give(texts)
                size = 0
            texts.append(text)
            size += len(text) + 1
        self._give(texts)

    def _give(self, texts: list[str]) -> None:
        """Write lines as one, and take them off the list."""
        if texts:
            joined = "\n".join(texts)
            texts.clear()
            made = logging.LogRecord(__name__, logging.INFO, __file__, 0, joined, None, None)
            self._target.handle(made)
            self._written = time.monotonic()

    def _next(self) -> tuple[list[logging.LogRecord], bool]:
        """Those that wait, at least one, and whether it is the end; waits for it."""
        first = self.waiting.get()
        if first is None:
            return [], True
        self._closing.wait(max(0.0, self._written + self._gather - time.monotonic()))
        batch = [first]
        while len(batch) < _AT_ONCE and not self.waiting.empty():
            record = self.waiting.get()
            if record is None:
                return batch, True
            batch.append(record)
        return batch, False

    def _text(self, record: logging.LogRecord) -> str | None:
        """What is written of it; None for what the target does not take, or cannot be told."""
        try:
            return self.format(record) if self._target.filter(record) else None
        except Exception:  # noqa: BLE001  # one line's fault costs no other line
            self._target.handleError(record)
            return None

    def close(self) -> None:
        """Write what waits, within `CLOSE_SECONDS`; then nothing more. Also called at exit."""
        if self._thread.is_alive():
            self._closing.set()
            self.waiting.put(None)
            self._thread.join(CLOSE_SECONDS)
        self._given_up = self._thread.is_alive()
        if not self._given_up:
            self._target.close()
        super().close()


class _AsItIs(logging.Formatter):
    """Of text that is made already; the target's own filters looked at each line before."""

    def format(self, record: logging.LogRecord) -> str:
        return str(record.msg)
