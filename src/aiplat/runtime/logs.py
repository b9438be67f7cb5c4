"""A node's log: short lines for a person on stderr, JSON lines for programs in a file, and the
newest in memory for who asks the node.

None holds a prompt, an answer or a key: who logs passes names, numbers and errors, and
gives what belongs to the line as ``extra={…}``. A line's sign comes from its ``sign`` extra,
else from its level; signs are left out with ``NO_COLOR`` or when stderr is no terminal. Each of
the first two is written by a thread of its own (`behind`), so that who logs waits for neither.
"""

from __future__ import annotations

import datetime
import logging
import logging.handlers
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import msgspec

from aiplat.domain.errors import ConfigError
from aiplat.runtime.advice import with_home
from aiplat.runtime.behind import Behind
from aiplat.runtime.log_lines import fields_of, one_line, plain
from aiplat.runtime.log_ring import Ring
from aiplat.runtime.signs import SIGNS, wants_signs

_FILE_ONLY = ("libp2p", "hypercorn", "multiaddr", "httpx", "httpcore", "asyncio", "zeroconf")
"""Libraries whose lines help to find a fault, but mean nothing to a person."""

_UNWRITTEN = logging.getLogger("aiplat.runtime.unwritten")

_CRIES_WOLF = "libp2p.kad_dht"
"""Warns of each stream that a peer was done with, every few seconds in a network."""

_RING = "aiplat.ring"


class TerminalFormatter(logging.Formatter):
    """A short line, with a sign before it where the terminal takes one."""

    def __init__(self, *, signs: bool) -> None:
        super().__init__()
        self._signs = signs

    def format(self, record: logging.LogRecord) -> str:
        """Write the message; a traceback only when debugging."""
        text = with_home(one_line(record.getMessage()))
        sign = getattr(record, "sign", None)
        if sign is None and record.levelno >= logging.ERROR:
            sign = "failed"
        if self._signs:
            mark = SIGNS.get(sign or "", sign) or ("⚠️" if record.levelno >= logging.WARNING else "")
            text = f"{mark} {text}" if mark else text
        elif record.levelno >= logging.WARNING:
            text = f"{record.levelname.lower()}: {text}"
        if record.exc_info and logging.getLogger().isEnabledFor(logging.DEBUG):
            text += "\n" + self.formatException(record.exc_info)
        return text


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (UTC, RFC 3339), level, logger, message, extra fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Write it; what is neither number nor text becomes text."""
        time = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
        line: dict[str, Any] = {
            "time": time.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": plain(record.getMessage()),
        }
        line |= {name: value for name, value in fields_of(record).items() if name not in line}
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line).decode()


class _NotFileOnly(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return record.name.partition(".")[0] not in _FILE_ONLY


class _File(logging.handlers.RotatingFileHandler):
    """Says once that it cannot write; the logging package prints a traceback for each line."""

    _failures = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Write it; where that fails `handleError` is called."""
        before = self._failures
        super().emit(record)
        if self._failures == before:
            self._failures = 0

    def handleError(self, record: logging.LogRecord) -> None:  # the package names it so
        """Say why, the first time."""
        self._failures += 1
        if self._failures == 1:
            fault = sys.exc_info()[1]
            _UNWRITTEN.error(
                "The log cannot be written (%s): its lines are lost until it can be", fault
            )


def wants_debug(environ: Mapping[str, str]) -> bool:
    """Tell whether ``DEBUG`` asks for everything, whatever the settings say."""
    return environ.get("DEBUG", "").lower() not in ("", "0", "false", "no")


def level_of(name: str, environ: Mapping[str, str]) -> int:
    """Give the level of `name`, or that of debugging when ``DEBUG`` asks for it."""
    if wants_debug(environ):
        return logging.DEBUG
    return logging.getLevelNamesMapping()[name.upper()]


def configure(
    file: Path,
    environ: Mapping[str, str],
    *,
    level: str = "info",
    max_bytes: int = 5_000_000,
    files: int = 3,
    lines: int = 2000,
    terminal: TextIO | None = None,
) -> None:
    """Send this process's log to `file`, the terminal and a ring; what was set before goes.

    Arguments:
        file: JSON lines are appended; its folder must exist.
        environ: the process's environment: ``DEBUG``, ``NO_COLOR``.
        level: the least level that is logged.
        max_bytes: the size after which `file` is rotated.
        files: how many rotated files are kept.
        lines: how many of the newest are kept in memory.
        terminal: where a person reads; stderr when not given.

    Raises:
        ConfigError: `file` cannot be written.
    """
    root = logging.getLogger()
    close()
    stream = terminal if terminal is not None else sys.stderr
    person = logging.StreamHandler(stream)
    person.addFilter(_NotFileOnly())
    try:
        program = _File(
            file, maxBytes=max_bytes, backupCount=files, encoding="utf-8", errors="replace"
        )
    except OSError as error:
        raise ConfigError(f"The log {file} cannot be written: {error.strerror}.") from None
    program.addFilter(lambda record: record.name != _UNWRITTEN.name)
    forms: tuple[tuple[str, logging.Handler, logging.Formatter], ...] = (
        ("aiplat.terminal", person, TerminalFormatter(signs=wants_signs(stream, environ))),
        ("aiplat.file", program, JsonFormatter()),
    )
    for name, handler, formatter in forms:
        behind = Behind(handler, formatter, chars=min(65_536, max_bytes // 4))
        behind.set_name(name)
        root.addHandler(behind)
    ring = Ring(lines, file)
    ring.set_name(_RING)
    root.addHandler(ring)
    set_level(level, environ)
    for name in _FILE_ONLY:
        logging.getLogger(name).propagate = True  # libp2p leaves the tree when it is imported


def set_level(level: str, environ: Mapping[str, str]) -> None:
    """Log what is of that level and graver, from now on (`level_of`)."""
    least = level_of(level, environ)
    logging.getLogger().setLevel(least)
    quiet = logging.INFO if least <= logging.DEBUG else logging.WARNING
    for name in _FILE_ONLY:  # at debug, libp2p writes a line for every frame
        logging.getLogger(name).setLevel(quiet)
    logging.getLogger(_CRIES_WOLF).setLevel(
        logging.DEBUG if least <= logging.DEBUG else logging.ERROR
    )


@contextmanager
def into_file(file: Path) -> Iterator[None]:
    """Send warnings to `file` alone meanwhile: for a command that does a node's work without one.

    Raises:
        ConfigError: `file` cannot be written.
    """
    try:
        handler = logging.FileHandler(file, encoding="utf-8", errors="replace")
    except OSError as error:
        raise ConfigError(f"The log {file} cannot be written: {error.strerror}.") from None
    handler.setFormatter(JsonFormatter())
    handler.setLevel(logging.WARNING)
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
        handler.close()


def ring(file: Path) -> Ring:
    """Give the newest lines of this process; an empty one where nothing was configured.

    Arguments:
        file: of the log, for an empty one.
    """
    found = (one for one in logging.getLogger().handlers if isinstance(one, Ring))
    return next(found, Ring(1, file))


def leave_terminal() -> None:
    """Write to the file alone from now on: a background node that is ready has no reader."""
    _remove("aiplat.terminal")


def close() -> None:
    """Take away what `configure` set, once all was written; a reader that stalls loses the rest."""
    _remove("aiplat.terminal")
    _remove("aiplat.file")
    _remove(_RING)


def _remove(name: str) -> None:
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if handler.get_name() == name]:
        root.removeHandler(handler)
        handler.close()
