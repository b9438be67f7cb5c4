"""Commands that are counted: what they say is heard, and one that nobody wants is ended."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

import pytest

from aiplat.engine.subprocesses import Growth, run_counted

SAYS = "print('Progress 3 of 7', flush=True)\n"
HANGS = "import time; time.sleep(600)\n"
TIRED_SECONDS = 30.0


class Unwanted(Exception):
    pass


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_what_it_says_is_heard_and_told_again_while_it_says_no_more() -> None:
    heard: list[tuple[int, int]] = []
    again = threading.Event()

    def progress(done: int, total: int) -> None:
        heard.append((done, total))
        if heard.count((3, 7)) > 2:
            again.set()
            raise Unwanted

    with pytest.raises(Unwanted):
        run_counted(python(SAYS + HANGS), progress, 600.0)
    assert again.is_set()
    assert next(one for one in heard if one != (0, 0)) == (3, 7)


@pytest.mark.parametrize("by", ["progress", "look"])
def test_one_that_says_nothing_is_ended_when_nobody_wants_it(by: str) -> None:
    unwanted = threading.Event()
    seen: list[int] = []

    def ask() -> bool:
        seen.append(1)
        if len(seen) > 2:
            unwanted.set()
        if unwanted.is_set():
            raise Unwanted
        return False

    def progress(done: int, total: int) -> None:
        if by == "progress":
            ask()

    began = time.monotonic()
    with pytest.raises(Unwanted):
        run_counted(python(HANGS), progress, 600.0, look=ask if by == "look" else lambda: False)
    assert time.monotonic() - began < TIRED_SECONDS


def test_a_folder_that_fills_is_told_at_each_look(tmp_path: Path) -> None:
    told: list[int] = []
    growth = Growth(tmp_path, told.append)
    assert not growth()
    (tmp_path / "a").write_bytes(b"12345")
    assert growth()
    assert not growth()
    assert told == [0, 5, 5]
