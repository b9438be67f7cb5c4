"""A command in a terminal of tmux: typed at and read as a person would."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests.support.nodes import COMMAND, environment

needs_tmux = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")
_PAUSE = 0.05


class Tmux:
    """One command in a tmux server of its own.

    Arguments:
        folder: for the server's socket.
        home: of the node.
        words: the command, behind ``aiplat``.
        size: columns and lines.
        extra: of the environment.
    """

    def __init__(
        self, folder: Path, home: Path, *words: str, size: tuple[int, int] = (110, 34),
        **extra: str,
    ) -> None:  # fmt: skip
        self._socket = folder / "tmux.sock"
        env = environment(LANG="C.UTF-8", TERM="xterm-256color", HOME=str(folder))
        env = {name: value for name, value in env.items() if name not in ("TMUX", "NO_COLOR")}
        line = shlex.join(
            ["env", *(f"{k}={v}" for k, v in extra.items()), *COMMAND, "--home", str(home), *words]
        )
        columns, lines = size
        self._env = env
        self._tmux("-f", os.devnull, "new-session", "-d", "-s", "t", "-x", str(columns),
                   "-y", str(lines), line)  # fmt: skip

    def _tmux(self, *words: str) -> str:
        done = subprocess.run(
            ["tmux", "-S", str(self._socket), *words], capture_output=True, text=True, check=False,
            timeout=30, env=self._env,
        )  # fmt: skip
        return done.stdout

    @property
    def text(self) -> str:
        """What is on the screen now."""
        return self._tmux("capture-pane", "-p", "-t", "t")

    @property
    def copied(self) -> str:
        """What tmux would paste."""
        return self._tmux("show-buffer")

    @property
    def runs(self) -> bool:
        """Whether the command still does."""
        return "t" in self._tmux("list-sessions", "-F", "#{session_name}").split()

    def keys(self, *names: str) -> None:
        """Press keys, by tmux's names: ``Enter``, ``M-Up``, ``C-q``."""
        self._tmux("send-keys", "-t", "t", *names)

    def type(self, text: str) -> None:
        """Type a text."""
        self._tmux("send-keys", "-t", "t", "-l", text)

    def until(self, *wanted: str, seconds: float = 120, gone: bool = False) -> str:
        """Wait until all of that is on the screen (or none of it), and give the screen."""
        deadline = time.monotonic() + seconds
        while True:
            text = self.text
            if all((part in text) != gone for part in wanted):
                return text
            assert time.monotonic() < deadline, (
                f"{wanted} {'still' if gone else 'not'} shown after {seconds:g} s:\n{text}"
            )
            time.sleep(_PAUSE)

    def close(self) -> None:
        """End it and its server."""
        self._tmux("kill-server")
