"""One row of usage: what the writer takes for it, in batches as a gateway hands them over.

A gateway hands over what came to it ten times a second (half of `flush_seconds`), so a batch has a
hundred events at a thousand requests a second and ten at a hundred. Each is written as the writer
does it, in a transaction on a real file, and is timed whole: with its commit, and with the copying
of the WAL into the database that falls to some. Beside it stands the floor: the same events in the
same batches, into a bare table of a database of its own. Of *long* requests each was on the disk
as under way before its end is written; *renewed* are rows of those, at each batch anew.

Afterwards what was written is folded into the sums, and old rows are removed, as a gateway does each
ten seconds: the longest of these transactions is how long a batch may have to wait.
"""

from __future__ import annotations

import contextlib
import itertools
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from aiplat.accounts import database, usage
from aiplat.accounts.metered import Batch, Event, Running
from bench.accounts.people import places_in

BATCHES = {"1000": 100, "100": 10}
"""Requests a second → events of a batch."""
_FLUSHES = 10  # a second
_EVENTS_DAYS, _AUDIT_DAYS = 90, 730  # as settings have them


class Traffic:
    """Batches of a gateway's usage, by keys that are in the store.

    Arguments:
        keys: each with its user.
        at: when it begins, in seconds since 1970 (UTC); a tenth of a second goes by with each batch.
    """

    def __init__(self, keys: list[tuple[str, str]], at: float) -> None:
        self._owner = itertools.cycle(keys)
        self._numbers = itertools.count(1)
        self._at = at

    def ended(self, count: int) -> Batch:
        """So many that came and went since the last batch."""
        self._pass()
        return self._batch({}, [self._running() for _ in range(count)])

    def long(self, count: int) -> tuple[Batch, Batch]:
        """So many that are under way, and then the end of them all."""
        self._pass()
        rows = [self._running() for _ in range(count)]
        return self._batch({row.id: row for row in rows}, []), self._batch({}, rows)

    def renewed(self, begun: Batch) -> Batch:
        """All those under way, a few tokens later."""
        self._pass()
        rows = {
            number: Running(
                row.id, row.request, row.at, row.user, row.key, "echo", "0" * 16, _PROCESSOR, 30,
                row.completion + 5,
            )
            for number, row in begun.running.items()
        }  # fmt: skip
        return self._batch(rows, [])

    def _pass(self) -> None:
        self._at += 1 / _FLUSHES

    def _running(self) -> Running:
        number, (key, user) = next(self._numbers), next(self._owner)
        return Running(number, f"req-{number:024x}", round(self._at * 1000), user, key)

    def _batch(self, running: dict[int, Running], ended: list[Running]) -> Batch:
        minute = int(self._at) // 60 * 60
        used = {row.key: minute for row in (*running.values(), *ended)}
        return Batch(running, [(row.id, _event(row)) for row in ended], used)


_PROCESSOR = "12D3KooW" + "C" * 44


def _event(row: Running) -> Event:
    return Event(
        row.at, row.request, row.user, row.key, "echo", "0" * 16, _PROCESSOR, 30, 0, 50, True,
        1.25, 20.125, 300.0625, "stop",
    )  # fmt: skip


class Store:
    """A store that is written to, and beside it a bare table.

    Arguments:
        folder: has the store.
        at: the time of day, in seconds since 1970 (UTC).
    """

    def __init__(self, folder: Path, at: float) -> None:
        self.connection = database.connect(places_in(folder).database)
        keys = self.connection.execute("SELECT id, user FROM keys ORDER BY hash").fetchall()
        self.traffic = Traffic(keys, at)
        self._at = at
        self._bare = database.connect(folder / "bare.db")
        columns = ", ".join(Event.__struct_fields__)
        self._bare.execute(f"CREATE TABLE IF NOT EXISTS bare (id INTEGER PRIMARY KEY, {columns})")
        marks = ", ".join("?" * len(Event.__struct_fields__))
        self._into_bare = f"INSERT INTO bare ({columns}) VALUES ({marks})"

    def write(self, batch: Batch) -> None:
        """As the writer does."""
        with database.transaction(self.connection):
            batch.write(self.connection)

    def write_bare(self, batch: Batch) -> None:
        """The floor."""
        with database.transaction(self._bare):
            self._bare.executemany(self._into_bare, [_columns(event) for _, event in batch.ended])

    def tend(self) -> tuple[list[float], list[float]]:
        """Fold and prune; gives the seconds of each transaction."""
        folds, prunes = [], []
        more = True
        while more:
            taken, more = self._timed(usage.fold)
            folds.append(taken)
        prune: Callable[[sqlite3.Connection], bool] = lambda connection: usage.prune(  # noqa: E731
            connection, self._at, 0, _AUDIT_DAYS
        )
        for _ in range(3):
            prunes.append(self._timed(prune)[0])
        return folds, prunes

    def _timed(self, work: Callable[[sqlite3.Connection], bool]) -> tuple[float, bool]:
        began = time.perf_counter()
        with database.transaction(self.connection):
            more = work(self.connection)
        return time.perf_counter() - began, more

    def close(self) -> None:
        """Let go of both files."""
        self.connection.close()
        self._bare.close()


def _columns(event: Event) -> tuple[object, ...]:
    import msgspec

    return msgspec.structs.astuple(event)
