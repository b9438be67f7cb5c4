"""The end of the log's file, read while no node runs."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from aiplat.control.machine import LogAsk
from aiplat.domain.errors import ConfigError
from aiplat.runtime import log_file
from aiplat.runtime.log_file import read_end
from aiplat.runtime.logs import JsonFormatter


def written(message: str, level: int = logging.INFO, **extra: object) -> str:
    record = logging.LogRecord("aiplat.x", level, __file__, 0, message, None, None)
    record.created = 1_700_000_000.25
    vars(record).update(extra)
    return JsonFormatter().format(record) + "\n"


def test_lines_are_those_that_were_written(tmp_path: Path) -> None:
    file = tmp_path / "node.jsonl"
    trace = json.dumps({"time": "2023-11-14T22:13:20.250Z", "level": "error", "logger": "l",
                        "message": "m", "trace": "Traceback\n  at\nValueError: x"})  # fmt: skip
    odd = (
        '{"time": "2023-11-14T22:13:20Z", "level": "loud", "logger": "l", "message": "\\u001b[2J"}'
    )
    file.write_text(
        written("first", ms=3) + "cut in the midd\n{}\n[1]\n" + trace + "\n" + odd + "\n"
    )
    reply = read_end(file, LogAsk())
    first, failed, strange = reply.lines
    assert (first.at, first.level, first.logger) == (1_700_000_000.25, "info", "aiplat.x")
    assert (first.message, first.more) == ("first", "ms=3")
    assert failed.more == 'exception="ValueError: x"'
    assert (strange.level, strange.message) == ("info", "·[2J")
    assert reply.path == str(file)


def test_they_are_chosen_as_a_node_chooses(tmp_path: Path) -> None:
    file = tmp_path / "node.jsonl"
    file.write_text(
        "".join(written(f"n{n}", logging.WARNING if n % 2 else logging.INFO) for n in range(10))
    )
    reply = read_end(file, LogAsk(level="warning", most=2))
    assert [line.message for line in reply.lines] == ["n7", "n9"]
    assert reply.lost == 3
    assert [line.message for line in read_end(file, LogAsk(search="N4")).lines] == ["n4"]


def test_of_a_large_file_only_the_end_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "node.jsonl"
    one = written("n0")
    file.write_text("".join(written(f"n{n}") for n in range(10)))
    monkeypatch.setattr(log_file, "MAX_READ", 3 * len(one) + 5)
    assert [line.message for line in read_end(file, LogAsk()).lines] == ["n7", "n8", "n9"]


def test_without_a_file_there_are_none_and_one_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    assert read_end(tmp_path / "none", LogAsk()).lines == ()
    with pytest.raises(ConfigError, match="cannot be read"):
        read_end(tmp_path, LogAsk())
