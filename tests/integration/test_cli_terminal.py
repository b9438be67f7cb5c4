"""The command line before a person: a pseudo-terminal, with signs, prompts and Ctrl-C."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.nodes import COMMAND, aiplat, environment
from tests.support.waiting import eventually


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


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    made = tmp_path / "h"
    yield made
    aiplat(made, "stop", "--now")


@pytest.fixture
def terminals(home: Path) -> Iterator[list[Terminal]]:
    made: list[Terminal] = []
    yield made
    for terminal in made:
        terminal.close()


def active(home: Path) -> bool:
    return '"active": 0' not in aiplat(home, "status", "--json").stdout


def test_a_chat_is_typed_stopped_and_left(home: Path, terminals: list[Terminal]) -> None:
    terminal = Terminal(
        home, "chat", "--model", "echo", "--max-tokens", "500", NO_COLOR="",
        AIPLAT_ENGINE_ECHO_RATE="20",
    )  # fmt: skip
    terminals.append(terminal)
    terminal.until("🚀 Starting a node")
    terminal.until("> ")
    terminal.type("hello there\n")
    terminal.until("hello there")  # what the terminal echoes
    terminal.until("hello there")  # what the model says
    terminal.type("\x03")
    terminal.until("Stopped.")
    terminal.until("> ")
    eventually(lambda: not active(home))
    terminal.type("\x03")
    terminal.until("leaves.")
    terminal.type("exit\n")
    assert terminal.end() == 0
    assert "Traceback" not in terminal.text


def test_ctrl_d_leaves_a_chat(home: Path, terminals: list[Terminal]) -> None:
    terminal = Terminal(home, "chat", "--model", "echo", TERM="dumb")
    terminals.append(terminal)
    terminal.until("> ")
    terminal.type("hi\n")
    terminal.until("hi")
    terminal.until("\r\nhi")
    terminal.until("> ")
    terminal.type("\x04")
    assert terminal.end() == 0
    assert "\x1b" not in terminal.text  # a dumb terminal gets no codes
    assert "🚀" not in terminal.text


def test_ctrl_c_ends_ask(home: Path, terminals: list[Terminal]) -> None:
    terminal = Terminal(
        home, "ask", "--model", "echo", "--max-tokens", "500", "tick tock", NO_COLOR="",
        AIPLAT_ENGINE_ECHO_RATE="20",
    )  # fmt: skip
    terminals.append(terminal)
    terminal.until("tick tock")
    terminal.type("\x03")
    assert terminal.end() == 130
    assert "Traceback" not in terminal.text


@pytest.mark.parametrize(("no_color", "line"), [("", "❌ No node runs"), ("1", "error: No node")])
def test_signs_unless_they_are_unwanted(
    home: Path, terminals: list[Terminal], no_color: str, line: str
) -> None:
    terminal = Terminal(home, "status", NO_COLOR=no_color)
    terminals.append(terminal)
    assert terminal.end() == 1
    assert terminal.text.startswith(line)


def test_serve_before_a_person(home: Path, terminals: list[Terminal]) -> None:
    terminal = Terminal(home, "serve", "--model", "echo", "--http", "127.0.0.1:0", NO_COLOR="")
    terminals.append(terminal)
    terminal.until("Until this node belongs to a network, every account of this machine")
    terminal.until("🚀 aiplat")
    terminal.until("/p2p/12D3")
    refused = aiplat(home, "reset", "--yes")
    assert f"`aiplat --home {home} stop`" in refused.stderr
    terminal.type("\x03")
    assert terminal.end() == 0
    assert "Traceback" not in terminal.text


def test_reset_asks_a_person(home: Path, terminals: list[Terminal]) -> None:
    aiplat(home, "ask", "--model", "echo", "hi")
    aiplat(home, "stop")
    for answer, code in (("n\n", 1), ("y\n", 0)):
        terminal = Terminal(home, "reset")
        terminals.append(terminal)
        terminal.until("Remove it? [y/N]")
        assert (home / "state" / "token").exists()
        terminal.type(answer)
        assert terminal.end() == code
    assert not (home / "state" / "token").exists()


def test_a_frozen_node_can_be_ended(home: Path) -> None:
    aiplat(home, "ask", "--model", "echo", "hi")
    pid = int(aiplat(home, "status", "--json").stdout.split('"pid": ')[1].split(",")[0])
    os.kill(pid, signal.SIGSTOP)
    for words in (["ask", "hi"], ["status"], ["stop"]):
        began = time.monotonic()
        done = aiplat(home, *words)
        assert (done.returncode, "stop --now` ends it" in done.stderr) == (1, True)
        assert time.monotonic() - began < 30, words
    done = aiplat(home, "stop", "--now")
    assert done.returncode == 0, done.stderr
    assert aiplat(home, "ask", "--model", "echo", "again").stdout == "again\n"
