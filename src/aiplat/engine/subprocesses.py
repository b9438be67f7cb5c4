"""Runs and watches a command that says ``Progress N of M``, or fills a folder. Blocking."""

from __future__ import annotations

import contextlib
import re
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

_PROGRESS = re.compile(r"Progress (\d+) of (\d+)")
_KEPT_LINES = 40
_MAX_SENTENCE = 800
_LOOK_SECONDS = 0.2


class Ended(NamedTuple):
    """How a command ended: its exit status, and the last line that says what was wrong."""

    status: int
    last: str


def run_counted(
    command: list[str],
    progress: Callable[[int, int], None],
    silence: float,
    *,
    look: Callable[[], bool] = lambda: False,
    environ: Mapping[str, str] | None = None,
    tied: bool = False,
) -> Ended:
    """Run `command` to its end; it is killed when nobody waits for it any more.

    What `progress` or `look` raises ends it, and is raised here.

    Arguments:
        progress: called with N and M of each line ``Progress N of M``; and a few times a second
            with the last again, from another thread: 0 of 0 while nothing was said.
        silence: seconds without a line or a change after which it is killed.
        look: asked a few times a second, from another thread, whether something changed.
        environ: its environment; None hands this process's on.
        tied: its input stays open as long as this process wants it; it ends itself when that ends.
    """
    lines: deque[str] = deque(maxlen=_KEPT_LINES)
    last = (0, 0)

    def again() -> bool:
        progress(*last)
        return look()

    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE if tied else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=environ,
    ) as process:
        watch = _Watch(process, silence, again)
        try:
            assert process.stdout is not None  # it is a pipe
            for line in process.stdout:
                watch.rest()
                if found := _PROGRESS.match(line):
                    last = int(found[1]), int(found[2])
                    progress(*last)
                elif line.strip():
                    lines.append(line.strip())
        finally:
            watch.end()
            _finish(process)
    if watch.raised is not None:
        raise watch.raised
    if watch.barked:
        return Ended(-1, f"it said nothing for {silence:g} s")
    return Ended(process.returncode, _why(lines, process.returncode))


def _finish(process: subprocess.Popen[str]) -> None:
    """Its output has ended, or we were interrupted: a moment to go by itself, then none."""
    try:
        process.wait(timeout=1.0)
    except subprocess.TimeoutExpired:
        process.kill()


def _why(lines: deque[str], status: int) -> str:
    errors = [line for line in lines if line.startswith(("ERROR:", "OSError"))]
    if status == -signal.SIGKILL and not errors:
        return "it was killed, most often for want of memory"
    text = (errors or list(lines) or ["it gave no reason"])[-1]
    return text.removeprefix("ERROR:").strip().rstrip(".")[:_MAX_SENTENCE]


class _Watch:
    """Kills a process that is silent for too long, or that nobody wants: whose `look` raises."""

    def __init__(
        self, process: subprocess.Popen[str], seconds: float, look: Callable[[], bool]
    ) -> None:
        self._process, self._seconds, self._look = process, seconds, look
        self.barked = False
        self.raised: Exception | None = None
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
        try:
            self.barked = self._is_silent()
        except Exception as error:  # noqa: BLE001  # whatever it is: it is raised to who waits
            self.raised = error
        if self.barked or self.raised is not None:
            self._process.kill()

    def _is_silent(self) -> bool:
        """Watch it; whether it was silent for too long, or just ended."""
        quiet = 0.0
        while quiet < self._seconds:
            tick = min(_LOOK_SECONDS, self._seconds)
            if self._heard.wait(tick):
                self._heard.clear()
                quiet = 0.0
            else:
                quiet = 0.0 if self._look() else quiet + tick
            if self._ended:
                return False
        return True


class Growth:
    """Tells how a folder fills: for what says nothing on its way.

    Arguments:
        folder: what is in it counts, at any depth, in bytes.
        grown: called with the bytes, at each look.
    """

    def __init__(self, folder: Path, grown: Callable[[int], None]) -> None:
        self._folder, self._grown = folder, grown
        self._seen = 0

    def __call__(self) -> bool:
        """Look; whether there is more or less than at the last look."""
        size = 0
        for path in self._folder.rglob("*"):
            with contextlib.suppress(OSError):  # it was there a moment ago
                size += path.lstat().st_size
        changed, self._seen = size != self._seen, size
        self._grown(size)
        return changed
