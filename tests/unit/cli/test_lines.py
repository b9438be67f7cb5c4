"""Lines that a person types: what is not text is told with its place, and leaves nothing."""

from __future__ import annotations

import io
import os
import pty
import select
import subprocess
import sys
from collections.abc import Iterator

import pytest

from aiplat.cli.lines import Lines
from aiplat.domain.errors import InvalidRequest

CHILD = """
from aiplat.cli.lines import Lines
from aiplat.domain.errors import InvalidRequest
lines = Lines(1000)
while True:
    try:
        line = lines.next()
    except InvalidRequest as error:
        print("REFUSED", error, flush=True)
        continue
    print("GOT", ascii(line), flush=True)
    if line is None:
        break
"""


class Keyboard(io.TextIOWrapper):
    """A terminal that this was typed at."""

    def __init__(self, typed: bytes) -> None:
        super().__init__(io.BytesIO(typed))

    def isatty(self) -> bool:
        return True


def test_an_empty_line_leaves_nothing_when_stdout_is_no_terminal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stdin", Keyboard(b"one\n\ncaf\xe9\ntwo"))
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    lines = Lines(1000)
    assert [lines.next(), lines.next()] == ["one", ""]
    with pytest.raises(InvalidRequest, match="byte 3 is 0xe9"):
        lines.next()
    assert [lines.next(), lines.next()] == ["two", None]


class Typist:
    """Types at a process on a terminal."""

    def __init__(self, shown: int) -> None:
        self._shown = shown
        self._text = ""

    def type(self, data: bytes, until: str) -> str:
        """Type, and read on until this was shown; gives what came before it."""
        os.write(self._shown, data)
        while until not in self._text:
            assert select.select([self._shown], [], [], 60)[0], self._text
            self._text += os.read(self._shown, 4096).decode("utf-8", "replace")
        before, _, self._text = self._text.partition(until)
        return before


@pytest.fixture
def typist() -> Iterator[Typist]:
    shown, theirs = pty.openpty()
    env = os.environ | {"TERM": "dumb", "LC_ALL": "C.UTF-8", "INPUTRC": "/dev/null"}
    with subprocess.Popen(
        [sys.executable, "-c", CHILD], stdin=theirs, stdout=theirs, stderr=theirs, env=env
    ) as process:
        os.close(theirs)
        made = Typist(shown)
        made.type(b"", "> ")
        yield made
        process.kill()
    os.close(shown)


def test_a_byte_that_is_no_text_is_told_and_nothing_is_lost(typist: Typist) -> None:
    for latin, place in ((b"caf\xe9", 3), (b"\xfc", 0)):
        typist.type(latin + b"\r", f"REFUSED The prompt is not UTF-8 text: byte {place} is 0x")
        typist.type(b"", f"{latin[-1]:02x}. Set your terminal to UTF-8.")
        typist.type(b"", "> ")
    for typed, got in (
        ("café\r".encode(), r"GOT 'caf\xe9'"),
        (b"\r", "GOT ''"),
        (b"\x1b[A!\r", r"GOT 'caf\xe9!'"),  # its history, without the mark
    ):
        typist.type(typed, got)
        typist.type(b"", "> ")  # before that, Ctrl-D would mean something else
    typist.type(b"\x04", "GOT None")
