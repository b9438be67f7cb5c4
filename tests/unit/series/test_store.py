"""Rows in SQLite: added to, folded, deleted, summed; the form of the file."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from itertools import count

import pytest
from sqlite_utils import Database

from aiplat.series.figures import FIELDS
from aiplat.series.form import NAMES, steps_of
from aiplat.series.migrations import migrations
from aiplat.series.store import (
    HOURS_AT_ONCE,
    fold,
    no_longer_than,
    prune,
    select,
    select_machine,
    write,
)
from aiplat.series.wanted import DAY, HOUR, Wanted
from tests.unit.series.helpers import NOON, OWN, figures, key, page

ALL = Wanted(since=0, until=2 * NOON, step=60)


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        migrations.apply(Database(connection))
        yield connection


def requests(db: sqlite3.Connection, what: Wanted = ALL) -> dict[tuple[int, str], float]:
    return {(at, name): row[0] for at, name, row in select(db, what)}


def spans(db: sqlite3.Connection, table: str = "seen") -> dict[int, int]:
    return dict(db.execute(f"SELECT span, COUNT(*) FROM {table} GROUP BY 1"))


def by(column: str, **changes: object) -> Wanted:
    fields = {"since": 0, "until": 2 * NOON, "step": 60, "by": column} | changes
    return Wanted(**fields)  # type: ignore[arg-type]  # test data


def test_the_steps_are_named_once_more_for_those_who_only_look(db: sqlite3.Connection) -> None:
    assert tuple(step.name for step in migrations.pending(Database(memory=True))) == NAMES
    assert steps_of(db) == set(NAMES)
    with contextlib.closing(sqlite3.connect(":memory:")) as empty:
        assert steps_of(empty) == set()
    columns = {name for _, name, *_ in db.execute("PRAGMA table_info(seen)")}
    assert columns == {"span", "at", "role", "model", "key", "peer", *FIELDS}


def test_a_minute_may_be_written_again_and_again(db: sqlite3.Connection) -> None:
    for _ in range(3):
        write(db, [page(NOON, m=[1, 2.0, 1, 300, 2.0, 300, 0])])
    write(db, [page(NOON + 60, {key(): figures(2)}, m=[1, 1.0, 1, 900, 1.0, 900, 0])])
    assert requests(db) == {(NOON, ""): 3, (NOON + 60, ""): 2}
    [(_, _, row), _] = select(db, ALL)
    assert row == figures(3)
    assert select_machine(db, ALL) == [
        (NOON, ("engine", "m"), [3, 6.0, 3, 900, 2.0, 300, 0]),
        (NOON + 60, ("engine", "m"), [1, 1.0, 1, 900, 1.0, 900, 0]),
    ]


def test_rows_are_picked_by_time_and_role_and_summed_by_what_is_asked(
    db: sqlite3.Connection,
) -> None:
    rows = {
        key(model="a", peer="p"): figures(1), key(model="b", peer="p"): figures(2),
        key(model="a", peer="q", role="client"): figures(4),
    }  # fmt: skip
    write(db, [page(NOON, rows), page(NOON + 60, rows), page(NOON + HOUR, rows)])
    assert requests(db, by("model", since=NOON + 60, until=NOON + 61)) == {
        (NOON + 60, "a"): 5, (NOON + 60, "b"): 2,
    }  # fmt: skip
    assert requests(db, by("peer", step=HOUR)) == {
        (NOON, "p"): 6, (NOON, "q"): 8, (NOON + HOUR, "p"): 3, (NOON + HOUR, "q"): 4,
    }  # fmt: skip
    assert requests(db, by("role", role="client", step=2 * NOON)) == {(0, "client"): 12}


def test_old_minutes_become_hours_and_nothing_is_lost(db: sqlite3.Connection) -> None:
    minutes = [page(NOON + 60 * n, m=[1, 1.0, 1, n, 1.0, n, 0]) for n in range(150)]
    write(db, minutes)
    before = select(db, by("model", step=2 * NOON))
    assert not fold(db, NOON + 2 * HOUR, 10, OWN)
    assert spans(db) == spans(db, "machine") == {60: 30, 3600: 2}
    assert requests(db, by("", step=HOUR)) == {
        (NOON, ""): 60, (NOON + HOUR, ""): 60, (NOON + 2 * HOUR, ""): 30,
    }  # fmt: skip
    [(_, _, was)], [(_, _, now)] = before, select(db, by("model", step=2 * NOON))
    assert now == pytest.approx(was)
    looks = select_machine(db, by("", until=NOON + HOUR))
    assert looks == [(NOON, ("engine", "m"), [60, 60.0, 60, sum(range(60)), 1.0, 59, 0])]
    write(db, [page(NOON + 60)])  # of a clock that was set back
    assert not fold(db, NOON + 2 * HOUR, 10, OWN)
    assert requests(db, by("", step=HOUR))[NOON, ""] == 61
    assert spans(db) == {60: 30, 3600: 2}


def test_an_hour_has_no_more_rows_than_the_bound_however_often_it_is_folded(
    db: sqlite3.Connection,
) -> None:
    def names(*peers: str) -> dict[tuple[str, str, str, str], list[float]]:
        return {key(peer=peer): figures(n + 1) for n, peer in enumerate(peers)}

    write(db, [page(NOON, names("a", "b", "c", OWN))])
    fold(db, NOON + HOUR, 2, OWN)
    assert requests(db, by("peer")) == {
        (NOON, "c"): 3, (NOON, OWN): 4, (NOON, "other"): 3,
    }  # fmt: skip
    write(db, [page(NOON, names("d", "e", "f"))])
    fold(db, NOON + HOUR, 2, OWN)
    found = requests(db, by("peer"))
    assert sum(found.values()) == 16
    assert len(found) <= 3


def test_a_month_is_folded_in_several_goes(db: sqlite3.Connection) -> None:
    write(db, [page(NOON + HOUR * n) for n in range(HOURS_AT_ONCE + 2)])
    end = NOON + DAY
    assert fold(db, end, 10, OWN)
    assert spans(db) == {60: 2, 3600: HOURS_AT_ONCE}
    assert not fold(db, end, 10, OWN)
    assert spans(db) == {3600: HOURS_AT_ONCE + 2}


def test_what_is_too_old_or_of_the_future_is_deleted(db: sqlite3.Connection) -> None:
    write(db, [page(NOON + DAY * day) for day in (-31, -1, 0, 400)])
    fold(db, NOON - DAY + HOUR, 10, OWN)
    prune(db, NOON - 30 * DAY, NOON + DAY)
    assert list(requests(db)) == [(NOON - DAY, ""), (NOON, "")]


def test_a_half_write_leaves_nothing(db: sqlite3.Connection) -> None:
    def breaks() -> Iterator[object]:
        yield page(NOON)
        raise RuntimeError("the process dies")

    with pytest.raises(RuntimeError):
        write(db, breaks())  # type: ignore[arg-type]  # test data
    assert requests(db) == {}
    write(db, [page(NOON)])
    assert requests(db) == {(NOON, ""): 1}


def test_what_takes_too_long_is_given_up(db: sqlite3.Connection) -> None:
    write(db, [page(NOON + 60 * n) for n in range(500)])
    clock: Callable[[], float] = count().__next__
    with pytest.raises(sqlite3.OperationalError) as caught, no_longer_than(db, 0.5, clock):
        select(db, ALL)
    assert caught.value.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT
    assert len(select(db, ALL)) == 500, "later questions have their own time"
