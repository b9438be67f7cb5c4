"""The series as a whole: what they are told is shown and kept, and costs the node nothing."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from aiplat.control.series import SeriesAsk, ShareSum
from aiplat.database import file as file_module
from aiplat.domain.errors import NotReady
from aiplat.domain.ids import PeerId
from aiplat.series import series as module
from aiplat.series.seen import Came, Reading
from aiplat.series.series import Series
from aiplat.series.settings import SeriesSettings
from aiplat.series.steady import STEADY_SECONDS
from aiplat.series.wanted import DAY, HOUR, SECONDS_KEPT
from aiplat.telemetry.metrics import Metrics
from tests.unit.series.helpers import NOON, OWN, seen

ALL = SeriesAsk(since=0, step=0)


class Desk:
    """A series on a clock that the test sets."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.wall = float(NOON)
        self.metrics = Metrics()
        self.path = folder / "series.db"
        self.series = Series(
            self.path, SeriesSettings(**settings), self.metrics, PeerId(OWN), lambda: self.wall
        )

    async def requests(self, ask: SeriesAsk = ALL) -> int:
        return (await self.series.read(ask)).total.requests

    def on_disk(self, table: str = "seen") -> list[tuple[Any, ...]]:
        """All its rows, as another program sees them."""
        if not self.path.exists():
            return []
        with contextlib.closing(sqlite3.connect(self.path)) as db:
            try:
                return db.execute(f"SELECT * FROM {table}").fetchall()
            except sqlite3.DatabaseError:
                return []  # it is being made

    def hits(self, bound: str) -> float:
        labels = {"bound": bound}
        return self.metrics.registry.get_sample_value("aiplat_bound_hits_total", labels) or 0.0


@asynccontextmanager
async def at_work(desk: Desk) -> AsyncIterator[Desk]:
    async with trio.open_nursery() as nursery:
        await nursery.start(desk.series.run)
        yield desk
        nursery.cancel_scope.cancel()


async def until(check: Callable[[], object], seconds: float = 30.0) -> None:
    """Wait for what a thread does, on the real clock."""
    end = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < end, check
        await trio.lowlevel.checkpoint()


async def go_on(clock: MockClock, seconds: float) -> None:
    """Let so much time pass, once all have heard of what was before."""
    await trio.testing.wait_all_tasks_blocked()
    clock.jump(seconds)


async def test_what_was_told_is_shown_at_once_and_once(
    tmp_path: Path, mock_clock: MockClock
) -> None:
    desk = Desk(tmp_path)
    async with at_work(desk):
        for _ in range(3):
            desk.series.saw(seen())
        assert await desk.requests() == 3, "from memory"
        await go_on(mock_clock, 5.0)
        await until(desk.on_disk)
        assert await desk.requests() == 3, "from the file"
        desk.series.saw(seen())
        assert await desk.requests() == 4, "from both"
        desk.series.machine(Reading(part="engine", name="m", busy=1.5, memory_bytes=7))
        reply = await desk.series.read(SeriesAsk(since=NOON - HOUR, by="model", machine=True))
        assert [(row.at, row.name, row.requests) for row in reply.rows] == [(NOON, "m", 4)]
        assert [(row.name, row.busy) for row in reply.machine] == [("m", 1.5)]
        assert reply.problem == ""
    assert desk.on_disk("machine"), "the last figures are written at the end"
    again = Desk(tmp_path)
    assert await again.requests() == 4
    again.series.saw(seen())
    async with at_work(again):
        pass
    assert await Desk(tmp_path).requests() == 5, "two lives add to the same minute"


async def test_the_last_seconds_are_known_by_the_second_with_tokens_as_they_come(
    tmp_path: Path,
) -> None:
    desk = Desk(tmp_path)
    ask = SeriesAsk(since=NOON, step=1, machine=True)
    for second in range(3):
        desk.wall = NOON + second + 0.5
        desk.series.saw(Came(role="gateway", model="m", key="k", peer="p", tokens=10))
    desk.series.saw(seen(completion_tokens=33, told_tokens=30))
    desk.series.machine(Reading(part="engine", name="m", busy=1.5, memory_bytes=7))
    reply = await desk.series.read(ask)
    assert (reply.step, reply.until) == (1, NOON + 3)
    assert [(row.at - NOON, row.requests, row.completion_tokens) for row in reply.rows] == [
        (0, 0, 10), (1, 0, 10), (2, 1, 13),
    ]  # fmt: skip
    assert reply.total.completion_tokens == 33 and reply.total.requests == 1
    assert [(row.at - NOON, row.busy) for row in reply.machine] == [(2, 1.5)]
    coarse = await desk.series.read(SeriesAsk(since=NOON, step=60))
    assert [(row.at, row.completion_tokens) for row in coarse.rows] == [(NOON, 33)]
    desk.wall = NOON + SECONDS_KEPT + 1
    late = await desk.series.read(ask)
    assert late.step == 60, "what is older has minutes"
    assert late.total.completion_tokens == 33


async def test_seconds_are_no_more_than_their_bound(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    for second in range(3 * SECONDS_KEPT):
        desk.wall = float(NOON + second)
        desk.series.saw(seen())
    pages = desk.series._seconds.pages()
    assert len(pages) == SECONDS_KEPT and pages[0].at == NOON + 2 * SECONDS_KEPT
    assert desk.hits("series_minutes") == 0


async def test_a_node_that_is_never_asked_makes_no_file(
    tmp_path: Path, mock_clock: MockClock
) -> None:
    desk = Desk(tmp_path)
    async with at_work(desk):
        await go_on(mock_clock, 60.0)
        await trio.testing.wait_all_tasks_blocked()
    assert not desk.path.exists()


async def test_a_file_that_cannot_be_written_disturbs_nobody_and_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_module, "BUSY_SECONDS", 0.01)
    desk = Desk(tmp_path, kept_minutes=2)
    desk.series.saw(seen())
    await desk.series.flush()
    with contextlib.closing(sqlite3.connect(desk.path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        for minute in range(4):
            desk.wall = NOON + 60.0 * minute
            desk.series.saw(seen())
            await desk.series.flush()
        reply = await desk.series.read(ALL)
        assert reply.total.requests == 1 + 2, "what is there can be read still"
        assert "another program holds it" in reply.problem
        assert "newest 2 minutes (series.kept_minutes)" in reply.problem
        assert desk.hits("series_minutes") == 2
    await desk.series.flush()
    reply = await desk.series.read(ALL)
    assert (reply.total.requests, reply.problem) == (1 + 2, "")
    assert len(desk.on_disk()) == 3 + 1 + 1, "three minutes, and what holds them"


async def test_a_broken_file_costs_what_was_in_it_and_nothing_more(tmp_path: Path) -> None:
    (tmp_path / "series.db").write_bytes(b"rubbish" * 1000)
    desk = Desk(tmp_path)
    desk.series.saw(seen())
    await desk.series.flush()
    assert len(desk.on_disk()) == 3
    assert desk.series.problem == ""
    assert (tmp_path / "series.db.broken-1").exists()


async def test_a_fault_of_ours_costs_graphs_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk(tmp_path)

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(module, "write", broken)
        desk.series.saw(seen())
        await desk.series.flush()
        assert "ZeroDivisionError" in desk.series.problem
    await desk.series.flush()
    assert desk.series.problem == ""
    assert await desk.requests() == 1


async def test_rows_beyond_the_bound_are_counted_in_the_metrics(tmp_path: Path) -> None:
    desk = Desk(tmp_path, rows=1)
    for peer in "abc":
        desk.series.saw(seen(peer=peer))
    assert desk.hits("series_rows") == 2
    reply = await desk.series.read(SeriesAsk(since=NOON, by="peer"))
    assert {row.name: row.requests for row in reply.rows} == {"a": 1, "other": 2}


async def test_old_minutes_are_folded_and_old_hours_deleted_but_by_no_clock_that_jumps(
    tmp_path: Path, mock_clock: MockClock
) -> None:
    desk = Desk(tmp_path)

    async def flushed(*, spans: dict[int, int]) -> None:
        await desk.series.flush()
        assert Counter(row[0] for row in desk.on_disk()) == spans

    def passes(seconds: float) -> None:
        desk.wall += seconds
        mock_clock.jump(seconds)

    desk.series.saw(seen())
    passes(120)
    desk.series.saw(seen())
    await flushed(spans={60: 2, 300: 1, 3600: 1})
    desk.wall = NOON + 400.0 * DAY  # wrong, for a moment
    desk.series.saw(seen())
    await flushed(spans={60: 3, 300: 2, 3600: 2})
    desk.wall = NOON + 2.5 * DAY
    await flushed(spans={60: 3, 300: 2, 3600: 2})
    passes(STEADY_SECONDS - 1)
    await flushed(spans={60: 3, 300: 2, 3600: 2})
    passes(1)
    await flushed(spans={3600: 1})
    assert await desk.requests() == 2, "the row of the future alone is gone"
    passes(27 * DAY)
    await flushed(spans={3600: 1})
    passes(DAY)
    await flushed(spans={})


@pytest.mark.parametrize("days", [-400.0, 400.0])
async def test_a_clock_that_is_wrong_at_the_start_deletes_nothing(
    days: float, tmp_path: Path, mock_clock: MockClock
) -> None:
    before = Desk(tmp_path)
    for hour in range(10):
        before.wall = NOON - 3600.0 * hour
        before.series.saw(seen())
    await before.series.flush()
    mock_clock.jump(1e6)  # of a machine that is up for long
    desk = Desk(tmp_path)
    desk.wall = NOON + days * DAY
    for _ in range(3):
        desk.series.saw(seen())
        await desk.series.flush()
        mock_clock.jump(STEADY_SECONDS / 4)
        desk.wall += STEADY_SECONDS / 4
    desk.wall = float(NOON)  # now it was told the time
    await desk.series.flush()
    assert await desk.requests(SeriesAsk(since=NOON - 11 * HOUR, until=NOON + HOUR, step=0)) == 10


async def test_what_was_given_and_taken_in_a_day_and_a_month(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    for day in (-10.0, -0.5):
        desk.wall = NOON + day * DAY
        desk.series.saw(seen(role="processor", peer="p"))
        desk.series.saw(seen(role="processor", peer=OWN))
        desk.series.saw(seen(role="processor", peer="", completion_tokens=6))  # by a key
        desk.series.saw(seen(role="client", peer="q", completion_tokens=7))
        desk.series.saw(seen(role="client", peer=""))
        desk.series.saw(seen(role="gateway", peer="q"))
    desk.wall = float(NOON)
    found = await desk.series.exchange()
    one = ShareSum(requests=2, prompt_tokens=20, completion_tokens=11)
    two = ShareSum(requests=4, prompt_tokens=40, completion_tokens=22)
    assert (found.gave_day, found.gave_month) == (one, two)
    assert [t.completion_tokens for t in (found.took_day, found.took_month)] == [7, 14]


async def test_a_disk_that_does_not_answer_holds_up_neither_reader_nor_end(
    tmp_path: Path, mock_clock: MockClock
) -> None:
    answers, asked, answered = threading.Event(), threading.Event(), threading.Event()
    desk = Desk(tmp_path)

    def hangs(*_: object) -> None:
        asked.set()
        answers.wait(30)
        answered.set()

    try:
        async with at_work(desk):
            desk.series._file.use = hangs  # type: ignore[assignment, method-assign]  # a method
            desk.series.saw(seen())
            await go_on(mock_clock, 5.0)
            await until(asked.is_set)
            mock_clock.jump(module.SLOW_SECONDS + 1)
            assert "has not answered for over 10 s" in desk.series.problem
            async with trio.open_nursery() as nursery:

                async def read() -> None:
                    with pytest.raises(NotReady, match="within 3 s"):
                        await desk.requests()

                nursery.start_soon(read)
                await go_on(mock_clock, module.READ_SECONDS + 0.1)
            mock_clock.autojump_threshold = 0.05  # for the last two seconds of the end
        assert not answered.is_set(), "nobody waited for it"
    finally:
        answers.set()


KILLED = """
import sys, trio
from pathlib import Path
from aiplat.domain.ids import PeerId
from aiplat.series.series import Series
from aiplat.series.settings import SeriesSettings
from aiplat.telemetry.metrics import Metrics
from tests.unit.series.helpers import seen

async def main():
    series = Series(Path(sys.argv[1]), SeriesSettings(flush_seconds=0.01), Metrics(), PeerId("own"))
    flush, told = series.flush, 0

    async def tells():
        before = told
        await flush()
        print(before, flush=True)

    series.flush = tells
    async with trio.open_nursery() as nursery:
        await nursery.start(series.run)
        while True:
            series.saw(seen(peer=f"p{told % 7}"))
            told += 1
            await trio.sleep(0.0005)

trio.run(main)
"""


def test_a_killed_node_loses_what_came_after_its_last_write(tmp_path: Path) -> None:
    path = tmp_path / "series.db"
    for life in range(1, 4):
        child = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(path)],
            stdout=subprocess.PIPE, cwd=Path(__file__).parents[3],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        )  # fmt: skip
        assert child.stdout is not None
        with child.stdout as out:
            lines = [out.readline() for _ in range(10 + 7 * life)]
            child.send_signal(signal.SIGKILL)
            lines += out.readlines()
        child.wait(30)
        whole = [int(line) for line in lines if line.endswith(b"\n")]
        with contextlib.closing(sqlite3.connect(path)) as db:
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            [(kept,)] = db.execute("SELECT SUM(requests) FROM seen WHERE span = 60").fetchall()
            db.execute("DELETE FROM seen")
            db.commit()
        assert whole[-1] > 0
        assert whole[-1] <= kept <= whole[-1] + 1000
