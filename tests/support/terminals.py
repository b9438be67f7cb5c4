"""A command before a person: on a pseudo-terminal of its own, which shows and is typed at."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import time
from pathlib import Path

from tests.support.nodes import COMMAND, environment


class Terminal:
    """A command on a pseudo-terminal of its own; `text` is all that it showed so far."""

    def __init__(self, home: Path, *words: str, **extra: str) -> None:
        shown, theirs = pty.openpty()
        self._shown = shown
        env = environment(**{"TERM": "xterm", "LANG": "C.UTF-8"} | extra)
        if extra.get("NO_COLOR") == "":
            del env["NO_COLOR"]
        self.process = subprocess.Popen(
            [*COMMAND, "--home", str(home), *words],
            stdin=theirs, stdout=theirs, stderr=theirs, env=env, start_new_session=True,
            preexec_fn=_own_terminal,
        )  # fmt: skip
        os.close(theirs)
        self._data = b""
        self._seen = 0

    @property
    def text(self) -> str:
        return self._data.decode("utf-8", "replace")

    def until(self, wanted: str, seconds: float = 120) -> None:
        """Read until `wanted` was shown, after what was waited for before."""
        deadline = time.monotonic() + seconds
        while (found := self._data.find(wanted.encode(), self._seen)) < 0:
            left = deadline - time.monotonic()
            assert left > 0, f"{wanted!r} not shown within {seconds} s: {self.text!r}"
            assert self._read(left), f"it ended before {wanted!r}: {self.text!r}"
        self._seen = found + len(wanted.encode())

    def _read(self, seconds: float) -> bool:
        if not select.select([self._shown], [], [], seconds)[0]:
            return True
        try:
            data = os.read(self._shown, 4096)
        except OSError:  # the last one on the other side left
            return False
        self._data += data
        return bool(data)

    def type(self, text: str) -> None:
        os.write(self._shown, text.encode())

    def end(self, seconds: float = 60) -> int:
        """Read to the end; gives the exit code."""
        deadline = time.monotonic() + seconds
        while self._read(0.1) and self.process.poll() is None:
            assert time.monotonic() < deadline, self.text
        return self.process.wait(seconds)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._shown)


def _own_terminal() -> None:
    """Make stdin the controlling terminal, so that Ctrl-C typed there is SIGINT."""
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
