"""What is typed or piped in besides the command line: passwords, names, and that none is shown."""

from __future__ import annotations

import getpass
import io
import os
import pty
import select
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from typing import BinaryIO

import pytest
import typer

from aiplat.cli import typed
from aiplat.domain.errors import ConfigError, DeadlineExceeded, InvalidRequest

Capture = pytest.CaptureFixture[str]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def typing(monkeypatch: pytest.MonkeyPatch, *hidden: str, lines: str = "") -> list[str]:
    """A person at a terminal who types these; gives what is asked for, hidden."""
    asked: list[str] = []
    left = iter(hidden)

    def ask(prompt: str) -> str:
        asked.append(prompt)
        return next(left)

    monkeypatch.setattr(sys, "stdin", Terminal(lines))
    monkeypatch.setattr(getpass, "getpass", ask)
    return asked


def piped(data: bytes | BinaryIO, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO(data) if isinstance(data, bytes) else data
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(raw))


def test_a_new_password_is_asked_for_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = typing(monkeypatch, "pw", "pw")
    assert typed.new_password("ann\x1b[2J") == "pw"
    assert asked == ["New password for ann·[2J: ", "The same again: "]


def test_two_that_differ_are_asked_for_again_three_times_in_all(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    typing(monkeypatch, "a1", "b2", "", "c3", "c3")
    assert typed.new_password("ann") == "c3"
    assert capsys.readouterr().err == "The two differ.\nIt is empty.\n"
    asked = typing(monkeypatch, *"ababab", "never asked for")
    with pytest.raises(InvalidRequest, match="in 3 tries"):
        typed.new_password("ann")
    assert len(asked) == 6


def test_a_password_of_an_account_is_asked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    assert typing(monkeypatch, "pw") == []
    assert typed.password("ann") == "pw"


@pytest.mark.parametrize(
    ("data", "line"),
    [(b"pw\n", "pw"), (b"pw", "pw"), (b"pw\r\nmore\n", "pw"), (b" p w \n", " p w "),
     ("schl\u00fcssel\n".encode(), "schl\u00fcssel"), (b"x" * 4096, "x" * 4096)],
)  # fmt: skip
def test_without_a_terminal_the_first_line_is_it(
    data: bytes, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    piped(data, monkeypatch)
    assert typed.new_password("ann") == line
    piped(data, monkeypatch)
    assert typed.password("ann") == line


def test_a_second_line_stays_for_who_wants_it(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    with open(reader, "rb") as stdin, open(writer, "wb", buffering=0) as other:
        piped(stdin, monkeypatch)
        other.write(b"pw\r\nco")
        assert typed.new_password("ann") == "pw"
        other.write(b"de\n\nmore")  # and the pipe stays open
        assert typed.piped_line("code") == "code"
        assert typed.piped_line("code", needed=False) == ""
        other.close()
        assert typed.piped_line("code", needed=False) == "more"
        assert typed.piped_line("code", needed=False) == ""
        with pytest.raises(InvalidRequest, match="No code came on stdin"):
            typed.piped_line("code")


@pytest.mark.parametrize(
    ("data", "why"),
    [(b"", "No password came"), (b"\n", "No password came"), (b"\r\n", "No password came"),
     (b"secret\xff\n", "not UTF-8"), (b"x" * 5000, "more than 4096 bytes")],
)  # fmt: skip
def test_what_is_no_password_is_refused_without_a_word_of_it(
    data: bytes, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    piped(data, monkeypatch)
    with pytest.raises(InvalidRequest, match=why) as refused:
        typed.password("ann")
    assert "secret" not in str(refused.value)
    assert "ff" not in str(refused.value)


def test_without_any_stdin_nothing_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert not typed.is_human()
    with pytest.raises(InvalidRequest, match="No password came"):
        typed.password("ann")


def test_a_pipe_that_says_nothing_has_a_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    with open(reader, "rb") as stdin, open(writer, "wb", buffering=0) as other:
        piped(stdin, monkeypatch)
        monkeypatch.setattr(typed, "_PIPE_SECONDS", 0.05)
        with pytest.raises(DeadlineExceeded, match=r"within 0\.05 s"):
            typed.password("ann")
        other.write(b"a pipe that stays open\n")  # its line is enough
        monkeypatch.setattr(typed, "_PIPE_SECONDS", 60.0)
        assert typed.password("ann") == "a pipe that stays open"


def test_a_terminal_that_cannot_hide_is_not_typed_at(monkeypatch: pytest.MonkeyPatch) -> None:
    def shown(prompt: str) -> str:
        warnings.warn("Can not control echo on the terminal.", getpass.GetPassWarning, stacklevel=2)
        raise AssertionError("it was typed in the open")

    monkeypatch.setattr(getpass, "getpass", shown)
    with warnings.catch_warnings():
        warnings.simplefilter("default")  # as for a person; in tests a warning is an error anyhow
        with pytest.raises(ConfigError, match="cannot hide what is typed"):
            typed.hidden("Password")


def test_the_end_of_the_terminal_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def ended(prompt: str) -> str:
        raise EOFError

    monkeypatch.setattr(sys, "stdin", Terminal(""))
    monkeypatch.setattr(getpass, "getpass", ended)
    for ask in (typed.hidden, typed.line):
        with pytest.raises(typer.Abort):
            ask("Name")


def test_a_line_that_is_no_text_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    piped(b"\xff\n", monkeypatch)
    with pytest.raises(InvalidRequest, match="not UTF-8"):
        typed.line("Name")


@pytest.mark.parametrize(
    ("lines", "sure"),
    [("laptop\n", True), (" laptop \n", True), ("x\nlaptop\n", True), ("x\ny\nlaptop\n", True),
     ("x\ny\nz\nlaptop\n", False), ("\n", False), ("Laptop\n\n", False), ("yes\n\n", False)],
)  # fmt: skip
def test_a_name_is_typed_to_be_sure(
    lines: str, sure: bool, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    typing(monkeypatch, lines=lines)
    assert typed.confirmed("laptop", "revoke") is sure
    assert "Type laptop to revoke it" in capsys.readouterr().err


def test_nobody_is_asked_without_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    piped(b"laptop\n", monkeypatch)
    typed.refuse_unasked("revoke", yes=True)
    with pytest.raises(InvalidRequest, match="add --yes to revoke it"):
        typed.refuse_unasked("revoke", yes=False)


# -- on a terminal of its own -----------------------------------------------------------------

ASKS = """
import fcntl, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
from aiplat.cli import typed
print(len(typed.new_password("ann")), typed.confirmed("lap", "revoke"))
"""


@pytest.fixture
def terminal() -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    shown, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", ASKS], stdin=theirs, stdout=theirs, stderr=theirs,
        start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    yield shown, process
    process.kill()
    process.wait()
    os.close(shown)


def until(shown: int, wanted: bytes, data: bytes = b"") -> bytes:
    deadline = time.monotonic() + 60
    while wanted not in data:
        left = deadline - time.monotonic()
        assert left > 0, data
        if select.select([shown], [], [], left)[0]:
            data += os.read(shown, 4096)
    return data


def test_a_real_terminal_shows_no_password(terminal: tuple[int, subprocess.Popen[bytes]]) -> None:
    shown, process = terminal
    seen = until(shown, b"New password for ann: ")
    os.write(shown, b"hunter22\n")
    seen += until(shown, b"The same again: ")
    os.write(shown, b"hunter22\n")
    seen += until(shown, b"Type lap to revoke it, nothing to leave it: ")
    os.write(shown, b"lap\n")
    seen += until(shown, b"8 True")
    assert process.wait(60) == 0
    assert b"hunter22" not in seen
