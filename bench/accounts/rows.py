"""One row of usage: what the writer takes for it, in batches as a gateway hands them over.

A gateway hands over what came to it ten times a second (half of `flush_seconds`), so a batch has a
hundred events at a thousand requests a second and ten at a hundred. Each is written as the writer
does it, in a transaction on a real file, and is timed whole: with its commit, and with the copying
of the WAL into the database that falls to some. Kinds that take turns, batch by batch:

- *ended*: requests that came and went between two batches;
- *floor*: the same events in the same batches, into a bare table of a database of its own;
- *long*: the end of requests that were written down as under way before;
- *grown*: the rows of ten times as many that are under way, each anew, as answers of a second need.

Afterwards all that is folded into the sums and what is old is removed, as a gateway does each ten
seconds: as long as the longest of these transactions is, a batch may have to wait.
"""

from __future__ import annotations

import contextlib
import sqlite3
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from aiplat.accounts import database, usage
from aiplat.accounts.metered import Batch, Event
from bench.accounts.people import places_in
from bench.accounts.traffic import Traffic

BATCHES = {"1000": 100, "100": 10}
"""Requests a second → events of a batch."""
_LONG = 10
_KEPT = usage.Kept(90, 730, 1_000_000)
"""How long events and the audit log are kept, as the settings have it."""


class Store:
    """A store that is written to, and beside it a bare table; all of it timed, in seconds.

    Arguments:
        folder: has the store.
    """

    def __init__(self, folder: Path) -> None:
        self.connection = database.connect(places_in(folder).database)
        self._bare = database.connect(folder / "bare.db")
        columns = ", ".join(Event.__struct_fields__)
        marks = ", ".join("?" * len(Event.__struct_fields__))
        self._bare.execute("DROP TABLE IF EXISTS bare")
        self._bare.execute(f"CREATE TABLE bare (id INTEGER PRIMARY KEY, {columns})")
        self._into_bare = f"INSERT INTO bare ({columns}) VALUES ({marks})"

    def write(self, batch: Batch) -> float:
        """As the writer does."""
        began = time.perf_counter()
        with database.transaction(self.connection):
            batch.write(self.connection)
        return time.perf_counter() - began

    def write_bare(self, batch: Batch) -> float:
        """The floor."""
        began = time.perf_counter()
        with database.transaction(self._bare):
            rows = [msgspec.structs.astuple(event) for _, event in batch.ended]
            self._bare.executemany(self._into_bare, rows)
        return time.perf_counter() - began

    def unfolded(self) -> int:
        """How many events are not in the sums yet."""
        mark = usage.folded(self.connection)
        found = self.connection.execute("SELECT count(*) FROM events WHERE id > ?", (mark,))
        return int(found.fetchone()[0])

    def fold(self) -> list[float]:
        """Add all that is not in the sums yet, a transaction at a time."""
        taken, more = [], True
        while more:
            seconds, more = self._timed(usage.fold)
            taken.append(seconds)
        return taken

    def prune(self, at: float) -> float:
        """Remove what is old at that time."""
        return self._timed(lambda connection: usage.prune(connection, at, _KEPT))[0]

    def _timed(self, work: Callable[[sqlite3.Connection], bool]) -> tuple[float, bool]:
        began = time.perf_counter()
        with database.transaction(self.connection):
            more = work(self.connection)
        return time.perf_counter() - began, more

    def close(self) -> None:
        """Let go of both files."""
        self.connection.close()
        self._bare.close()


def measure(
    folder: Path, keys: Sequence[str], at: float, rounds: int, batches: int
) -> dict[str, Any]:
    """Write into a store that has these keys, and tend it.

    Arguments:
        at: the time of day, in seconds since 1970 (UTC).
        batches: of each kind and size in each round.

    Returns:
        `rows`: for each kind and rate the microseconds for a row, of the median batch (`p50_us`)
        and over all (`mean_us`), and the longest batch (`longest_ms`), of each round. Besides
        what opening, folding and pruning took.
    """
    found: dict[str, dict[str, list[float]]] = {}
    began = time.perf_counter()
    traffic = Traffic(folder, keys, at)
    opened = time.perf_counter() - began
    with contextlib.closing(Store(folder)) as store:
        [(events,)] = store.connection.execute("SELECT count(*) FROM events").fetchall()
        for _ in range(rounds):
            for rate, size in BATCHES.items():
                for kind, taken, rows in _round(store, traffic, size, batches):
                    row = found.setdefault(
                        f"{kind}.{rate}", {"p50_us": [], "mean_us": [], "longest_ms": []}
                    )
                    row["p50_us"].append(statistics.median(taken) * len(taken) / rows * 1e6)
                    row["mean_us"].append(sum(taken) / rows * 1e6)
                    row["longest_ms"].append(max(taken) * 1e3)
        with _busy_thread():
            busy = [store.write(traffic.ended(BATCHES["1000"])) for _ in range(batches)]
        written, folds = store.unfolded(), store.fold()
        prunes = [store.prune(traffic.at) for _ in range(3)]
    return {
        "rows": found, "events_before": events, "open_s": opened,
        "busy_ms": statistics.median(busy) * 1e3,
        "fold_us": sum(folds) / written * 1e6, "fold_longest_ms": max(folds) * 1e3,
        "prune_longest_ms": max(prunes) * 1e3,
    }  # fmt: skip


@contextlib.contextmanager
def _busy_thread() -> Iterator[None]:
    """Another thread that gives the interpreter away only when it must, as a busy node's loop."""
    over = threading.Event()

    def spin() -> None:
        while not over.is_set():
            sum(range(1000))

    thread = threading.Thread(target=spin)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _round(
    store: Store, traffic: Traffic, size: int, batches: int
) -> Iterator[tuple[str, list[float], int]]:
    """Each kind with the seconds of its batches, and how many rows they had."""
    under_way, batch = traffic.begun(size * _LONG)
    store.write(batch)
    taken: dict[str, list[float]] = {"ended": [], "floor": [], "long": [], "grown": []}
    for _ in range(batches):
        batch = traffic.ended(size)
        taken["ended"].append(store.write(batch))
        taken["floor"].append(store.write_bare(batch))
        leases, begun = traffic.begun(size)
        store.write(begun)
        taken["long"].append(store.write(traffic.over(leases)))
        taken["grown"].append(store.write(traffic.grown(under_way)))
    store.write(traffic.over(under_way))
    for kind, times in taken.items():
        yield kind, times, batches * size * (_LONG if kind == "grown" else 1)
