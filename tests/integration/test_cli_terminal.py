"""The command line before a person: a pseudo-terminal, with signs, prompts and Ctrl-C."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.nodes import aiplat
from tests.support.terminals import Terminal
from tests.support.waiting import eventually


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
