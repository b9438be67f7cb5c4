"""A file that is locked, full, read-only, broken, newer or gone; and a disk that hangs."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from functools import partial
from pathlib import Path

import pytest
import trio

from aiplat.control.history import ConversationName, HistoryAsk, HistoryCall, Nothing, Save
from aiplat.database import file as file_module
from aiplat.domain.errors import InvalidRequest, NotReady
from aiplat.history import desk as desk_module
from aiplat.history import history as module
from aiplat.history.history import History, read_call
from aiplat.history.settings import HistorySettings
from aiplat.telemetry.metrics import Metrics
from tests.unit.history.helpers import Clock, answer, desk, found, save, talk


def test_a_locked_one_is_left_alone_and_said_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_module, "BUSY_SECONDS", 0.01)
    at, given = desk(tmp_path), talk("hello")
    save(at, given)
    at.close()
    with contextlib.closing(sqlite3.connect(tmp_path / "history.db", isolation_level=None)) as db:
        db.execute("BEGIN EXCLUSIVE")
        with pytest.raises(NotReady, match=r"The conversations' file .*locked\): another program"):
            save(at, given)
        db.execute("ROLLBACK")
    save(at, given)
    assert not list(tmp_path.glob("*broken*"))


def test_a_full_disk_is_said_so_and_nothing_is_half_kept(tmp_path: Path) -> None:
    at, given = desk(tmp_path), talk("hello")
    save(at, given)
    at._file.use(lambda db: db.execute("PRAGMA max_page_count = 1").fetchone())
    with pytest.raises(NotReady, match=r"full\): make room on its disk"):
        save(at, talk("x" * 100_000))
    assert found(at, "hello") == [given.id]
    save(at, talk("x" * 100_000))  # opened anew, without the test's bound


def test_a_broken_one_is_put_aside_and_begun_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "history.db").write_bytes(b"no database at all " * 100)
    at, given = desk(tmp_path), talk("hello")
    save(at, given)
    assert found(at, "hello") == [given.id]
    aside = tmp_path / "history.db.broken-1"
    assert aside.read_bytes().startswith(b"no database")
    assert "conversations' file" in caplog.text and "a new one is begun" in caplog.text
    assert str(aside) in at.state(Nothing()).note
    assert str(aside) in at.list(HistoryAsk()).note
    asked = talk("two")
    turns = [answer("", asked.turns[0].id, state="running") for _ in range(2)]
    notes = [at.begin(asked, turn, lambda: True) for turn in turns]
    assert str(aside) in notes[0] and notes[1] == "", "told once"


def test_no_broken_one_is_ever_deleted_and_too_many_are_left_to_a_person(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_module, "FRESH_SECONDS", 0.0)
    monkeypatch.setattr(file_module, "MOST_BROKEN", 5)
    at = desk(tmp_path)
    for number in range(5):
        (tmp_path / "history.db").write_bytes(b"no database %d " % number * 100)
        save(at, talk("hello"))
        at.close()
    assert "4 that broke before lie beside it" in at.state(Nothing()).note
    at.close()
    (tmp_path / "history.db").write_bytes(b"no database at all " * 100)
    with pytest.raises(NotReady, match="5 broken ones lie beside it already"):
        save(at, talk("hello"))
    kept = sorted(path.read_bytes()[:13] for path in tmp_path.glob("*.broken-?"))
    assert kept == [b"no database %d" % number for number in range(5)]


def test_one_of_a_newer_version_is_not_touched(tmp_path: Path) -> None:
    at = desk(tmp_path)
    save(at, talk("hello"))
    at.close()
    with contextlib.closing(sqlite3.connect(tmp_path / "history.db")) as db:
        db.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) "
            "VALUES ('aiplat.history', '9999-later', '')"
        )
        db.commit()
    with pytest.raises(NotReady, match="written by a newer aiplat"):
        at.list(HistoryAsk())
    assert not list(tmp_path.glob("*broken*"))


def test_one_that_was_removed_takes_no_half_answer(tmp_path: Path) -> None:
    at, given = desk(tmp_path), talk("hello")
    turn = answer("", given.turns[0].id, state="running")
    at.begin(given, turn, lambda: True)
    for path in tmp_path.iterdir():
        path.unlink()
    assert turn.facts is not None
    assert not at.write(given.id, turn.id, "text", turn.facts)
    assert not (tmp_path / "history.db").exists()


def test_it_costs_no_import_of_what_makes_a_file_when_it_is_there(tmp_path: Path) -> None:
    import subprocess
    import sys

    save(desk(tmp_path), talk("hello"))
    code = (
        "import sys\nfrom pathlib import Path\n"
        "from aiplat.history.desk import HistoryDesk\n"
        "from aiplat.history.settings import HistorySettings\n"
        "from aiplat.control.history import HistoryAsk\n"
        "desk = HistoryDesk(Path(sys.argv[1]), HistorySettings())\n"
        "assert len(desk.list(HistoryAsk()).conversations) == 1\n"
        "assert 'sqlite_utils' not in sys.modules and 'numpy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "history.db")], check=True)


# -- on the loop ---------------------------------------------------------------------------------


def history(folder: Path, metrics: Metrics | None = None, **settings: object) -> History:
    bounds = HistorySettings(**settings)  # type: ignore[arg-type]  # test data
    return History(folder / "history.db", bounds, metrics or Metrics(), Clock())


async def test_the_loop_goes_on_while_the_disk_hangs_and_who_asks_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WAIT_SECONDS", 0.05)
    at, hangs = history(tmp_path), threading.Event()
    given = talk("hello")

    def hang(*what: object) -> None:
        hangs.wait(60)

    with monkeypatch.context() as patch:
        patch.setattr(at._desk, "answer", hang)
        with pytest.raises(NotReady, match=r"did not answer within 0\.05 s"):
            await at.answer("list", HistoryAsk())
    with pytest.raises(NotReady, match="did not answer"):  # the thread is one
        await at.begin(given, answer("", given.turns[0].id))
    hangs.set()
    monkeypatch.setattr(module, "WAIT_SECONDS", 60)
    listed = await at.answer("list", HistoryAsk())
    assert listed.conversations == (), "what was given up is not done later"  # type: ignore[attr-defined]  # its reply
    await at.close()


async def test_an_answer_that_was_given_up_does_not_begin_a_moment_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at, hangs, given = history(tmp_path), threading.Event(), talk("hello")
    real = at._desk.begin

    def late(*what: object) -> None:
        hangs.wait(60)
        real(*what)  # type: ignore[arg-type]  # as they came

    with monkeypatch.context() as patch:
        patch.setattr(module, "WAIT_SECONDS", 0.05)
        patch.setattr(at._desk, "begin", late)
        with pytest.raises(NotReady, match="did not answer"):
            await at.begin(given, answer("", given.turns[0].id))
    hangs.set()
    listed = await at.answer("list", HistoryAsk())
    assert listed.conversations == ()  # type: ignore[attr-defined]  # its reply
    await at.close()


async def test_a_search_that_nobody_waits_for_ends_and_an_answer_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at, given, searches = history(tmp_path), talk("hello"), threading.Event()
    await at.answer("save", Save(conversation=given))
    with monkeypatch.context() as patch:
        patch.setattr(desk_module, "newest", partial(endless, searches))
        with trio.fail_after(30):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(at.answer, "list", HistoryAsk(search="h"))
                await trio.to_thread.run_sync(searches.wait, 30)
                nursery.cancel_scope.cancel()
            began = time.monotonic()
            await at.begin(given, answer("", given.turns[0].id, state="running"))
            assert time.monotonic() - began < desk_module.SEARCH_SECONDS
    await at.close()


def test_a_search_that_takes_too_long_is_given_up_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at, given = desk(tmp_path), talk("hello")
    save(at, given)
    with monkeypatch.context() as patch:
        patch.setattr(desk_module, "SEARCH_SECONDS", 0.05)
        patch.setattr(desk_module, "newest", partial(endless, threading.Event()))
        with pytest.raises(NotReady, match=r"more than 0\.05 s, and was given up: type more"):
            at.list(HistoryAsk(search="h"))
    assert found(at, "hello") == [given.id]


def endless(begun: threading.Event, db: sqlite3.Connection, *_: object) -> None:
    """A search that would take for ever."""
    begun.set()
    counting = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
    db.execute(f"{counting} SELECT max(i) FROM n").fetchone()


async def test_what_fails_by_our_own_fault_is_a_sentence_and_in_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    at = history(tmp_path)
    monkeypatch.setattr(at._desk, "answer", lambda *what: 1 / 0)
    with pytest.raises(NotReady, match=r"failed \(ZeroDivisionError\); the log has it"):
        await at.answer("state", Nothing())
    assert "ZeroDivisionError" in caplog.text


async def test_bounds_are_counted(tmp_path: Path) -> None:
    metrics = Metrics()
    at = history(tmp_path, metrics, max_conversations=1)
    await at.answer("save", Save(conversation=talk("one")))
    with pytest.raises(Exception, match="as many as may be"):
        await at.answer("save", Save(conversation=talk("two")))
    hits = metrics.bound_hits.labels("history_conversations")._value.get()
    assert hits == 1
    await at.close()


async def test_old_ones_go_at_the_start_and_each_hour(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    at = history(tmp_path)
    looks: list[float] = []

    async def look(work: object) -> bool:
        if work == at._desk.tidy:
            looks.append(trio.current_time())
        return False

    at._use = look  # type: ignore[method-assign,assignment]  # no thread under a clock that jumps
    with trio.move_on_after(3 * module.HOUR - 1):
        await at.keep_tidy()
    assert [round(look - looks[0]) for look in looks] == [0, 3600, 7200]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (HistoryCall(method="drop"), "Nothing called 'drop' can be asked of the conversations"),
        (HistoryCall(method="show"), "The wish does not fit show: .*`id`"),
        (HistoryCall(method="list", wish=b'{"most": "x"}'), "does not fit list"),  # type: ignore[arg-type]  # raw JSON
    ],
)
def test_calls_that_cannot_be_read(call: HistoryCall, said: str) -> None:
    with pytest.raises(InvalidRequest, match=said):
        read_call(call)


def test_a_call_that_can() -> None:
    call = HistoryCall(method="delete", wish=b'{"id": "abcd"}')  # type: ignore[arg-type]  # raw JSON
    assert read_call(call) == ("delete", ConversationName(id="abcd"))
    assert partial(read_call, HistoryCall(method="list"))() == ("list", HistoryAsk())
