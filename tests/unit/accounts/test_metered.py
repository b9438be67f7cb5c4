"""Batches of usage, and what an earlier life left under way."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlite_utils import Database

from aiplat.accounts.metered import INTERRUPTED, Batch, Event, Running, recover
from aiplat.accounts.migrations import migrations


@contextlib.contextmanager
def memory() -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        migrations.apply(Database(connection))
        yield connection


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    with memory() as connection:
        yield connection


def running(number: int, **changes: Any) -> Running:
    fields: dict[str, Any] = {
        "id": number, "request": f"req-{number}", "at": 5000, "user": "u1", "key": "k1",
        "model": "tiny", "manifest": "f", "processor": "p", "prompt": 12, "completion": 3,
        "exact": True,
    }  # fmt: skip
    return Running(**(fields | changes))


def event(number: int, **changes: Any) -> Event:
    fields: dict[str, Any] = {
        "at": 5000, "request": f"req-{number}", "user": "u1", "key": "k1", "model": "tiny",
        "manifest": "f", "processor": "p", "prompt": 12, "cached": 4, "completion": 9,
        "exact": True, "queue_ms": 1.5, "first_ms": 2.5, "total_ms": 3.5, "outcome": "stop",
    }  # fmt: skip
    return Event(**(fields | changes))


def of(db: sqlite3.Connection, table: str, *columns: str) -> list[Any]:
    return db.execute(f"SELECT {', '.join(columns)} FROM {table} ORDER BY id").fetchall()


def test_each_column_gets_its_own(db: sqlite3.Connection) -> None:
    Batch({7: running(7, exact=False)}, [(1, event(1))], {}).write(db)
    [row] = db.execute("SELECT * FROM running")
    assert row == (7, "req-7", 5000, "u1", "k1", "tiny", "f", "p", 12, 3, 0)
    [row] = db.execute("SELECT * FROM events")
    assert row == (
        1, 5000, "req-1", "u1", "k1", "tiny", "f", "p", 12, 4, 9, 1, 1.5, 2.5, 3.5, "stop",
    )  # fmt: skip


def test_a_row_becomes_an_event_in_one_transaction(db: sqlite3.Connection) -> None:
    Batch({1: running(1), 2: running(2)}, [], {}).write(db)
    Batch({1: running(1, completion=5), 2: running(2, completion=6)}, [(1, event(1))], {}).write(db)
    assert of(db, "running", "id", "completion") == [(2, 6)]
    assert of(db, "events", "request") == [("req-1",)]


def test_one_that_ended_before_its_row_was_written_leaves_none(db: sqlite3.Connection) -> None:
    first = Batch({1: running(1)}, [], {"k1": 60})
    both = first.joined(Batch({}, [(1, event(1))], {"k1": 120, "k2": 60}))
    both.write(db)
    assert of(db, "running", "id") == []
    assert of(db, "events", "request") == [("req-1",)]
    assert both.used == {"k1": 120, "k2": 60}


def test_the_last_use_of_a_key_does_not_go_back(db: sqlite3.Connection) -> None:
    columns = "id, user, name, folded, hash, scopes, models, created, last_used"
    db.execute(f"INSERT INTO keys ({columns}) VALUES ('k1', 'u1', 'n', 'n', x'', '', '', 1, 600)")
    for minute, last in ((540, 600), (660, 660)):
        Batch({}, [], {"k1": minute, "gone": minute}).write(db)
        assert db.execute("SELECT last_used FROM keys").fetchall() == [(last,)]


def test_what_was_under_way_at_a_death_is_counted_once(db: sqlite3.Connection) -> None:
    rows = [running(1), running(2, prompt=0, completion=0, processor="", model="", exact=False)]
    Batch({row.id: row for row in rows}, [(3, event(3))], {}).write(db)
    assert recover(db) == 2
    assert of(db, "events", "request", "prompt", "cached", "completion", "exact", "outcome") == [
        ("req-3", 12, 4, 9, 1, "stop"),
        ("req-1", 12, 0, 3, 1, INTERRUPTED),
        ("req-2", 0, 0, 0, 0, INTERRUPTED),
    ]
    assert of(db, "running", "id") == []
    assert recover(db) == 0
    assert len(of(db, "events", "id")) == 3


@given(
    st.lists(
        st.tuples(st.integers(1, 6), st.sampled_from(["grows", "ends"]), st.booleans()),
        max_size=40,
    ),
    st.integers(0, 40),
)
def test_however_it_is_cut_into_batches_nothing_is_lost_or_twice(
    said: list[tuple[int, str, bool]], dies: int
) -> None:
    """Requests grow and end; now and then what changed is written; then the gateway dies."""
    with memory() as db:
        tokens: dict[int, int] = {}
        over: set[int] = set()
        batch = Batch({}, [], {})
        written: dict[str, int] = {}
        for number, what, writes in said[:dies]:
            if number in over:
                continue
            tokens[number] = tokens.get(number, 0) + 1
            if what == "grows":
                row = running(number, completion=tokens[number])
                batch = batch.joined(Batch({number: row}, [], {}))
            else:
                over.add(number)
                end = event(number, completion=tokens[number])
                batch = batch.joined(Batch({}, [(number, end)], {}))
            if writes:
                batch.write(db)
                batch = Batch({}, [], {})
                written = {f"req-{number}": count for number, count in tokens.items()}
        recover(db)
        assert dict(db.execute("SELECT request, sum(completion) FROM events GROUP BY 1")) == written
        assert of(db, "running", "id") == []
