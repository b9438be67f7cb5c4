"""The log: a person's lines, a program's lines, and what is in neither."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from aiplat.domain.answers import Submission
from aiplat.domain.chat import Generate, Message
from aiplat.runtime import behind, logs
from tests.support.waiting import eventually


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root = logging.getLogger()
    level = root.level
    yield
    logs.close()
    root.setLevel(level)
    for name in logs._FILE_ONLY:
        logging.getLogger(name).setLevel(logging.NOTSET)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "node.jsonl"


def written(file: Path) -> list[dict[str, object]]:
    logs.close()
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_a_terminal_gets_short_lines_with_signs(file: Path) -> None:
    terminal = Terminal()
    logs.configure(file, {}, terminal=terminal)
    log = logging.getLogger("aiplat.x")
    log.info("The node starts.", extra={"sign": "start"})
    log.info("The model is ready.", extra={"sign": "model"})
    log.info("Plain.")
    log.warning("Careful.")
    log.error("It broke.")
    log.debug("Not shown.")
    logs.close()
    assert terminal.getvalue().splitlines() == [
        "🚀 The node starts.", "🤖 The model is ready.", "Plain.", "⚠️ Careful.", "❌ It broke.",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("stream", "environ"),
    [(io.StringIO(), {}), (Terminal(), {"NO_COLOR": "1"}), (Terminal(), {"TERM": "dumb"})],
)
def test_elsewhere_there_are_plain_words(
    file: Path, stream: io.StringIO, environ: dict[str, str]
) -> None:
    logs.configure(file, environ, terminal=stream)
    logging.getLogger("aiplat").info("It starts.", extra={"sign": "start"})
    logging.getLogger("aiplat").error("It broke.", extra={"sign": "failed"})
    logs.close()
    assert stream.getvalue().splitlines() == ["It starts.", "error: It broke."]


def test_the_file_gets_json_with_extra_fields(file: Path) -> None:
    logs.configure(file, {}, terminal=io.StringIO())
    log = logging.getLogger("aiplat.roles")
    log.info("Placed %s.", "req-1", extra={"peer": "12D3", "ms": 3.5, "sign": "request"})
    try:
        raise ValueError("no")
    except ValueError:
        log.exception("Broke.", extra={"path": file})
    log.info("File \udcff.")
    first, second, third = written(file)
    assert third["message"] == "File ?."
    assert first.pop("time", "").endswith("Z")  # type: ignore[attr-defined]  # it is a string
    assert first == {
        "level": "info", "logger": "aiplat.roles", "message": "Placed req-1.",
        "peer": "12D3", "ms": 3.5,
    }  # fmt: skip
    assert "ValueError: no" in str(second["trace"])
    assert second["path"] == str(file)


def test_libraries_speak_to_the_file_only(file: Path) -> None:
    terminal = Terminal()
    logs.configure(file, {}, terminal=terminal)
    logging.getLogger("libp2p.host").warning("Dialling failed.")
    logging.getLogger("libp2p.host").info("A frame.")
    logging.getLogger("hypercorn.error").error("Oh.")
    logs.close()
    assert terminal.getvalue() == ""
    assert [line["message"] for line in written(file)] == ["Dialling failed.", "Oh."]


def test_debug_says_more(file: Path) -> None:
    terminal = Terminal()
    logs.configure(file, {"DEBUG": "1"}, terminal=terminal)
    logging.getLogger("aiplat").debug("Detail.")
    logging.getLogger("libp2p").info("A frame.")
    logs.close()
    assert terminal.getvalue() == "Detail.\n"
    assert len(written(file)) == 2
    assert logs.level_of("warning", {"DEBUG": "0"}) == logging.WARNING


def test_the_file_is_rotated_within_its_bound(file: Path) -> None:
    logs.configure(file, {}, max_bytes=1000, files=2, terminal=io.StringIO())
    for n in range(100):
        logging.getLogger("aiplat").info("Line %d of many.", n)
    logs.close()
    files = sorted(path.name for path in file.parent.iterdir())
    assert files == ["node.jsonl", "node.jsonl.1", "node.jsonl.2"]
    assert all(path.stat().st_size <= 1000 for path in file.parent.iterdir())


def test_what_a_peer_sends_cannot_fake_a_line(file: Path) -> None:
    terminal = Terminal()
    logs.configure(file, {}, terminal=terminal)
    logging.getLogger("aiplat").info("Peer says %s", "x\n❌ fake\x1b[2J")
    logs.close()
    assert len(terminal.getvalue().splitlines()) == 1
    assert "\x1b" not in terminal.getvalue()
    assert len(file.read_text().splitlines()) == 1


def test_neither_holds_a_prompt_or_a_key(file: Path) -> None:
    terminal = Terminal()
    logs.configure(file, {}, terminal=terminal)
    work = Generate(messages=(Message("user", "my prompt"),))
    submission = Submission(id="req-1", to="gateway", work=work, credential="sk-aip-secret")
    logging.getLogger("aiplat").warning("Got %s", submission, extra={"submission": submission})
    logs.close()
    both = terminal.getvalue() + file.read_text()
    assert "req-1" in both
    assert "my prompt" not in both
    assert "sk-aip-secret" not in both


def test_a_background_node_that_is_ready_leaves_the_terminal(file: Path) -> None:
    terminal = Terminal()
    logs.configure(file, {}, terminal=terminal)
    logs.leave_terminal()
    logging.getLogger("aiplat").error("Later.")
    assert terminal.getvalue() == ""
    assert len(written(file)) == 1


def test_a_file_that_cannot_be_written_is_said_once(
    file: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    terminal = Terminal()
    logs.configure(file, {"NO_COLOR": "1"}, terminal=terminal)
    log = logging.getLogger("aiplat.accounts")
    [program] = [h for h in logging.getLogger().handlers if h.get_name() == "aiplat.file"]
    target = cast(Any, program)._target
    stream, full = target.stream, NoRoom()
    target.stream = full
    for number in range(3):
        log.info("line %d", number)
    eventually(lambda: "line 2" in full.refused and "lost" in terminal.getvalue())
    target.stream = stream  # there is room again
    log.info("line 3")
    assert [line["message"] for line in written(file)] == ["line 3"]
    said = "The log cannot be written ([Errno 28] No space left on device): its lines are lost"
    assert terminal.getvalue().count(said) == 1
    assert "Traceback" not in capfd.readouterr().err


class NoRoom(io.StringIO):
    refused = ""

    def write(self, text: str) -> int:
        self.refused += text
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


# -- nobody who logs waits for a reader ---------------------------------------------------------


def test_a_stalled_reader_holds_up_neither_who_logs_nor_the_file(file: Path) -> None:
    read, write = os.pipe()
    with open(write, "w") as pipe, contextlib.suppress(BrokenPipeError):
        logs.configure(file, {}, terminal=pipe)
        for n in range(3000):
            logging.getLogger("aiplat").info("%d %s", n, "x" * 100)  # 300 kB; a pipe takes 64
        eventually(lambda: file.exists() and file.read_bytes().count(b"\n") == 3000)
        began = time.monotonic()
        assert len(written(file)) == 3000
        assert time.monotonic() - began < 20
        os.close(read)  # the one that hung ends, and writes no more
        for thread in threading.enumerate():
            if thread.name == "aiplat.log":
                thread.join(5)
        pipe.close()


def test_lines_without_room_are_counted_not_waited_for() -> None:
    goes_on = threading.Event()
    seen: list[str] = []

    class Slow(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            goes_on.wait(10)
            seen.extend(record.getMessage().splitlines())

    handler = behind.Behind(Slow(), logging.Formatter(), room=2, gather=0)
    first = logging.makeLogRecord({"msg": "first"})
    handler.handle(first)
    while not handler.waiting.empty():
        time.sleep(0.001)
    for n in range(5):
        handler.handle(logging.makeLogRecord({"msg": "n %d", "args": (n,)}))
    goes_on.set()
    while not handler.waiting.empty():
        time.sleep(0.001)
    handler.handle(logging.makeLogRecord({"msg": "last"}))
    handler.close()
    assert seen[:3] == ["first", "n 0", "n 1"]
    assert seen[3].startswith("3 lines of this log were dropped")
    assert seen[4:] == ["last"]


def test_lines_that_come_together_are_written_together_and_a_broken_one_costs_no_other() -> None:
    written_at_once: list[str] = []
    broken: list[logging.LogRecord] = []

    class Target(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            written_at_once.append(record.getMessage())

        def handleError(self, record: logging.LogRecord) -> None:
            broken.append(record)

    class Picky(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            return str(1 / 0) if record.msg == "broken" else str(record.msg)

    target = Target()
    target.addFilter(lambda record: record.msg != "unwanted")
    handler = behind.Behind(target, Picky(), gather=60)
    handler.handle(logging.makeLogRecord({"msg": "alone"}))
    while not written_at_once:
        time.sleep(0.001)
    for text in ("one", "unwanted", "broken", "100 %s"):
        handler.handle(logging.makeLogRecord({"msg": text}))
    handler.close()
    assert written_at_once == ["alone", "one\n100 %s"]
    assert [record.msg for record in broken] == ["broken"]


CRASH = """
import logging, pathlib, sys
from aiplat.runtime import behind, logs
logs.configure(pathlib.Path(sys.argv[1]), {})
logging.getLogger("aiplat").error("the last words")
raise SystemExit(3) if sys.argv[2] == "exit" else RuntimeError("oops")
"""


@pytest.mark.parametrize("how", ["exit", "crash"])
def test_what_was_logged_before_an_end_arrives(file: Path, how: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CRASH, str(file), how], capture_output=True, text=True, check=False
    )
    assert done.returncode == (3 if how == "exit" else 1)
    assert "error: the last words\n" in done.stderr
    assert [line["message"] for line in written(file)] == ["the last words"]


def test_an_end_before_a_stalled_reader_is_no_crash(file: Path) -> None:
    code = CRASH.replace('"the last words"', '"x" * 200_000')
    with subprocess.Popen(
        [sys.executable, "-c", code, str(file), "exit"], stderr=subprocess.PIPE
    ) as process:
        assert process.wait(60) == 3
