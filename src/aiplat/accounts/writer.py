"""The one writer of the accounts' database: a thread, and what waits for it.

Two kinds of work: batches of usage, which nobody waits for and which are never given up; and
single changes, such as a new key, whose asker waits and is told how they went. When the disk does
not take a batch, or the file is not in its place any more, batches are kept and tried again, and
`problem` says so meanwhile: who admits requests admits none then. Nor while it `hangs`: where the
disk tells of no fault, but does not come to an end either.
"""

from __future__ import annotations

import logging
import math
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, TypeVar

import trio

from aiplat.accounts.database import StoreFails, connect, store_fails, transaction, unusable
from aiplat.accounts.metered import Batch
from aiplat.accounts.same_file import SameFile
from aiplat.domain.errors import ConfigError, NotReady
from aiplat.telemetry.metrics import Metrics

log = logging.getLogger("aiplat.accounts")

LATE_SECONDS = 2.0
"""A batch that waits longer than that waits for a disk that hangs: a lock is a fault by then."""
RETRY_SECONDS = 1.0
LOOK_SECONDS = 1.0
"""How often a writer with nothing to do sees whether its file is still there."""
CHANGE_SECONDS = 15.0
"""A change that is not written by then is given up; SQLite itself waits two for a lock."""

Result = TypeVar("Result")


class _GivenUp(Exception):
    """Nobody waits for a change any more: it is not made."""


class _Change(Generic[Result]):
    """A change that somebody waits for."""

    def __init__(
        self, work: Callable[[sqlite3.Connection], Result], then: Callable[[Result], None] | None
    ) -> None:
        self._work = work
        self._then = then
        self._token = trio.lowlevel.current_trio_token()
        self._done = trio.Event()
        self._result: Result | None = None
        self._fault: Exception | None = None
        self.given_up = False

    def run(self, connection: sqlite3.Connection) -> None:
        """Do it, in the writer's thread, in a transaction of its own."""
        if self.given_up:
            return
        try:
            with transaction(connection):
                self._result = self._work(connection)
                if self.given_up:  # it was told that it failed, so it has to
                    raise _GivenUp
        except Exception as fault:  # noqa: BLE001  # whoever waits for it gets it
            self._fault = fault
        self._tell()

    def fail(self, fault: Exception) -> None:
        """It will not be done."""
        self._fault = fault
        self._tell()

    def _tell(self) -> None:
        try:
            self._token.run_sync_soon(self._has_ended)
        except trio.RunFinishedError:
            pass  # nobody waits any more

    def _has_ended(self) -> None:
        """Called on the loop, in the order of the writes, whether or not somebody waits still."""
        if self._fault is None and self.given_up:
            log.warning("a change that was given up was written after all: the disk hung")
        if self._fault is None and self._then is not None:
            try:
                self._then(self._result)  # type: ignore[arg-type]  # it is set without a fault
            except Exception as fault:
                log.exception("what was written could not be followed in memory")
                self._fault = fault
        self._done.set()

    async def wait(self) -> Result:
        """How it went."""
        await self._done.wait()
        if self._fault is not None:
            raise self._fault
        return self._result  # type: ignore[return-value]  # it is set when there is no fault


class Writer:
    """Writes to the database at `path` from `start` to `stop`.

    Arguments:
        path: of a database in its newest form.
        metrics: where failures and the time of each batch are counted.
        now: a clock that never steps, in seconds, by which batches wait.
    """

    def __init__(
        self, path: Path, metrics: Metrics, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._path = path
        self._metrics = metrics
        self._now = now
        self._wake = threading.Condition()
        self._batches: deque[Batch] = deque()
        self._changes: deque[_Change[Any]] = deque()
        self._writing: Batch | None = None
        self._unwritten = 0  # counted as they come and go: each admission asks
        self._waits_since: float | None = None  # when the first of `_batches` was handed over
        self._writes_since: float | None = None  # and the first that is in `_writing`
        self._stopping = False
        self._give_up_at = math.inf
        self._connection: sqlite3.Connection | None = None
        self._file: SameFile | None = None
        self._thread = threading.Thread(target=self._live, name="aiplat.accounts", daemon=True)
        self.problem = ""
        self.hangs = False

    @property
    def unwritten(self) -> int:
        """Events that are not on the disk yet."""
        return self._unwritten

    def look(self) -> None:
        """See whether the oldest batch that is not on the disk has waited for too long.

        Called on the loop, again and again: the thread itself may stand still.
        """
        with self._wake:
            since = self._waits_since if self._writes_since is None else self._writes_since
            late = 0.0 if since is None else self._now() - since
        hangs = late > LATE_SECONDS and not self.problem
        if hangs and not self.hangs:
            self._metrics.accounts_store_failures.inc()
            log.error(
                "usage has not been written for %.1f s: the disk of %s hangs", late, self._path,
                extra={"sign": "❌"},
            )  # fmt: skip
        elif self.hangs and not (hangs or self.problem):
            log.info("the accounts' database takes usage again", extra={"sign": "✅"})
        self.hangs = hangs

    def start(self) -> None:
        """Begin.

        Raises:
            ConfigError: the file is not there.
        """
        try:
            self._file = SameFile(self._path)
        except OSError as fault:
            raise unusable(self._path, fault) from None
        self._thread.start()

    def stop(self, seconds: float) -> bool:
        """Write what waits, and end; whether that was done within `seconds`. Blocking.

        While the disk does not take it, that is tried again and again until then; not so where the
        file is gone.
        """
        with self._wake:
            self._stopping = True
            self._give_up_at = time.monotonic() + seconds
            self._wake.notify()
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def write(self, batch: Batch) -> None:
        """Have usage written, as soon as may be. Returns at once."""
        with self._wake:
            if not self._batches:
                self._waits_since = self._now()
            self._batches.append(batch)
            self._unwritten += len(batch.ended)
            self._wake.notify()

    async def change(
        self,
        work: Callable[[sqlite3.Connection], Result],
        then: Callable[[Result], None] | None = None,
    ) -> Result:
        """Have a change made in a transaction, and wait for it.

        What was handed over before is written before. What is written and what is known in memory
        must not part: so `then` is called on the loop in the order of the writes, also for a change
        that was given up in vain while the disk hung in it; and whoever is cancelled meanwhile
        hears how it went all the same.

        Arguments:
            work: makes it, in the writer's thread.
            then: follows it in memory, given what `work` gave.

        Raises:
            NotReady: the database does not take it.
            Exception: what `work` raises; then nothing of it holds.
        """
        change = _Change(work, then)
        with self._wake:
            if self._stopping:
                raise NotReady("The gateway's accounts are closed: the node stops.")
            self._changes.append(change)
            self._wake.notify()
        try:
            with trio.fail_after(CHANGE_SECONDS, shield=True):
                return await change.wait()
        except trio.TooSlowError:
            change.given_up = True
            raise NotReady(
                f"The accounts' database did not take the change within {CHANGE_SECONDS:g} s. Look "
                "whether another program holds it, or its disk hangs; one that hangs may take it "
                "yet, so look what is there before you try again.",
                retry_after=5,
            ) from None
        except sqlite3.IntegrityError:
            raise
        except (sqlite3.Error, OSError) as fault:
            self._metrics.accounts_store_failures.inc()
            raise store_fails(self._path, fault) from None

    # -- the thread ----------------------------------------------------------------------------

    def _live(self) -> None:
        while True:
            with self._wake:
                if not (self._batches or self._changes or self._stopping or self._writing):
                    self._wake.wait(LOOK_SECONDS)
                self._take_batches()
                changes = len(self._changes)
                last = self._stopping and not (changes or self._writing)
            if last:
                break
            in_place = self._is_in_place()
            if not (in_place and self._try_batch()):
                self._fail_changes()
                if not self._wait_to_retry(at_the_end=in_place):
                    break
                continue
            self._make_changes(changes)
        self._close()
        if self._file is not None:
            self._file.close()

    def _wait_to_retry(self, *, at_the_end: bool) -> bool:
        """Let a moment pass after a failure; whether there is another try, also when it stops."""
        with self._wake:
            if not self._stopping:
                self._wake.wait_for(lambda: self._stopping, RETRY_SECONDS)
                return True
            left = self._give_up_at - time.monotonic()
            if at_the_end and left > 0 and (self._writing or self._batches):
                self._wake.wait(min(left, RETRY_SECONDS))
                return True
            return False

    def _take_batches(self) -> None:
        """All that waits becomes one transaction."""
        if self._writes_since is None:
            self._writes_since = self._waits_since
        self._waits_since = None
        while self._batches:
            batch = self._batches.popleft()
            self._writing = batch if self._writing is None else self._writing.joined(batch)

    def _is_in_place(self) -> bool:
        """Whether the file is there; the connection stays, for one that is put back."""
        assert self._file is not None
        try:
            self._file.check()
        except ConfigError as fault:
            self._went_wrong(str(fault))
            return False
        return True

    def _try_batch(self) -> bool:
        """Write what waits, if anything does; whether all is well."""
        batch, began = self._writing, time.monotonic()
        if batch is not None:
            try:
                connection = self._open()
                with transaction(connection):
                    batch.write(connection)
            except Exception as fault:  # noqa: BLE001  # whatever it is: it is not counted
                self._went_wrong(str(unusable(self._path, fault)))
                self._close()  # a fresh connection may do, after the file was mended
                return False
            self._writing = None
            with self._wake:
                self._unwritten -= len(batch.ended)
                self._writes_since = None
            self._metrics.accounts_flush.observe(time.monotonic() - began)
        if self.problem:
            log.info("the accounts' database takes usage again", extra={"sign": "✅"})
            self.problem = ""
        return True

    def _went_wrong(self, text: str) -> None:
        self._metrics.accounts_store_failures.inc()
        if text != self.problem:
            log.error("usage cannot be written: %s", text, extra={"sign": "❌"})
        self.problem = text

    def _make_changes(self, count: int) -> None:
        """Those that waited when the batches were taken; what came later comes after its batch."""
        for _ in range(count):
            with self._wake:
                change = self._changes.popleft()
            try:
                connection = self._open()
            except (sqlite3.Error, OSError) as fault:
                change.fail(fault)
                continue
            change.run(connection)

    def _fail_changes(self) -> None:
        with self._wake:
            changes, self._changes = list(self._changes), deque()
        for change in changes:
            change.fail(StoreFails(self.problem, retry_after=5))

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = connect(self._path)
        return self._connection

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.close()
            except sqlite3.Error as fault:
                log.warning("the accounts' database did not close: %s", fault)
