"""The full screen in a real terminal, with real nodes and the real model, driven by keys."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.nodes import RunningNode, aiplat
from tests.support.tmux import Tmux, needs_tmux
from tests.support.waiting import eventually

pytestmark = [needs_tmux]

FENCED = "Say this:\n\n```python\nprint('hello from a block')\n```\n"


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    made = tmp_path / "h"
    yield made
    aiplat(made, "stop", "--now")


def welcomed(home: Path) -> None:
    """Leave out the card of the first run."""
    (home / "data").mkdir(parents=True, mode=0o700, exist_ok=True)
    home.chmod(0o700)
    (home / "data" / "terminal.json").write_text('{"welcomed": true, "animation": false}')


def stopped(screen: Tmux) -> bool:
    """Stop an answer, which keeps what came; the small model may be done before, a few times."""
    for number in range(1, 6):
        screen.keys("C-n")
        screen.until("Ask something.", "Ready")
        screen.type(f"Tell me the whole story of a boy and his {number} dragons, in many words.")
        screen.keys("Enter")
        screen.until("You", f"{number} dragons")
        eventually(lambda: "tokens · Esc stops" in screen.text or "✓ done" in screen.text)
        screen.keys("Escape")
        eventually(lambda: "■ stopped" in screen.text or "✓ done" in screen.text)
        if "■ stopped" in screen.text:
            return True
    return False


@pytest.mark.slow
@pytest.mark.model
def test_the_first_run_ends_in_an_answer(home: Path, tmp_path: Path, model_cache: Path) -> None:
    screen = Tmux(tmp_path, home, "tui", AIPLAT_CACHE=str(model_cache))
    try:
        text = screen.until("Welcome to aiplat", "1 Chat", "2 Peers", "3 Keys", "4 Usage", "5 Logs")
        assert "Create a network" in text and "Just chat" in text
        screen.keys("Escape")
        screen.until("Welcome to aiplat", gone=True)
        screen.type("What is the capital of France?")
        screen.keys("Enter")
        text = screen.until("✓ done", "Paris", "tok/s", "this node", seconds=240)
        assert "smollm2-135m" in text
        assert stopped(screen), "no answer was long enough to be stopped"
        screen.keys("C-q")
        eventually(lambda: not screen.runs)
    finally:
        screen.close()
    # The node stays, and what was asked is kept; the card does not come again.
    listed = json.loads(aiplat(home, "history", "list", "--json").stdout)
    assert "capital of France" in json.dumps(listed)
    again = Tmux(tmp_path, home, "tui", AIPLAT_CACHE=str(model_cache))
    try:
        text = again.until("What is the", "● ")
        assert "Welcome to aiplat" not in text
    finally:
        again.close()


def test_a_day_at_the_screen(home: Path, tmp_path: Path) -> None:
    """Copies code, makes and revokes a key, watches a peer die, survives its node's restart."""
    welcomed(home)
    node = RunningNode(home, "--model", "echo")
    other: RunningNode | None = None
    screen = Tmux(tmp_path, home, "tui", size=(120, 36))
    try:
        screen.until("Ready: echo")
        # A block of code is copied by one key, into tmux's own buffer.
        for line in FENCED.split("\n"):
            screen.type(line)
            screen.keys("C-j")
        screen.keys("Enter")
        screen.until("✓ done")
        screen.keys("M-c")
        screen.until("Copied to tmux")
        eventually(lambda: screen.copied.strip() == "print('hello from a block')")
        # A key is made, shown once, and revoked by its name.
        screen.keys("M-3")
        screen.until("operator", "No key holds yet")
        screen.until("n New key")  # its keys are there
        screen.keys("n")
        screen.until("New key", "Make it")
        screen.type("laptop")
        screen.keys("BTab", "Enter")
        screen.until("sk-aip-")
        screen.keys("c")
        eventually(lambda: screen.copied.startswith("sk-aip-"))
        screen.keys("Escape")
        screen.until("sk-aip-", gone=True)
        screen.until("laptop", "active")
        screen.keys("x")
        screen.until("Type laptop to confirm")
        screen.type("laptop")
        screen.keys("Enter")
        screen.until("Type laptop", gone=True)
        eventually(lambda: "laptop" not in aiplat(home, "keys", "list", "--json").stdout)
        # A peer comes, is seen, and dies.
        other = RunningNode(
            tmp_path / "o", "--role", "processor", "--model", "echo", "--peer", node.address
        )
        name = other.peer_id[-8:]
        screen.keys("M-2")
        screen.until(name, "connected")
        os.kill(other.process.pid, signal.SIGKILL)
        screen.until(name, gone=True, seconds=60)
        # The node is killed: the screen says so, what was said stays, and goes on with the next.
        screen.keys("M-1")
        screen.until("hello from a block")
        node.kill()
        text = screen.until("The node ended", "F4: not")
        assert "hello from a block" in text
        screen.keys("F4")
        screen.until("what you see stays")
        node.close()
        node = RunningNode(home, "--model", "echo")
        screen.until("what you see stays", gone=True)
        assert "hello from a block" in screen.text
        screen.type("And again")
        screen.keys("Enter")
        eventually(lambda: screen.text.count("✓ done") == 2)
        screen.keys("C-q")
        eventually(lambda: not screen.runs)
    finally:
        screen.close()
        node.close()
        if other is not None:
            other.close()
