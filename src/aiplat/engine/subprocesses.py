"""Runs and watches a command that says ``Progress N of M`` on its way, as pip does. Blocking."""

from __future__ import annotations

import re
import subprocess
import threading
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

_PROGRESS = re.compile(r"Progress (\d+) of (\d+)")
_KEPT_LINES = 40
_MAX_SENTENCE = 300


class Ended(NamedTuple):
    """How a command ended: its exit status, and the last line that says what was wrong."""

    status: int
    last: str


def run_counted(command: list[str], progress: Callable[[int, int], None], silence: float) -> Ended:
    """Run `command` to its end; it is killed when nobody waits for it any more.

    Arguments:
        progress: called with N and M of each line ``Progress N of M``.
        silence: seconds without a line after which it is killed.
    """
    lines: deque[str] = deque(maxlen=_KEPT_LINES)
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        watch = _Watch(process, silence)
        try:
            assert process.stdout is not None  # it is a pipe
            for line in process.stdout:
                watch.rest()
                if found := _PROGRESS.match(line):
                    progress(int(found[1]), int(found[2]))
                elif line.strip():
                    lines.append(line.strip())
        finally:
            watch.end()
            _finish(process)
    if watch.barked:
        return Ended(-1, f"it said nothing for {silence:g} s")
    return Ended(process.returncode, _why(lines))


def _finish(process: subprocess.Popen[str]) -> None:
    """Its output has ended, or we were interrupted: a moment to go by itself, then none."""
    try:
        process.wait(timeout=1.0)
    except subprocess.TimeoutExpired:
        process.kill()


def _why(lines: deque[str]) -> str:
    errors = [line for line in lines if line.startswith(("ERROR:", "OSError"))]
    text = (errors or list(lines) or ["it gave no reason"])[-1]
    return text.removeprefix("ERROR:").strip().rstrip(".")[:_MAX_SENTENCE]


class _Watch:
    """Kills a process that is silent for too long."""

    def __init__(self, process: subprocess.Popen[str], seconds: float) -> None:
        self._process, self._seconds = process, seconds
        self.barked = False
        self._heard = threading.Event()
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._thread.start()

    def rest(self) -> None:
        """A line came."""
        self._heard.set()

    def end(self) -> None:
        """It is over."""
        self._ended = True
        self._heard.set()
        self._thread.join()

    def _run(self) -> None:
        while self._heard.wait(self._seconds):
            self._heard.clear()
            if self._ended:
                return
        self.barked = True
        self._process.kill()
