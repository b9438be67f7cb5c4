"""A prompt from words, files and a pipe; what is not text is refused with its place."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import BinaryIO

import pytest

from aiplat.cli import prompts
from aiplat.cli.prompts import gather
from aiplat.domain.errors import DeadlineExceeded, InvalidRequest


def put(
    words: str | None = None, *files: Path, stdin: bytes | BinaryIO | None = None, limit: int = 1000
) -> str:
    stream = io.BytesIO(stdin) if isinstance(stdin, bytes) else stdin
    return gather(words, files, stream, limit, lambda line: None)


def test_words_files_and_stdin_in_this_order(tmp_path: Path) -> None:
    first, second = tmp_path / "a.md", tmp_path / "b.md"
    first.write_text("one\n")
    second.write_text("zwei ü\n\n")
    prompt = put("review this", first, second, stdin=b"diff\n+x\n")
    assert prompt == (
        f"review this\n\n--- {first} ---\none\n\n--- {second} ---\nzwei ü\n\ndiff\n+x"
    )


@pytest.mark.parametrize("words", ["-", None])
def test_stdin_alone_is_the_prompt(words: str | None) -> None:
    assert put(words, stdin=b"hello\n") == "hello"


def test_empty_stdin_adds_nothing() -> None:
    assert put("hi", stdin=b"\n") == "hi"


@pytest.mark.parametrize("words", [None, "", "  "])
def test_nothing_to_ask(words: str | None) -> None:
    with pytest.raises(InvalidRequest, match="nothing to ask"):
        put(words, stdin=b"")


def test_a_dash_on_a_terminal() -> None:
    with pytest.raises(InvalidRequest, match="pipe it in"):
        put("-", stdin=None)


def test_a_file_that_is_not_utf8_is_named_with_the_byte(tmp_path: Path) -> None:
    path = tmp_path / "x.bin"
    path.write_bytes(b"ab\xffcd")
    with pytest.raises(InvalidRequest, match=f"{path} is not UTF-8 text: byte 2 is 0xff"):
        put("hi", path)


def test_stdin_that_is_not_utf8_names_the_byte() -> None:
    with pytest.raises(InvalidRequest, match="stdin is not UTF-8 text: byte 1 is 0xc3"):
        put("hi", stdin=b"a\xc3")


def test_an_argument_that_is_not_utf8() -> None:
    with pytest.raises(InvalidRequest, match="byte 2 is 0xff"):
        put(os.fsdecode(b"\xc3\xbc\xff"))


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match=r"none cannot be read: No such file"):
        put("hi", tmp_path / "none")
    with pytest.raises(InvalidRequest, match=r"Is a directory"):
        put("hi", tmp_path)


def test_the_bound_is_on_all_together(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"x" * 6)
    assert put("1234", path, limit=10)
    for words, stdin in (("12345", None), ("1234", b"y")):
        with pytest.raises(InvalidRequest, match="larger than 10 bytes"):
            put(words, path, stdin=stdin, limit=10)


def test_an_endless_stdin_is_not_read_to_its_end() -> None:
    with open("/dev/zero", "rb") as zero, pytest.raises(InvalidRequest, match="larger than"):
        put("hi", stdin=zero)


def test_a_pipe_that_says_nothing_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompts, "NOTICE_SECONDS", 0.01)
    read, write = os.pipe()
    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        os.write(write, b"late")
        os.close(write)

    with open(read, "rb") as stream:
        assert gather("hi", [], stream, 100, say) == "hi\n\nlate"
    assert "Ctrl-D" in said[0]


def test_a_pipe_that_never_ends_has_a_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompts, "NOTICE_SECONDS", 0.0)
    read, write = os.pipe()
    os.write(write, b"some")
    with open(read, "rb") as stream, pytest.raises(DeadlineExceeded, match=r"within 0\.05 s"):
        gather("hi", [], stream, 100, lambda line: None, 0.05)
    os.close(write)
