"""``aiplat logs``: from the node that runs or the file's end; for a person, and as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from aiplat.cli import face, main
from aiplat.cli.logs import follow_up
from aiplat.control.client import NodeLost
from aiplat.control.machine import MAX_LOG_LINES, LogAsk, LogLine, LogReply

LINE = LogLine(number=4, at=1_700_000_000.0, level="warning", logger="aiplat.x",
               message="it is slow", more="ms=3")  # fmt: skip


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AIPLAT_HOME", str(tmp_path))
    monkeypatch.setenv("TZ", "UTC")
    return tmp_path


@pytest.fixture
def runs(home: Path, monkeypatch: pytest.MonkeyPatch) -> list[LogAsk]:
    """A node that says `LINE`; gives what it was asked."""
    asked: list[LogAsk] = []

    def log(ask: LogAsk) -> LogReply:
        asked.append(ask)
        return LogReply(lines=(LINE,), last=4)

    def running(self: Any) -> Any:
        return SimpleNamespace(log=log), None

    monkeypatch.setattr(face.Face, "running", running)
    return asked


def test_a_person_reads_lines(runs: list[LogAsk], capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["logs", "--level", "warning", "--search", "slow", "--lines", "7"]) == 0
    out, err = capsys.readouterr()
    assert out.endswith("warning  aiplat.x: it is slow  (ms=3)\n")
    assert out[:5] == "2023-"
    assert err == ""
    assert runs == [LogAsk(most=7, level="warning", search="slow")]


def test_json_is_a_line_each(runs: list[LogAsk], capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["logs", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "number": 4, "at": 1_700_000_000.0, "level": "warning", "logger": "aiplat.x",
        "message": "it is slow", "more": "ms=3",
    }  # fmt: skip


def test_without_a_node_the_files_end_is_read(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(["logs"]) == 0
    out, err = capsys.readouterr()
    assert (out, "says nothing" in err) == ("", True)
    file = home / "state" / "logs" / "node.jsonl"
    file.parent.mkdir(parents=True)
    line = {"time": "2023-11-14T22:13:20Z", "level": "info", "logger": "l", "message": "\x1b[2Jhi"}
    file.write_text(json.dumps(line) + "\n")
    assert main.run(["logs"]) == 0
    out, err = capsys.readouterr()
    assert out.endswith("info     l: ·[2Jhi\n")
    assert f"this is the end of {file}" in err
    assert main.run(["logs", "--follow"]) != 0  # nobody writes to it
    assert "No node runs here" in capsys.readouterr().err


def test_it_is_followed_until_the_node_ends(capsys: pytest.CaptureFixture[str]) -> None:
    asked: list[LogAsk] = []
    shown: list[LogLine] = []
    pauses: list[int] = []
    first = LogReply(lines=(LINE,), last=4, path="/log")
    replies = [LogReply(lines=(), last=4), LogReply(lines=(LINE,), last=9, lost=3, path="/log")]

    def read(ask: LogAsk) -> LogReply:
        asked.append(ask)
        if not replies:
            raise NodeLost("It is gone.")
        return replies.pop(0)

    follow_up(read, LogAsk(most=5, search="x"), first, shown.extend, lambda: pauses.append(1))
    assert [ask.after for ask in asked] == [4, 4, 9]
    assert {(ask.most, ask.search) for ask in asked} == {(MAX_LOG_LINES, "x")}
    assert (shown, len(pauses)) == ([LINE], 3)
    err = capsys.readouterr().err
    assert "3 lines came too fast" in err
    assert "The node has ended" in err
