"""A line of the log, as a face is shown it: made of a record or of the file, and chosen by a wish.

What is in it was cleaned for a terminal. It knows no handler and no node.
"""

from __future__ import annotations

import datetime
import logging
import re
from collections.abc import Iterable, Mapping
from typing import Any, cast

import msgspec

from aiplat.control.machine import MAX_LOG_LINES, LogAsk, LogLevel, LogLine
from aiplat.domain.errors import InvalidRequest, clip
from aiplat.runtime.advice import with_home

STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
"""What each record has; the rest are the fields that belong to its line."""

MAX_MESSAGE, MAX_MORE, MAX_LOGGER = 2000, 1000, 200
"""Characters: `MAX_LOG_LINES` of such lines are a reply that a client takes."""

MAX_SEARCH = 200
_LEVELS: tuple[tuple[int, LogLevel], ...] = (
    (logging.CRITICAL, "critical"), (logging.ERROR, "error"), (logging.WARNING, "warning"),
    (logging.INFO, "info"), (logging.NOTSET, "debug"),
)  # fmt: skip
_RANKS = {name: rank for rank, name in _LEVELS}
_BARE = re.compile(r"[^\s\"=]+")


def one_line(text: str) -> str:
    """Show control characters as dots: a line never moves the cursor or fakes another line."""
    return "".join(c if c.isprintable() else "·" for c in text)


def plain(value: object) -> Any:
    """Keep numbers, texts and lists of them; a struct's repr hides what its fields would tell."""
    if value is None or isinstance(value, int | float | bool):
        return value
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()  # a file's name may hold lone surrogates
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    return str(value)


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """What belongs to the line besides its message; a sign is for a terminal alone."""
    return {
        name: plain(value)
        for name, value in vars(record).items()
        if name not in STANDARD and name != "sign"
    }


def line_of(record: logging.LogRecord, number: int) -> LogLine:
    """Make the line of a record; of an exception it tells kind and text, and no trace."""
    fields = fields_of(record)
    if record.exc_info and record.exc_info[1] is not None:
        error = record.exc_info[1]
        fields["exception"] = f"{type(error).__name__}: {error}"
    message = str(plain(record.getMessage()))
    level = next(name for rank, name in _LEVELS if record.levelno >= rank)
    return _made(number, record.created, level, record.name, message, fields)


def line_from(text: str, number: int) -> LogLine | None:
    """Read a line of the file; None for one that is none, as one that was cut is."""
    try:
        fields = msgspec.json.decode(text, type=dict[str, Any])
        at = datetime.datetime.fromisoformat(str(fields.pop("time"))).timestamp()
        level, logger = str(fields.pop("level")), str(fields.pop("logger"))
        message = str(fields.pop("message"))
    except (msgspec.MsgspecError, ValueError, KeyError, RecursionError):
        return None
    if level not in _RANKS:
        level = "info"
    trace = str(fields.pop("trace", "")).strip().rpartition("\n")[2]
    if trace:
        fields["exception"] = trace
    return _made(number, at, cast(LogLevel, level), logger, message, fields)


def _made(
    number: int, at: float, level: LogLevel, logger: str, message: str, fields: Mapping[str, Any]
) -> LogLine:
    more = " ".join(f"{name}={_value(value)}" for name, value in fields.items())
    return LogLine(
        number=number, at=round(at, 3), level=level, logger=_cut(one_line(logger), MAX_LOGGER),
        message=_cut(with_home(one_line(message)), MAX_MESSAGE),
        more=_cut(one_line(more), MAX_MORE),
    )  # fmt: skip


def _value(value: object) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text if _BARE.fullmatch(text) else msgspec.json.encode(text).decode()


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


# -- what is wanted ------------------------------------------------------------------------------


def check(ask: LogAsk) -> None:
    """See that a wish keeps to its bounds.

    Raises:
        InvalidRequest: it does not; says the bound.
    """
    if not 1 <= ask.most <= MAX_LOG_LINES:
        raise InvalidRequest(
            f"From 1 to {MAX_LOG_LINES} lines of the log come at once, not {ask.most}.",
            param="most",
        )
    if len(ask.search) > MAX_SEARCH:
        raise InvalidRequest(
            f"The log is searched for at most {MAX_SEARCH} characters: {clip(ask.search)!r} is "
            "longer.",
            param="search",
        )


def wanted(lines: Iterable[LogLine], ask: LogAsk) -> list[LogLine]:
    """Those of `lines` before a number that are grave enough, and hold the text searched for."""
    least, text = _RANKS[ask.level], ask.search.casefold()
    return [
        line for line in lines
        if _RANKS[line.level] >= least and _holds(line, text)
        and (ask.before < 0 or line.number < ask.before)
    ]  # fmt: skip


def _holds(line: LogLine, text: str) -> bool:
    if not text:
        return True
    return any(text in part.casefold() for part in (line.message, line.more, line.logger))
