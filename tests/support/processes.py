"""What everybody on this machine sees of its processes: their command lines."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_EVERY_SECONDS = 0.02
"""An interpreter takes many times that to start: none passes unseen."""


def command_lines() -> set[bytes]:
    """The command lines that there are now, their words parted by NUL (proc(5), cmdline)."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            found.add((process / "cmdline").read_bytes())
        except OSError:
            continue  # it ended meanwhile
    return found


@contextmanager
def command_lines_seen(seen: set[bytes]) -> Iterator[None]:
    """Add to `seen` all that there are from here to the end, looked at again and again."""
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(_EVERY_SECONDS):
            seen.update(command_lines())

    looking = threading.Thread(target=look, name="processes")
    looking.start()
    try:
        yield
    finally:
        ended.set()
        looking.join()
