"""``aiplat tui`` before it draws: where it refuses, and what it leaves out of the way there."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from aiplat.cli import main
from aiplat.cli.tui import _check_terminal
from aiplat.domain.errors import InvalidRequest
from tests.support.nodes import COMMAND, environment
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


@pytest.mark.parametrize(
    ("closed", "told"),
    [
        ("stdin", "its standard input is none"),
        ("stdout", "its standard output is none"),
        ("__stderr__", "its standard error, which it draws on, is none"),
        ("", ""),
    ],
)
def test_it_says_which_end_is_no_terminal(
    closed: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("stdin", "stdout", "__stderr__"):
        end = io.TextIOWrapper(io.BytesIO(b""))
        monkeypatch.setattr(end, "isatty", lambda: True, raising=False)
        monkeypatch.setattr(sys, name, None if name == closed else end)
    monkeypatch.setenv("TERM", "xterm")
    if not closed:
        _check_terminal()
        return
    with pytest.raises(InvalidRequest) as raised:
        _check_terminal()
    assert told in str(raised.value) and str(raised.value).count("none") == 1


def test_with_its_errors_in_a_file_it_is_not_opened_unseen(tmp_path: Path, home: Path) -> None:
    end, theirs = pty.openpty()
    try:
        with (tmp_path / "errors").open("w") as errors:
            done = subprocess.run(
                [*COMMAND, "--home", str(home), "tui"], stdin=theirs, stdout=theirs, stderr=errors,
                env=environment(TERM="dumb"), timeout=60, check=False,
            )  # fmt: skip  # it would be refused by its TERM at the latest: no node starts here
    finally:
        os.close(theirs)
        os.close(end)
    assert done.returncode == 2
    assert "its standard error, which it draws on, is none" in (tmp_path / "errors").read_text()
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
