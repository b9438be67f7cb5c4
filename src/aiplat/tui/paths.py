"""Paths as persons type them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aiplat.domain.errors import InvalidRequest


def typed_path(text: str) -> Path:
    """Make an absolute path of what was typed, ``~`` too; looks at nothing.

    Raises:
        InvalidRequest: it is empty, or no path.
    """
    if not text.strip():
        raise InvalidRequest("Type the name of a file.", param="path")
    try:
        return Path(os.path.abspath(Path(text.strip()).expanduser()))
    except (RuntimeError, ValueError) as error:  # no such user; a zero in it
        raise InvalidRequest(f"{text[:80]!r} is no path: {error}.", param="path") from None


@contextmanager
def told(path: Path, deed: str) -> Iterator[None]:
    """Turn what the system says about a file into a sentence.

    Arguments:
        deed: what cannot be done, such as ``read``.

    Raises:
        InvalidRequest: the system refused.
    """
    try:
        yield
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise InvalidRequest(f"{path} cannot be {deed}: {why}.", param="path") from None


def write_new(path: Path, text: str) -> None:
    """Write a new file that the owner alone can read, whole or not at all; blocks.

    Raises:
        InvalidRequest: it is there already, or cannot be written.
    """
    with told(path, "written"):
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            raise InvalidRequest(
                f"{path} is there already, and nothing is written over: choose another name.",
                param="path",
            ) from None
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace") as file:
                file.write(text)
        except OSError:
            path.unlink(missing_ok=True)
            raise
