"""The newest lines of the log in memory: numbered, bounded, chosen, and harmless."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from aiplat.control.machine import LogAsk
from aiplat.domain.errors import InvalidRequest
from aiplat.runtime import advice, logs
from aiplat.runtime.log_lines import MAX_MESSAGE
from aiplat.runtime.log_ring import Ring

FILE = Path("/state/logs/node.jsonl")


@pytest.fixture
def home() -> Iterator[str]:
    advice.use_home("/my home")
    yield "/my home"
    advice.use_home("")


def say(ring: Ring, *messages: str, level: int = logging.INFO, **extra: object) -> None:
    for message in messages:
        record = logging.LogRecord("aiplat.x", level, __file__, 0, message, None, None)
        vars(record).update(extra)
        ring.handle(record)


def read(ring: Ring, ask: LogAsk | None = None) -> list[str]:
    return [line.message for line in ring.read(ask or LogAsk()).lines]


def test_the_newest_are_kept_and_who_comes_late_is_told_what_is_lost() -> None:
    ring = Ring(3, FILE)
    assert (ring.read(LogAsk()).last, ring.read(LogAsk()).lost) == (-1, 0)
    say(ring, "0", "1", "2", "3", "4")
    reply = ring.read(LogAsk())
    assert [(line.number, line.message) for line in reply.lines] == [(2, "2"), (3, "3"), (4, "4")]
    assert (reply.last, reply.lost, reply.path) == (4, 2, str(FILE))
    later = ring.read(LogAsk(after=0))
    assert ([line.number for line in later.lines], later.lost) == ([2, 3, 4], 1)
    news = ring.read(LogAsk(after=3))
    assert ([line.number for line in news.lines], news.lost) == ([4], 0)
    assert ring.read(LogAsk(after=4)).lines == ()
    few = ring.read(LogAsk(after=1, most=2))
    assert ([line.number for line in few.lines], few.lost) == ([3, 4], 1)


def test_what_was_left_out_is_read_by_asking_for_what_is_before() -> None:
    ring = Ring(4, FILE)
    say(ring, *"012345")
    newest = ring.read(LogAsk(most=2))
    assert ([line.number for line in newest.lines], newest.lost) == ([4, 5], 4)
    older = ring.read(LogAsk(before=4, most=2))
    assert ([line.number for line in older.lines], older.lost, older.last) == ([2, 3], 2, 5)
    assert ring.read(LogAsk(before=2)).lines == () and ring.read(LogAsk(before=2)).lost == 2


def test_a_number_of_an_earlier_life_gets_all() -> None:
    ring = Ring(3, FILE)
    say(ring, "a", "b")
    assert read(ring, LogAsk(after=700)) == ["a", "b"]


def test_levels_and_text() -> None:
    ring = Ring(10, FILE)
    say(ring, "Loaded", model="Org/Tiny")
    say(ring, "slow", level=logging.WARNING)
    say(ring, "broken", level=logging.ERROR)
    say(ring, "chatter", level=logging.DEBUG)
    assert read(ring, LogAsk(level="warning")) == ["slow", "broken"]
    assert read(ring, LogAsk(level="critical")) == []
    assert read(ring, LogAsk(search="ORG/tiny")) == ["Loaded"]  # what belongs to a line counts
    assert read(ring, LogAsk(search="aiplat.X", level="error")) == ["broken"]
    assert ring.read(LogAsk(search="no such")).last == 3


def test_a_line_tells_what_belongs_to_it_and_no_sign() -> None:
    ring = Ring(1, FILE)
    say(ring, "x", sign="model", ms=2.5, name_of="a b", peers=["p", "q"], none=None)
    (line,) = ring.read(LogAsk()).lines
    assert line.more == r'ms=2.5 name_of="a b" peers="[\"p\",\"q\"]" none=null'
    assert (line.level, line.logger) == ("info", "aiplat.x")


def test_nothing_in_it_moves_a_cursor_and_all_is_bounded(home: str) -> None:
    ring = Ring(3, FILE)
    say(ring, "\x1b[2J two\nlines\u202e", peer="\x1b]0;title\x07")
    say(ring, "x" * (2 * MAX_MESSAGE))
    say(ring, "try `aiplat doctor`")
    first, long, told = ring.read(LogAsk()).lines
    assert first.message == "·[2J two·lines·"
    assert "\x1b" not in first.more
    assert (len(long.message), long.message[-1]) == (MAX_MESSAGE, "…")
    assert told.message == f"try `aiplat --home '{home}' doctor`"


def test_an_exception_is_named_and_a_line_that_cannot_be_made_ends_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)  # else it prints a traceback
    ring = Ring(3, FILE)
    try:
        raise ValueError("a\nb")
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, __file__, 0, "m", None, sys.exc_info())
    ring.handle(record)
    ring.handle(logging.LogRecord("x", logging.INFO, __file__, 0, "%d", ("no number",), None))
    say(ring, "after")
    first, after = ring.read(LogAsk()).lines
    assert first.more == r'exception="ValueError: a\nb"'
    assert (after.number, after.message) == (1, "after")


@pytest.mark.parametrize("ask", [LogAsk(most=0), LogAsk(most=1001), LogAsk(search="x" * 201)])
def test_too_much_at_once_is_refused(ask: LogAsk) -> None:
    with pytest.raises(InvalidRequest, match=r"at (once|most)"):
        Ring(3, FILE).read(ask)


def test_the_process_has_one_ring_from_its_configuration_to_its_end(tmp_path: Path) -> None:
    root, file = logging.getLogger(), tmp_path / "node.jsonl"
    level = root.level
    try:
        logs.configure(file, {}, lines=100)
        logging.getLogger("aiplat.x").warning("heard")
        assert "heard" in read(logs.ring(file))
        logs.leave_terminal()
        logging.getLogger("aiplat.x").warning("still")
        assert "still" in read(logs.ring(file))
    finally:
        logs.close()
        root.setLevel(level)
        for name in logs._FILE_ONLY:
            logging.getLogger(name).setLevel(logging.NOTSET)
    assert read(logs.ring(file)) == []
