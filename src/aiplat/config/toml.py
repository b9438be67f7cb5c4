"""Reads ``config.toml`` and finds the line of a key in it, for errors that name the place.

`tomllib` gives no lines. They are found by parsing ever longer beginnings of the file, which
is right for every way of writing TOML and costs only when there is an error to tell.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from aiplat.domain.errors import ConfigError

MAX_BYTES = 64 * 1024


class ConfigFile:
    """A configuration file that was read.

    Arguments:
        path: where it lies.
        text: what it holds.

    Raises:
        ConfigError: it is not TOML; names the file and the line.
    """

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        self._lines = text.split("\n")
        try:
            self.tables: dict[str, Any] = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            what = str(error).rstrip(".")
            raise ConfigError(
                f"{path} is not valid TOML: {self._where(what)}. Mend that line and try again."
            ) from None

    def place(self, table: str, key: str | None = None) -> str:
        """Name where `key` of `table` stands, as ``FILE, line N``."""
        return f"{self.path}, line {self.line(table, key)}"

    def line(self, table: str, key: str | None = None) -> int:
        """Find the line, from 1, where `table`, or `key` in it, first appears."""
        complete = 0
        for count in range(1, len(self._lines) + 1):
            try:
                tables = tomllib.loads("\n".join(self._lines[:count]))
            except tomllib.TOMLDecodeError:
                continue  # in the middle of a value of several lines
            if _holds(tables, table, key):
                return complete + 1
            complete = count
        return len(self._lines)

    def _where(self, what: str) -> str:
        """Turn tomllib's ``(at end of document)`` into the line that a person can go to."""
        at_end = "(at end of document)"
        if at_end not in what:
            return what
        last = max((n for n, line in enumerate(self._lines, 1) if line.strip()), default=1)
        return what.replace(at_end, f"(at line {last}, the end of the file)")


def read_config(path: Path) -> ConfigFile | None:
    """Read the file at `path`; None when there is none.

    Raises:
        ConfigError: it cannot be read, is too large, is not UTF-8, or is not TOML.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ConfigError(
            f"The configuration {path} cannot be read: {error.strerror}. "
            "Make it a file that you may read, or remove it."
        ) from None
    if len(data) > MAX_BYTES:
        raise ConfigError(f"The configuration {path} is larger than {MAX_BYTES} bytes: shorten it.")
    try:
        return ConfigFile(path, data.decode().replace("\r\n", "\n"))
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"{path}, line {line}: byte {error.start} is not UTF-8. Save the file as UTF-8."
        ) from None


def _holds(tables: dict[str, Any], table: str, key: str | None) -> bool:
    found = tables.get(table)
    if key is None or found is None:
        return found is not None
    return isinstance(found, dict) and key in found
