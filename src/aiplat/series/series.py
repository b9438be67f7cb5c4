"""The series of a node: what its graphs show. Told on the loop, kept by a thread.

What is wrong with the file never reaches the node: `Series.problem` says it, the newest minutes
stay in memory, and the file is tried again.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import trio
from msgspec.structs import replace

from aiplat.control.series import Exchange, SeriesAsk, SeriesReply
from aiplat.database.working import no_longer_than
from aiplat.domain.errors import NotReady
from aiplat.domain.ids import PeerId, Role
from aiplat.series.book import Book
from aiplat.series.figures import Figures, MachineKey
from aiplat.series.file import SeriesFile, Trouble
from aiplat.series.graph import (
    MAX_NAMES,
    answered,
    looks_of,
    machine_rows,
    points_of,
    series_rows,
    total_of,
)
from aiplat.series.seen import Came, Reading, Seen
from aiplat.series.settings import SeriesSettings
from aiplat.series.steady import Steady
from aiplat.series.store import prune, select, select_machine, write
from aiplat.series.wanted import DAY, HOUR, SECONDS_KEPT, Wanted, by_seconds, wanted
from aiplat.telemetry.metrics import Metrics

T = TypeVar("T")

log = logging.getLogger("aiplat.series")

READ_SECONDS = 3.0
"""A face waits for four."""
LAST_SECONDS = 2.0
"""What the disk gets for the last figures when the node ends."""
SLOW_SECONDS = 10.0
MONTH_DAYS = 30
_SHARING: tuple[Role, ...] = ("processor", "client")
_FUTURE = DAY
"""How far a clock may have been ahead when it wrote a row."""

Found = list[tuple[int, str, Figures]]
FoundLooks = list[tuple[int, MachineKey, Figures]]


class Series:
    """Everything that this node's graphs show.

    Arguments:
        path: of the file, in a folder that is its owner's alone; made when there is something to
            keep.
        own: this node's peer id.
        now: seconds since 1970; it may be set back or forward at any time.
    """

    def __init__(
        self,
        path: Path,
        settings: SeriesSettings,
        metrics: Metrics,
        own: PeerId,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._own = own
        self._now = now
        self._hits = metrics.bound_hits
        self._book = Book(settings.rows, settings.kept_minutes, own, self._on_bound)
        self._seconds = Book(settings.rows, SECONDS_KEPT, own, lambda bound: None, span=1)
        self._file = SeriesFile(path)
        self._steady = Steady()
        self._tidied_in = 0
        self._troubles: dict[str, str] = {}
        self._lock = trio.Lock()
        # A thread that hangs on a dead disk goes on when nobody waits for it: the next waits.
        self._one = trio.CapacityLimiter(1)
        self._began: float | None = None

    def _on_bound(self, bound: str) -> None:
        self._hits.labels(bound).inc()

    # -- told on the loop ------------------------------------------------------------------------

    def saw(self, seen: Seen | Came) -> None:
        """Count a request that ended, or what came of one. At once, and without a fault.

        Minutes are of what ended. Seconds have tokens as they came: of an answer of half a minute
        they would else show one peak.
        """
        now = self._now()
        if type(seen) is Came:
            self._seconds.came(seen, now)
            return
        assert isinstance(seen, Seen)
        self._book.saw(seen, now)
        if seen.told_tokens:
            rest = max(0, seen.completion_tokens - seen.told_tokens)
            seen = replace(seen, completion_tokens=rest)
        self._seconds.saw(seen, now)

    def machine(self, reading: Reading) -> None:
        """Count a look at the machine."""
        now = self._now()
        self._book.machine(reading, now)
        self._seconds.machine(reading, now)

    @property
    def problem(self) -> str:
        """Why graphs may show less than there was, in words; empty when all is well."""
        trouble = next(iter(self._troubles.values()), "")
        if self._began is not None and trio.current_time() - self._began > SLOW_SECONDS:
            trouble = f"The disk has not answered for over {SLOW_SECONDS:g} s."
        if not trouble:
            return ""
        return (
            f"{trouble} Until that is mended graphs have what is in memory, at most the newest "
            f"{self._settings.kept_minutes} minutes (series.kept_minutes)."
        )

    # -- life ------------------------------------------------------------------------------------

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Hand the newest figures to the disk again and again, until cancelled; and then the last.

        A node that is killed loses what came after the last of these, `series.flush_seconds` and
        the time of one write.
        """
        task_status.started()
        try:
            while True:
                await trio.sleep(self._settings.flush_seconds)
                await self.flush()
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + LAST_SECONDS):
                await self._write()
                await self._use("close", self._close)

    async def flush(self) -> None:
        """Hand what is in memory to the disk, and delete there what is too old."""
        await self._write()
        await self._tidy()

    async def _write(self) -> None:
        async with self._lock:
            taken = self._book.take()
            if not taken:
                return
            began, beyond = False, [0]

            def work(connection: sqlite3.Connection) -> None:
                nonlocal began
                began = True
                beyond[0] = write(connection, taken, self._settings.rows, self._own)

            try:
                await self._use("write", partial(self._file.use, work))
            except Trouble:
                self._book.put_back(taken)
            except trio.Cancelled:
                if not began:  # else the thread brings it to its end
                    self._book.put_back(taken)
                raise
            if beyond[0]:
                self._on_bound("series_rows")

    async def _tidy(self) -> None:
        """Delete what is too old, once in each hour."""
        now, settings = self._now(), self._settings
        believed = self._steady.believes(now, trio.current_time())
        hour = int(now) // HOUR * HOUR
        if not believed or hour == self._tidied_in or not self._file.is_open:
            return
        kept_since, until = self._kept_since(now), int(now + _FUTURE)
        hours_since = int(now - settings.days * DAY) // HOUR * HOUR
        work = partial(prune, kept_since=kept_since, hours_since=hours_since, until=until)
        try:
            async with self._lock:
                await self._use("delete", partial(self._file.use, work))
        except Trouble:
            return
        self._tidied_in = hour

    def _kept_since(self, now: float) -> int:
        """Since when there are rows of less than hours."""
        return int(now - self._settings.minutes_days * DAY) // HOUR * HOUR

    def _close(self) -> None:
        self._file.close()

    async def _use(self, purpose: str, work: Callable[[], T]) -> T:
        """Do something with the file in the thread that has it.

        Arguments:
            purpose: what for: that it can be read does not say that it can be written.

        Raises:
            Trouble: it cannot be used; `problem` says so until the same goes well.
        """
        self._began = trio.current_time()
        try:
            done = await trio.to_thread.run_sync(work, abandon_on_cancel=True, limiter=self._one)
        except Trouble as trouble:
            self._tell(purpose, str(trouble))
            raise
        except Exception as fault:  # a fault of ours costs graphs, and not the node
            log.exception("the series' file could not be used")
            why = f"The series failed at their file ({type(fault).__name__}); the log has it."
            self._tell(purpose, why)
            raise Trouble(why) from None
        else:
            self._troubles.pop(purpose, None)
            return done
        finally:
            self._began = None

    def _tell(self, purpose: str, trouble: str) -> None:
        if trouble != self._troubles.get(purpose):
            log.warning("%s", trouble)
        self._troubles[purpose] = trouble

    # -- read ------------------------------------------------------------------------------------

    async def read(self, ask: SeriesAsk) -> SeriesReply:
        """Give the figures for a graph, those that are not on the disk yet with them.

        Raises:
            InvalidRequest: it asks for no time at all.
            NotReady: the file did not answer in time.
        """
        now = self._now()
        if (what := by_seconds(ask, now)) is not None:
            pages = self._seconds.pages()
            found, looks = points_of(pages, what), looks_of(pages, what) if ask.machine else []
        else:
            what = wanted(ask, now, self._kept_since(now))
            [found], looks = await self._find([what], machine=ask.machine)
        return SeriesReply(
            since=what.minutes_since, until=what.until, step=what.step, rows=series_rows(found),
            total=total_of(found, what.minutes_since), machine=machine_rows(looks),
            problem=self.problem,
        )  # fmt: skip

    async def exchange(self) -> Exchange:
        """Sum what this machine answered for others, and others for it, in a day and 30 days.

        Raises:
            NotReady: the file did not answer in time.
        """
        now = self._now()
        whats = [
            self._of_others(role, max(0, int(now) - days * DAY), now)
            for role in _SHARING for days in (1, MONTH_DAYS)
        ]  # fmt: skip
        founds, _ = await self._find(whats, machine=False)
        gave_day, gave_month, took_day, took_month = map(answered, founds)
        return Exchange(
            gave_day=gave_day, gave_month=gave_month, took_day=took_day, took_month=took_month
        )

    def _of_others(self, role: Role, since: int, now: float) -> Wanted:
        """All that one role had to do with others: without this node, and what nobody took."""
        ask = SeriesAsk(since=since, step=0, role=role)
        without = (self._own, "") if role == "client" else (self._own,)
        return wanted(ask, now, self._kept_since(now), without=without)

    async def _find(self, whats: list[Wanted], *, machine: bool) -> tuple[list[Found], FoundLooks]:
        def work(connection: sqlite3.Connection) -> tuple[list[Found], FoundLooks]:
            with no_longer_than(connection, READ_SECONDS, time.monotonic):
                looks = select_machine(connection, whats[0]) if machine else []
                return [select(connection, what, MAX_NAMES) for what in whats], looks

        founds: list[Found] = [[] for _ in whats]
        looks: FoundLooks = []
        with trio.move_on_after(READ_SECONDS):
            async with self._lock:  # between what is in memory and in the file nothing moves
                try:
                    founds, looks = await self._use("read", partial(self._file.use, work))
                except Trouble:
                    pass  # `problem` says so; what is in memory is shown
                pages = self._book.pages()
                if machine:
                    looks += looks_of(pages, whats[0])
                return [f + points_of(pages, w) for f, w in zip(founds, whats, strict=True)], looks
        raise NotReady(
            f"The series' file did not answer within {READ_SECONDS:g} s. Ask for a shorter time, "
            "or again."
        )
