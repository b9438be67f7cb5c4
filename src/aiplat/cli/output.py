"""Where a command writes: data to stdout, messages to stderr.

A model's text is shown as text: on a terminal its control characters are left out, because
they could move the cursor or change what stands there already.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from typing import Any, TextIO

from aiplat.domain.errors import clip
from aiplat.runtime.advice import with_home
from aiplat.runtime.signs import SIGNS, wants_signs

_CONTROLS = {n: None for n in (*range(32), *range(127, 160)) if chr(n) not in "\n\t"}
_IN_ASCII = str.maketrans("─█▉▊▋▌▍▎▏", "-#####...")
_LONGEST = 4000
_NARROWEST = 20


class ReaderLeft(Exception):
    """Who read our output has enough, as `head` does. Typer would make a failure of the OSError."""


class Unwritable(Exception):
    """Our output cannot be written, as on a full disk."""


def harmless(text: str) -> str:
    """Leave out control characters but newline and tab."""
    return text.translate(_CONTROLS)


def flat(text: str) -> str:
    """Put what a peer may have written into one line of bounded length."""
    return clip(text, _LONGEST)


def data(text: str) -> None:
    """Write to stdout at once; as it is into a pipe, harmless on a terminal."""
    _write(sys.stdout, harmless(text) if sys.stdout.isatty() else text)


def secret(text: str) -> None:
    """Write a key or a code, which a peer made, alone to stdout: messages leave it out (`clip`)."""
    data("".join(c if c.isprintable() else "·" for c in text[:_LONGEST]) + "\n")


def print_json(value: Any) -> None:
    """Write one line of JSON to stdout. Structs are turned into objects."""
    import msgspec

    plain = msgspec.to_builtins(value)
    data(json.dumps(plain, ensure_ascii=False) + "\n")


def say(text: str, sign: str = "") -> None:
    """Write a line to stderr, with a sign before it where the terminal takes one."""
    mark = f"{SIGNS[sign]} " if sign and _signs() else ""
    text = with_home(text)
    if "\n" not in text and (columns := width(sys.stderr)) > _NARROWEST:
        text = _wrapped(text, columns)
    with contextlib.suppress(Unwritable):  # nowhere is left to say so
        _write(sys.stderr, f"{mark}{harmless(text)}\n")


def failed(text: str) -> None:
    """Write what went wrong to stderr, in one line: a part of it may be a peer's."""
    text = flat(text)
    say(text if _signs() else f"error: {text}", "failed")


def drawable(text: str, stream: TextIO) -> str:
    """Draw lines and bars with ASCII, where the encoding of `stream` has none."""
    utf = (getattr(stream, "encoding", None) or "").lower().startswith("utf")
    return text if utf else text.translate(_IN_ASCII)


def width(stream: TextIO) -> int:
    """Tell the columns of the terminal that `stream` is; 0 for none, or when it does not say."""
    return size(stream)[0]


def size(stream: TextIO) -> tuple[int, int]:
    """Tell the columns and lines of the terminal that `stream` is; 0 for none."""
    try:
        columns, lines = os.get_terminal_size(stream.fileno())
    except (OSError, ValueError):
        return 0, 0
    return columns, lines


def _wrapped(text: str, columns: int) -> str:
    """Break a line between words; what comes before its first one is as wide as a sign."""
    import textwrap

    sign = " " * len("error: ")
    lines = textwrap.wrap(
        text, columns, initial_indent=sign, break_long_words=False, break_on_hyphens=False
    )
    return "\n".join(lines)[len(sign) :]


def _write(stream: TextIO, text: str) -> None:
    try:
        stream.write(text)
        stream.flush()
    except BrokenPipeError as error:
        raise ReaderLeft from error
    except OSError as error:
        raise Unwritable(f"stdout cannot be written: {error.strerror}.") from error


def _signs() -> bool:
    return wants_signs(sys.stderr, os.environ)


def prepare_streams() -> None:
    """Let no character that the terminal's encoding lacks end a command, and no closed stream."""
    if sys.stdout is None:  # `>&-`: one whose writes fail
        sys.stdout = os.fdopen(os.open(os.devnull, os.O_RDONLY), "w")
    if sys.stderr is None:
        sys.stderr = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
