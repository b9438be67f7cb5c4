"""The end of a node's log file, for who asks while no node runs. Blocking."""

from __future__ import annotations

import os
from pathlib import Path

from aiplat.control.machine import LogAsk, LogReply
from aiplat.domain.errors import ConfigError
from aiplat.runtime.log_lines import check, line_from, wanted

MAX_READ = 4 * 1024 * 1024
"""Bytes of the end that are read."""


def read_end(file: Path, ask: LogAsk) -> LogReply:
    """Give the lines of the file's last `MAX_READ` bytes that are wanted; none without a file.

    Raises:
        InvalidRequest: it asks for too much at once.
        ConfigError: the file cannot be read.
    """
    check(ask)
    try:
        with file.open("rb") as opened:
            start = max(0, opened.seek(0, os.SEEK_END) - MAX_READ)
            opened.seek(start)
            text = opened.read(MAX_READ).decode("utf-8", "replace")
    except FileNotFoundError:
        return LogReply(lines=(), path=str(file))
    except OSError as error:
        raise ConfigError(f"The log {file} cannot be read: {error.strerror}.") from None
    whole = text.split("\n")[1:] if start else text.split("\n")
    lines = [line for n, one in enumerate(whole) if (line := line_from(one, n)) is not None]
    found = wanted(lines, ask)
    return LogReply(
        lines=tuple(found[-ask.most :]), last=lines[-1].number if lines else -1,
        lost=max(0, len(found) - ask.most), path=str(file),
    )  # fmt: skip
