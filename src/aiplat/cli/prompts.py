"""Puts a prompt together: the words of the command line, files, and what is piped in.

What is not text is refused with its place; the bytes taken are bounded.
"""

from __future__ import annotations

import io
import select
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

from aiplat.domain.errors import DeadlineExceeded, InvalidRequest

NOTICE_SECONDS = 2.0
"""After this long without a byte a person is told that the command reads from a pipe."""

_CHUNK = 64 * 1024


def gather(
    words: str | None,
    files: Sequence[Path],
    stdin: BinaryIO | None,
    limit: int,
    say: Callable[[str], None],
    seconds: float = 600.0,
) -> str:
    """Make one prompt of all that was given.

    Arguments:
        words: the argument; ``-`` stands for stdin.
        files: their contents follow, each under a line that names it.
        stdin: what is piped in comes last; None on a terminal.
        limit: the most bytes in all.
        say: hears that stdin is waited for.
        seconds: how long all of stdin may take to come.

    Raises:
        InvalidRequest: nothing was given, it is too much, not UTF-8, or cannot be read.
        DeadlineExceeded: stdin did not end in time.
    """
    if words == "-" and stdin is None:
        raise InvalidRequest(
            "`-` takes the prompt from stdin: pipe it in, as `aiplat ask - <FILE`."
        )
    parts = [words] if words and words != "-" else []
    left = limit - sum(len(part.encode("utf-8", "replace")) for part in parts)
    for path in files:
        text = _file(path, left, limit)
        left -= len(text.encode())
        parts.append(f"--- {path} ---\n{text.rstrip()}")
    if stdin is not None:
        text = decode(_drain(stdin, left, limit, say, seconds), "stdin").strip("\n")
        parts += [text] if text.strip() else []
    prompt = "\n\n".join(part for part in parts if part.strip())
    if not prompt.strip():
        raise InvalidRequest('There is nothing to ask: write `aiplat ask "your question"`.')
    check_text(prompt)
    return prompt


def piped_stdin() -> BinaryIO | None:
    """Give stdin when something may be piped in; None on a terminal or when it is closed."""
    if sys.stdin is None or sys.stdin.closed or sys.stdin.isatty():
        return None
    return sys.stdin.buffer


def decode(data: bytes, source: str) -> str:
    """Read UTF-8.

    Raises:
        InvalidRequest: names the source and the byte.
    """
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise InvalidRequest(
            f"{source} is not UTF-8 text: byte {error.start} is 0x{data[error.start]:02x}. "
            "Convert it, or leave it out."
        ) from None


def check_text(text: str) -> None:
    """Refuse an argument that was not UTF-8: the system passes its bytes as lone surrogates.

    Raises:
        InvalidRequest: names the byte.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        start = len(text[: error.start].encode())
        raise InvalidRequest(
            f"The prompt is not UTF-8 text: byte {start} is {_byte(text[error.start])}. "
            "Set your terminal to UTF-8."
        ) from None


def _byte(character: str) -> str:
    """Write the byte that a lone surrogate stands for."""
    code = ord(character)
    return f"0x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else "a lone surrogate"


def _file(path: Path, left: int, limit: int) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(max(left, 0) + 1)
    except OSError as error:
        raise InvalidRequest(f"The file {path} cannot be read: {error.strerror}.") from None
    if len(data) > left:
        raise _too_much(limit)
    return decode(data, f"The file {path}")


def _drain(
    stdin: BinaryIO, left: int, limit: int, say: Callable[[str], None], seconds: float
) -> bytes:
    deadline = time.monotonic() + seconds
    if not has_input(stdin, min(NOTICE_SECONDS, seconds)):
        say("Reading the rest of the prompt from stdin (end it with Ctrl-D) …")
    data = bytearray()
    while True:
        if not has_input(stdin, deadline - time.monotonic()):
            raise DeadlineExceeded(
                f"stdin did not end within {seconds:g} s. Close it, as `aiplat ask … </dev/null` "
                "does, or allow more with --deadline."
            )
        chunk = stdin.read1(_CHUNK) if isinstance(stdin, io.BufferedReader) else stdin.read(_CHUNK)
        if not chunk:
            return bytes(data)
        data += chunk
        if len(data) > left:
            raise _too_much(limit)


def has_input(stdin: BinaryIO, seconds: float) -> bool:
    """Wait until there is something to read, or the end."""
    try:
        return bool(select.select([stdin], [], [], max(0.0, seconds))[0])
    except (OSError, ValueError):  # no descriptor: it cannot block
        return True


def _too_much(limit: int) -> InvalidRequest:
    return InvalidRequest(
        f"The prompt with its files is larger than {limit} bytes: send less, or raise "
        "AIPLAT_RUNTIME_PROMPT_BYTES."
    )
