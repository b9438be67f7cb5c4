"""The one writer: in order, whole or not at all, and nothing lost while the disk takes nothing."""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import subprocess
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from aiplat.accounts import database, writer
from aiplat.accounts.database import connect, prepare
from aiplat.accounts.metered import Batch
from aiplat.accounts.writer import Writer
from aiplat.domain.errors import ConfigError, InvalidRequest, NotReady
from aiplat.telemetry.metrics import Metrics
from tests.unit.accounts.helpers import holding, refused, until
from tests.unit.accounts.test_metered import event, running


class Desk:
    """A writer that runs, and what its file holds."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.metrics = Metrics()
        self.writer = Writer(path, self.metrics)

    def counts(self, *numbers: int, **changes: Any) -> None:
        """Usage to be written."""
        self.writer.write(Batch({}, [(n, event(n, **changes)) for n in numbers], {}))

    def written(self) -> list[str]:
        with contextlib.closing(sqlite3.connect(self.path)) as connection:
            rows = connection.execute("SELECT request FROM events ORDER BY id")
            return [request for (request,) in rows]

    def count(self, name: str) -> float:
        return self.metrics.registry.get_sample_value(name) or 0.0


@asynccontextmanager
async def desk(path: Path) -> AsyncIterator[Desk]:
    prepare(path, path.parent / "backups")
    one = Desk(path)
    one.writer.start()
    try:
        with trio.fail_after(60):
            yield one
    finally:
        assert one.writer.stop(30)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "accounts.db"


@pytest.fixture
def in_haste(monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is not waited for as long as for a person."""
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.02)
    monkeypatch.setattr(writer, "RETRY_SECONDS", 0.02)
    monkeypatch.setattr(writer, "LOOK_SECONDS", 0.02)


@pytest.fixture(params=["a small disk", "a bound of pages"])
def small(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """A database that soon is full, and where `room` makes room again."""
    folder = tmp_path / "small"
    folder.mkdir()
    if request.param == "a small disk":
        options = ["-t", "tmpfs", "-o", "size=600k", "tmpfs", str(folder)]
        if os.geteuid() or subprocess.run(["mount", *options], check=False).returncode:
            pytest.skip("a small disk is mounted by root alone")
        try:
            yield folder / "accounts.db"
        finally:
            subprocess.run(["umount", "--lazy", folder], check=True)
        return
    bound = [120]

    def bounded(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
        connection = connect(path, read_only=read_only)
        connection.execute(f"PRAGMA max_page_count = {bound[0]}")
        return connection

    monkeypatch.setattr(writer, "connect", bounded)
    monkeypatch.setattr(small_room, "bound", bound, raising=False)
    yield folder / "accounts.db"


def harmed(path: Path, how: str) -> Callable[[], object]:
    """Do it harm; gives what mends it."""
    whole, aside = path.read_bytes(), path.with_name("aside")
    if how == "overwritten":
        path.write_bytes(b"garbage " * 1000)
        return lambda: path.write_bytes(whole)
    path.rename(aside)
    if how == "replaced":
        path.write_bytes(whole)
    return lambda: aside.replace(path)


def small_room(path: Path) -> None:
    """Make room there."""
    if path.parent.is_mount():
        subprocess.run(["mount", "-o", "remount,size=64m", path.parent], check=True)
    else:
        small_room.bound[0] = 100_000  # type: ignore[attr-defined]  # the fixture's


# -- batches and changes ---------------------------------------------------------------------------


async def test_what_comes_is_written_in_order(path: Path) -> None:
    async with desk(path) as one:
        one.counts(1, 2)
        one.writer.write(Batch({3: running(3)}, [], {}))
        one.counts(3)
        assert await one.writer.change(
            lambda db: db.execute("SELECT count(*) FROM events").fetchone()
        )
        assert one.written() == ["req-1", "req-2", "req-3"]
        assert one.writer.unwritten == 0
        assert one.count("aiplat_accounts_flush_seconds_count") >= 1


async def test_what_was_handed_over_before_a_change_is_written_before_it(path: Path) -> None:
    """Also while the writer is at another one: a backup has what was counted before it."""
    holds, goes_on = threading.Event(), threading.Event()
    seen: list[Any] = []

    def slow(db: sqlite3.Connection) -> None:
        holds.set()
        assert goes_on.wait(60)

    def look(db: sqlite3.Connection) -> None:
        seen.extend(db.execute("SELECT request FROM events").fetchall())

    async with desk(path) as one, trio.open_nursery() as nursery:
        nursery.start_soon(one.writer.change, slow)
        await until(holds.is_set, "the first change begins")
        one.counts(1)
        nursery.start_soon(one.writer.change, look)
        await trio.testing.wait_all_tasks_blocked()
        goes_on.set()
    assert seen == [("req-1",)]


async def test_a_change_that_fails_is_not_made_at_all(path: Path) -> None:
    def half(db: sqlite3.Connection) -> None:
        db.execute("INSERT INTO marks VALUES ('half', 1)")
        raise InvalidRequest("no")

    def twice(db: sqlite3.Connection) -> None:
        db.execute("INSERT INTO marks VALUES ('twice', 1)")
        db.execute("INSERT INTO marks VALUES ('twice', 1)")

    async with desk(path) as one:
        with refused(InvalidRequest, "no"):
            await one.writer.change(half)
        with pytest.raises(sqlite3.IntegrityError):
            await one.writer.change(twice)
        assert one.count("aiplat_accounts_store_failures_total") == 0, "the store is well"
        rows = await one.writer.change(lambda db: db.execute("SELECT name FROM marks").fetchall())
        assert rows == [("folded",)]


async def test_a_change_that_the_database_does_not_take(path: Path) -> None:
    async with desk(path) as one:
        with refused(NotReady, "cannot be used .no such table: nowhere.") as caught:
            await one.writer.change(lambda db: db.execute("INSERT INTO nowhere VALUES (1)"))
        assert caught.value.retry_after == 5
        assert one.count("aiplat_accounts_store_failures_total") == 1
        assert one.writer.problem == "", "usage is written all the same"


@pytest.mark.parametrize("when", ["it waits", "it is made"])
async def test_a_change_that_is_given_up_is_not_made_later(
    when: str, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was told that it failed: memory knows nothing of it, so the disk must not either."""
    holds, goes_on = threading.Event(), threading.Event()

    def stuck(db: sqlite3.Connection) -> None:
        db.execute("INSERT INTO marks VALUES ('stuck', 1)")
        holds.set()
        assert goes_on.wait(60)

    async with desk(path) as one, trio.open_nursery() as nursery:
        if when == "it waits":
            nursery.start_soon(one.writer.change, stuck)
            await until(holds.is_set, "the first one begins")
        monkeypatch.setattr(writer, "CHANGE_SECONDS", 0.05)
        work = (
            stuck
            if when == "it is made"
            else lambda db: db.execute("INSERT INTO marks VALUES ('late', 1)")
        )
        with refused(NotReady, "did not take the change within 0.05 s. Look whether another"):
            await one.writer.change(work)
        monkeypatch.undo()
        goes_on.set()
        rows = await one.writer.change(lambda db: db.execute("SELECT name FROM marks").fetchall())
        assert rows == ([("folded",)] if when == "it is made" else [("folded",), ("stuck",)])


async def test_who_is_cancelled_hears_how_it_went_all_the_same(path: Path) -> None:
    """A command that is ended while a key is revoked: the node must know what its disk knows."""
    holds, goes_on, told = threading.Event(), threading.Event(), []

    def slow(db: sqlite3.Connection) -> str:
        holds.set()
        assert goes_on.wait(60)
        return "done"

    async with desk(path) as one, trio.open_nursery() as nursery:

        async def asks() -> None:
            told.append(await one.writer.change(slow))

        nursery.start_soon(asks)
        await until(holds.is_set, "it begins")
        nursery.cancel_scope.cancel()
        trio.lowlevel.current_trio_token().run_sync_soon(goes_on.set)
    assert told == ["done"]


# -- a disk that takes nothing ---------------------------------------------------------------------


async def test_a_locked_database_takes_it_all_when_it_is_free(
    path: Path, in_haste: None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with desk(path) as one:
        with contextlib.closing(holding(path)):
            one.counts(1)
            await until(lambda: one.writer.problem, "the problem is told")
            assert "accounts.db cannot be used (database is locked): another" in one.writer.problem
            one.counts(2, 3)
            with refused(NotReady, "database is locked"):
                await one.writer.change(lambda db: None)
            failures = "aiplat_accounts_store_failures_total"
            await until(lambda: one.count(failures) >= 5, "it tries again and again")
            assert one.writer.unwritten == 3
            assert one.written() == []
        await until(lambda: not one.writer.problem, "it is well again")
        assert one.written() == ["req-1", "req-2", "req-3"]
        assert one.writer.unwritten == 0
        await one.writer.change(lambda db: None)
    told = [r.message for r in caplog.records if r.name == "aiplat.accounts"]
    assert len([line for line in told if "usage cannot be written" in line]) == 1, (
        "once, not each time"
    )
    assert told[-1] == "the accounts' database takes usage again"


async def test_a_full_disk_takes_it_all_when_there_is_room(small: Path, in_haste: None) -> None:
    async with desk(small) as one:
        sent = 0
        while not one.writer.problem:
            sent += 1
            one.counts(sent, manifest="x" * 5000)
            assert sent < 2000, "it is never full"
            await until(lambda: one.writer.problem or not one.writer.unwritten, "it is tried")
        assert "is full): make room on its disk, and try again" in one.writer.problem
        with refused(NotReady, "make room on its disk"):
            await one.writer.change(lambda db: db.execute("INSERT INTO marks VALUES ('x', 1)"))
        assert one.writer.unwritten >= 1
        small_room(small)
        await until(lambda: not one.writer.problem, "it is well again")
        assert one.written() == [f"req-{number + 1}" for number in range(sent)]


@pytest.mark.parametrize("harm", ["removed", "replaced", "overwritten"])
async def test_a_file_that_is_harmed_under_it(harm: str, path: Path, in_haste: None) -> None:
    async with desk(path) as one:
        one.counts(1)
        await one.writer.change(lambda db: None)
        mend = harmed(path, harm)
        words = {"removed": "is gone", "replaced": "was replaced by another file",
                 "overwritten": "was overwritten"}[harm]  # fmt: skip
        await until(lambda: words in one.writer.problem, "it is noticed, though nobody writes")
        one.counts(2)
        with refused(NotReady, words):
            await one.writer.change(lambda db: db.execute("INSERT INTO marks VALUES ('x', 1)"))
        assert one.writer.unwritten == 1
        mend()
        await until(lambda: not one.writer.problem, "it is well again")
        assert one.written() == ["req-1", "req-2"]


async def test_one_that_cannot_be_opened_is_no_fault_of_the_node(
    path: Path, in_haste: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(path: Path) -> sqlite3.Connection:
        raise PermissionError(13, "no", str(path))

    async with desk(path) as one:
        monkeypatch.setattr(writer, "connect", broken)
        with refused(NotReady, "see to the file and its folder"):
            await one.writer.change(lambda db: None)
        one.counts(1)
        await until(lambda: one.writer.problem, "usage is not written either")
        monkeypatch.undo()
        await until(lambda: one.written(), "it is")


async def test_what_nobody_foresaw_does_not_end_the_writer(path: Path, in_haste: None) -> None:
    """A number that SQLite cannot hold: then nothing more is let in, rather than not counted."""
    async with desk(path) as one:
        one.counts(1, completion=2**63)
        await until(lambda: one.writer.problem, "it is told")
        with refused(NotReady, "too large"):
            await one.writer.change(lambda db: None)
        assert one.writer._writing is not None
        one.writer._writing.ended.clear()
        await until(lambda: not one.writer.problem, "it lives")


# -- the end ---------------------------------------------------------------------------------------


async def test_at_the_end_what_is_left_is_written(path: Path) -> None:
    holds, goes_on = threading.Event(), threading.Event()

    def slow(db: sqlite3.Connection) -> None:
        holds.set()
        assert goes_on.wait(60)

    prepare(path, path.parent / "backups")
    one = Desk(path)
    one.writer.start()
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(one.writer.change, slow)
            await until(holds.is_set, "the writer is busy")
            one.counts(1, 2)
            nursery.start_soon(
                one.writer.change, lambda db: db.execute("INSERT INTO marks VALUES ('x', 1)")
            )
            await trio.testing.wait_all_tasks_blocked()
            assert not one.writer.stop(0.01), "it is not done"
            goes_on.set()
        assert await trio.to_thread.run_sync(one.writer.stop, 30)
    assert one.written() == ["req-1", "req-2"]
    with refused(NotReady, "the node stops"):
        await one.writer.change(lambda db: None)


async def test_a_locked_database_does_not_hold_up_the_end_beyond_its_deadline(
    path: Path, in_haste: None
) -> None:
    async with desk(path) as one:
        with contextlib.closing(holding(path)):
            one.counts(1)
            await until(lambda: one.writer.problem, "it is tried")
            with trio.fail_after(20):
                await trio.to_thread.run_sync(one.writer.stop, 0.1)
                await until(lambda: not one.writer._thread.is_alive(), "it gives up")
            assert one.writer.unwritten == 1, "whoever stopped it can tell"


async def test_a_lock_that_goes_before_the_end_costs_nothing(path: Path, in_haste: None) -> None:
    async with desk(path) as one, trio.open_nursery() as nursery:
        with contextlib.closing(holding(path)):
            one.counts(1)
            await until(lambda: one.writer.problem, "it is tried")
            nursery.start_soon(trio.to_thread.run_sync, one.writer.stop, 30)
            failures = "aiplat_accounts_store_failures_total"
            await until(lambda: one.writer._stopping, "it is to end")
            before = one.count(failures)
            await until(lambda: one.count(failures) >= before + 3, "it tries on")
            assert one.writer._thread.is_alive()
        await until(lambda: not one.writer._thread.is_alive(), "it ends")
        assert one.written() == ["req-1"]


async def test_changes_that_wait_at_the_end_hear_of_it(path: Path, in_haste: None) -> None:
    busy, goes_on = threading.Event(), threading.Event()

    def slow(db: sqlite3.Connection) -> None:
        busy.set()
        assert goes_on.wait(60)

    async with desk(path) as one:
        refusals: list[NotReady] = []

        async def asks() -> None:
            try:
                await one.writer.change(lambda db: None)
            except NotReady as error:
                refusals.append(error)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(one.writer.change, slow)
            await until(busy.is_set, "the writer is busy")
            one.counts(1)
            nursery.start_soon(asks)
            await trio.testing.wait_all_tasks_blocked()
            harmed(path, "removed")
            one.writer.stop(0)
            goes_on.set()
            nursery.cancel_scope.deadline = trio.current_time() + 10
        assert ["is gone" in str(refusal) for refusal in refusals] == [True], "and at once"


def test_without_its_file_it_does_not_begin(path: Path) -> None:
    with refused(ConfigError, "accounts.db cannot be used"):
        Writer(path, Metrics()).start()
