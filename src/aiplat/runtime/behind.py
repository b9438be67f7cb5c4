"""Log lines written by a thread: who logs never waits for a pipe or a disk.

The node logs on its loop. A reader that has stalled (``aiplat serve 2>&1 | less``) would stop the
loop with the next line, and its peers would take the node for dead.
"""

from __future__ import annotations

import copy
import logging
import logging.handlers
import queue
import threading

ROOM = 10_000
"""Lines that may wait; further ones are dropped and counted."""

CLOSE_SECONDS = 1.0
"""For what waits to be written, when a log is closed."""


class Behind(logging.handlers.QueueHandler):
    """Hands lines to `target` in a thread of its own.

    Arguments:
        target: writes them; nobody else may use it.
        room: how many may wait.
    """

    queue: queue.Queue[logging.LogRecord | None]

    def __init__(self, target: logging.Handler, room: int = ROOM) -> None:
        super().__init__(queue.Queue(room))
        target.lock = None  # one thread writes; one that hangs in it would hang the exit too
        self._target = target
        self._dropped = 0
        self._given_up = False
        self._thread = threading.Thread(target=self._write, name="aiplat.log", daemon=True)
        self._thread.start()

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        """Fix the text now: what it is made of may change. The rest is formatted by the thread."""
        fixed = copy.copy(record)
        fixed.msg, fixed.args = record.getMessage(), None
        return fixed

    def enqueue(self, record: logging.LogRecord) -> None:
        """Let it wait; when there is no room, drop it, and say later how many were."""
        try:
            if self._dropped:
                self.queue.put_nowait(self._about_dropped())
                self._dropped = 0
            self.queue.put_nowait(record)
        except queue.Full:
            self._dropped += 1

    def _about_dropped(self) -> logging.LogRecord:
        text = f"{self._dropped} lines of this log were dropped: they were not written fast enough"
        return logging.LogRecord(__name__, logging.WARNING, __file__, 0, text, None, None)

    def _write(self) -> None:
        while (record := self.queue.get()) is not None and not self._given_up:
            self._target.handle(record)

    def close(self) -> None:
        """Write what waits, within `CLOSE_SECONDS`; then nothing more. Also called at exit."""
        if self._thread.is_alive():
            try:
                self.queue.put(None, timeout=CLOSE_SECONDS)
                self._thread.join(CLOSE_SECONDS)
            except queue.Full:
                pass  # nobody reads: what waits is lost
        self._given_up = self._thread.is_alive()
        if not self._given_up:
            self._target.close()
        super().close()
