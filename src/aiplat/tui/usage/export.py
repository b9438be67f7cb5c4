"""What is shown, as comma-separated values in a new file. Blocks."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from aiplat.domain.errors import ConfigError, InvalidRequest
from aiplat.tui.paths import told, typed_path
from aiplat.tui.usage.figures import Figure, Line
from aiplat.tui.usage.sums import Sum

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A cell that begins so is worked out by spreadsheets; names come from peers (OWASP, "CSV
injection")."""


def text_of_figures(figures: Sequence[Figure]) -> str:
    """Each value of each line in a row of its own; times in UTC."""
    rows: list[Sequence[object]] = [("time", "figure", "line", "value")]
    rows += [
        (_time(at), figure.title, line.name, f"{value:.6g}")
        for figure in figures for line in _lines(figure) for at, value in line.points
        if value is not None
    ]  # fmt: skip
    return _text(rows)


def _lines(figure: Figure) -> Iterator[Line]:
    """The lines that are drawn, each with what is told beside it."""
    for line in figure.lines:
        yield line
        if line.beside is not None:
            yield Line(f"{line.name} {line.beside.name}", line.beside.points)


def text_of_sums(by: str, sums: Iterable[Sum]) -> str:
    """The table of totals."""
    head = (by, "requests", "errors", "prompt_tokens", "cached_tokens", "completion_tokens",
            "total_tokens", "first_token_p50_seconds", "first_token_p95_seconds")  # fmt: skip
    rows: list[Sequence[object]] = [head]
    rows += [(s.name, s.requests, s.errors, s.prompt, s.cached, s.completion, s.total,
              _seconds(s.p50), _seconds(s.p95)) for s in sums]  # fmt: skip
    return _text(rows)


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def _time(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _text(rows: Iterable[Sequence[object]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerows([_cell(value) for value in row] for row in rows)
    return out.getvalue()


def _cell(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def path_of(typed: str) -> Path:
    """Make of what was typed a file that can be made.

    Raises:
        InvalidRequest: there is one already, or no folder for it.
    """
    path = typed_path(typed)
    with told(path, "written"):
        if path.exists() or path.is_symlink():
            raise InvalidRequest(
                f"{path} is there already, and nothing is written over: type another name.",
                param="path",
            )
        if not path.parent.is_dir():
            raise InvalidRequest(f"There is no folder {path.parent}.", param="path")
    return path


def write(path: Path, text: str) -> None:
    """Write a new file, never over another.

    Raises:
        ConfigError: it cannot be written.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror or error}.") from None
