"""``aiplat tui`` before it draws: where it refuses, and what it leaves out of the way there."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest

from aiplat.cli import main
from tests.support.terminals import Terminal


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    made = tmp_path / "home"
    monkeypatch.setenv("AIPLAT_HOME", str(made))
    return made


@pytest.mark.parametrize("words", [["tui"], ["--home", "x", "tui"], ["tui", "--home=x"]])
def test_without_a_terminal_it_says_what_to_use_instead(
    words: list[str], home: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    assert main.run(words) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("error:") == 1
    assert "needs a terminal" in err and " chat`" in err and " ask " in err
    assert not home.exists()


@pytest.mark.parametrize("closed", ["stdin", "stdout"])
def test_with_a_closed_stream_it_says_so_too(
    closed: str, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    keyboard = io.TextIOWrapper(io.BytesIO(b""))
    monkeypatch.setattr(keyboard, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys, "stdin", keyboard)
    monkeypatch.setattr(sys, closed, None)
    assert main.run(["tui"]) == 2
    assert "needs a terminal" in capsys.readouterr().err
    assert not home.exists()


def test_a_terminal_that_cannot_be_drawn_on_is_refused(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path / "h", "tui", TERM="dumb")
    try:
        terminal.until("TERM is 'dumb'")
        assert terminal.end() == 2
    finally:
        terminal.close()


def test_its_way_imports_no_other_command() -> None:
    code = (
        "import sys, aiplat.cli.main, aiplat.cli.tui, aiplat.tui.app\n"
        "heavy = {'typer', 'httpx', 'trio', 'libp2p', 'torch', 'markdown_it', 'pygments', 'h11',\n"
        "         'aiplat.control.calls', 'aiplat.tui.chat.pane', 'textual.widgets._markdown',\n"
        "         'textual.widgets._data_table'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


def test_help_is_that_of_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["tui", "--help"]) == 0
    assert "full screen" in capsys.readouterr().out
