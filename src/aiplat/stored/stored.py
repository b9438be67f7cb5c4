"""The stored answers of a node: told and asked on the loop, kept by one thread.

Who writes does not wait: changes stand in a line, which one task hands to the thread, many at a
time. Who reads waits until the changes before it are written, so it sees them all. While the file
cannot be written they stay in memory, up to a bound, and nothing new is taken.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from typing import TypeVar

import trio

from aiplat.control.stored import StoredAnswer
from aiplat.database.working import no_longer_than, transaction
from aiplat.domain.errors import AiplatError, NotReady, Overloaded
from aiplat.stored import rows
from aiplat.stored.file import StoredFile, Trouble
from aiplat.stored.settings import StoredSettings
from aiplat.telemetry.metrics import Metrics

T = TypeVar("T")
Change = Callable[[sqlite3.Connection], None]

log = logging.getLogger("aiplat.stored")

WORK_SECONDS = 5.0
"""That one piece of work may take."""
WAIT_SECONDS = 10.0
"""That a reader waits: for the changes before it, for the thread, and for its work."""
LAST_SECONDS = 2.0
"""What the disk gets for the last changes when the node ends."""
RETRY_SECONDS = 1.0
TIDY_SECONDS = 600.0
UNUSABLE = "The stored answers' file of this node cannot be used now; its log says why."
MOST_CHANGES = 200
"""Changes of one transaction, so that a reader comes in between."""
_DAY = 86_400.0


class _Ours(NotReady):
    """A piece of work failed by a fault of ours: it would do so again."""


def _everyone() -> None:
    """Nobody says which users there are."""


class Stored:
    """Answers by user (`aiplat.control.stored.StoredAnswers`).

    Arguments:
        path: of the file, in a folder that is its owner's alone; made when there is something to
            keep.
        settings: bounds.
        metrics: where bounds that were hit are counted.
        now: seconds since 1970; it may be set back or forward at any time.
        users: those that there are, for others' answers to go; None where nobody knows.
    """

    def __init__(
        self,
        path: Path,
        settings: StoredSettings,
        metrics: Metrics,
        now: Callable[[], float] = time.time,
        users: Callable[[], Collection[str] | None] = _everyone,
    ) -> None:
        self._file = StoredFile(path)
        self._settings = settings
        self._hits = metrics.bound_hits
        self._now = now
        self._users = users
        # A thread that hangs on a dead disk goes on when nobody waits for it: the next waits.
        self._one = trio.CapacityLimiter(1)
        self._line: list[tuple[int, Change]] = []
        self._bytes = 0
        self._added = 0
        self._written = 0
        self._problem = ""
        self._logged = ""
        self._came = trio.Event()
        self._wrote = trio.Event()
        self._asking = 0
        self._has_looked = False
        self._left = set[str]()  # users that are gone, of whom there may be more
        self._to_erase = False

    # -- told on the loop ------------------------------------------------------------------------

    def ready(self) -> None:
        """See that an answer can be kept now.

        Raises:
            NotReady: it cannot.
        """
        if self._problem:
            raise NotReady(
                f"The answer could not be stored. {self._problem} Send store: false for an answer "
                "that is not.",
                retry_after=5,
            )
        if self._bytes > self._settings.max_waiting_bytes:
            self._on_bound("stored_waiting_bytes")
            raise NotReady(
                f"The answer could not be stored: {self._bytes} bytes of others wait to be "
                f"written, and {self._settings.max_waiting_bytes} may (stored.max_waiting_bytes). "
                "Ask again soon, or send store: false for an answer that is not.",
                retry_after=2,
            )

    def put(self, answer: StoredAnswer) -> None:
        """Keep an answer, whole or at its beginning."""
        change = partial(rows.put, answer=answer, settings=self._settings, hit=self._on_bound)
        self._add(answer.bytes, change)

    def end(self, owner: str, answer: str, body: bytes) -> None:
        """Keep how it ended; nothing where it was deleted meanwhile."""
        change = partial(
            rows.end, owner=owner, answer=answer, body=body, settings=self._settings,
            hit=self._on_bound,
        )  # fmt: skip
        self._add(len(body), change)

    def forget(self, owner: str) -> None:
        """Delete all of a user's, who is gone."""
        self._to_erase = True
        self._add(0, partial(self._forget, owner=owner))

    def _add(self, size: int, change: Change) -> None:
        self._line.append((size, change))
        self._bytes += size
        self._added += 1
        self._came.set()

    def _on_bound(self, bound: str) -> None:
        self._to_erase = True  # what gave way is overwritten, as what was deleted
        self._hits.labels(bound).inc()

    # -- asked -----------------------------------------------------------------------------------

    async def read(self, owner: str, answer: str) -> StoredAnswer | None:
        """One of a user's answers; None where it is not kept."""
        return await self._ask(lambda db: rows.read(db, owner, answer, self._since), lambda: None)

    async def chain(self, owner: str, answer: str) -> tuple[StoredAnswer, ...]:
        """That answer and those that it goes on from, the oldest first."""
        most = self._settings.max_chain_bytes

        def work(db: sqlite3.Connection) -> tuple[StoredAnswer, ...]:
            return tuple(rows.chain(db, owner, answer, self._since, most))

        try:
            return tuple(reversed(await self._ask(work, tuple)))
        except rows.LongChain:
            self._hits.labels("stored_chain_bytes").inc()
            raise

    async def delete(self, owner: str, answer: str) -> bool:
        """Delete one for good; whether it was kept."""

        def work(db: sqlite3.Connection) -> bool:
            with transaction(db):
                return rows.delete(db, owner, answer, self._since)

        gone = await self._ask(work, lambda: False)
        self._to_erase = self._to_erase or gone
        self._came.set()
        return gone

    async def _ask(self, work: Callable[[sqlite3.Connection], T], nothing: Callable[[], T]) -> T:
        """Read, after the changes before; where there is no file, nothing.

        Raises:
            Overloaded: too many do so already.
            NotReady: the file cannot be used.
        """
        if self._asking >= self._settings.max_asking:
            self._hits.labels("stored_asking").inc()
            raise Overloaded(
                f"{self._asking} requests wait for stored answers, as many as may "
                "(stored.max_asking). Ask again soon.",
                retry_after=1,
            )
        self._asking += 1
        try:
            with trio.fail_after(WAIT_SECONDS):
                await self._settled()
                return await self._in_thread(
                    lambda: self._use(work) if self._file.path.exists() else nothing()
                )
        except trio.TooSlowError:
            raise NotReady(
                f"The stored answers' file did not answer within {WAIT_SECONDS:g} s: its disk "
                "hangs or has too much to do. Ask again soon.",
                retry_after=5,
            ) from None
        finally:
            self._asking -= 1

    async def _settled(self) -> None:
        """Wait until what was told before is written."""
        number = self._added
        while self._written < number:
            if self._problem:
                raise NotReady(self._problem, retry_after=5)
            await self._wrote.wait()

    # -- life ------------------------------------------------------------------------------------

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Write what is told, and delete what is too old, until cancelled; then what is left.

        What a node that is killed had under way is marked so by the next.
        """
        task_status.started()
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._tidy_always)
                while True:
                    await self._came.wait()
                    self._came = trio.Event()
                    await self._write_all()
                    await self._erase()
        finally:
            with trio.move_on_after(LAST_SECONDS, shield=True):
                await self._write_all(retry=False)
                await self._in_thread(self._file.close)

    async def _write_all(self, *, retry: bool = True) -> None:
        """Write the changes that stand in the line, each once and in their order."""
        while self._line:
            batch = self._line[:MOST_CHANGES]
            try:
                await self._in_thread(partial(self._use, partial(_apply, batch)))
                self._problem = self._logged = ""
            except _Ours:
                log.error("%d changes of stored answers are given up", len(batch))
            except NotReady as fault:
                self._problem = str(fault)
                self._tell_all()
                if not retry:
                    return
                await trio.sleep(RETRY_SECONDS)
                continue
            del self._line[: len(batch)]
            self._written += len(batch)
            self._bytes -= sum(size for size, _ in batch)
            self._tell_all()
            while self._left:
                self.forget(self._left.pop())

    def _tell_all(self) -> None:
        self._wrote.set()
        self._wrote = trio.Event()

    async def _erase(self) -> None:
        """Have what was deleted overwritten; a fault costs only that, and it is done later."""
        if not self._to_erase:
            return
        self._to_erase = False
        try:
            await self._in_thread(partial(self._use, rows.erase))
        except AiplatError as fault:
            self._to_erase = True
            log.warning("what was deleted is not overwritten yet: %s", fault)

    async def _tidy_always(self) -> None:
        while True:
            try:
                await self.tidy()
            except AiplatError as fault:
                log.warning("old stored answers are not looked through: %s", fault)
            await trio.sleep(TIDY_SECONDS)

    async def tidy(self) -> None:
        """Delete what is too old, step by step, and what is of users that are gone.

        Raises:
            AiplatError: the file cannot be used.
        """
        if not self._file.path.exists():
            return
        while await self._in_thread(partial(self._use, self._expire)):
            self._to_erase = True
        users = self._users()
        if users is not None:
            for owner in await self._in_thread(partial(self._use, rows.owners)):
                if owner not in users:
                    self.forget(owner)
        if self._to_erase:
            self._came.set()

    def _forget(self, connection: sqlite3.Connection, owner: str) -> None:
        if rows.forget(connection, owner):
            self._left.add(owner)

    def _expire(self, connection: sqlite3.Connection) -> int:
        with transaction(connection):
            return rows.expire(connection, self._since)

    @property
    def _since(self) -> float:
        """The moment before which nothing is kept, in seconds since 1970."""
        return self._now() - self._settings.days * _DAY

    # -- in the thread ---------------------------------------------------------------------------

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await trio.to_thread.run_sync(work, abandon_on_cancel=True, limiter=self._one)

    def _use(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do something with the file.

        Raises:
            NotReady: it cannot be used now.
        """

        def in_time(connection: sqlite3.Connection) -> T:
            with no_longer_than(connection, WORK_SECONDS, time.monotonic):
                self._look_once(connection)
                return work(connection)

        try:
            return self._file.use(in_time)
        except Trouble as trouble:
            self._log_once(str(trouble))
            raise NotReady(UNUSABLE, retry_after=5) from None
        except AiplatError:
            raise
        except Exception as fault:  # a fault of ours costs a stored answer, and not the node
            log.exception("the stored answers' file could not be used")
            raise _Ours(UNUSABLE) from fault

    def _log_once(self, trouble: str) -> None:
        """Once, and not at each try. Where the file lies is for the log: users are elsewhere."""
        if trouble != self._logged:
            self._logged = trouble
            log.warning("stored answers cannot be written or read: %s", trouble)

    def _look_once(self, connection: sqlite3.Connection) -> None:
        """Before anything else: whatever runs in the file now died with an earlier node."""
        if not self._has_looked:
            if died := rows.end_died(connection):
                log.warning("%d stored answers were not whole when the node ended last", died)
            self._has_looked = True


def _apply(batch: list[tuple[int, Change]], connection: sqlite3.Connection) -> None:
    with transaction(connection):
        for _, change in batch:
            change(connection)
