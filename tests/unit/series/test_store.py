"""Rows in SQLite: added to, folded, deleted, summed; the form of the file."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from itertools import count

import pytest
from sqlite_utils import Database

from aiplat.database.form import steps_of
from aiplat.database.working import no_longer_than
from aiplat.series.book import Page
from aiplat.series.figures import FIELDS, Figures, Key
from aiplat.series.form import NAMES, SET
from aiplat.series.migrations import migrations
from aiplat.series.store import prune, select, select_machine, write
from aiplat.series.wanted import DAY, HOUR, Wanted
from tests.unit.series.helpers import NOON, OWN, figures, key, page

Points = dict[tuple[int, str], float]

END = 2 * NOON
MINUTES = Wanted(span=60, minutes_since=0, since=0, until=END, step=60)
HOURS = Wanted(span=HOUR, minutes_since=0, since=0, until=END, step=HOUR)


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        migrations.apply(Database(connection))
        yield connection


def add(db: sqlite3.Connection, *pages: Page, most: int = 10) -> int:
    return write(db, pages, most, OWN)


def requests(db: sqlite3.Connection, what: Wanted = MINUTES, names: int = 10) -> Points:
    found: Points = {}
    for at, name, row in select(db, what, names):
        found[at, name] = found.get((at, name), 0) + row[0]
    return found


def by(column: str, what: Wanted = MINUTES, **changes: object) -> Wanted:
    return what.__replace__(by=column, **changes)


def test_the_steps_are_named_once_more_for_those_who_only_look(db: sqlite3.Connection) -> None:
    assert tuple(step.name for step in migrations.pending(Database(memory=True))) == NAMES
    assert steps_of(db, SET) == set(NAMES)
    with contextlib.closing(sqlite3.connect(":memory:")) as empty:
        assert steps_of(empty, SET) == set()
    columns = {name for _, name, *_ in db.execute("PRAGMA table_info(seen)")}
    assert columns == {"span", "at", "role", "model", "key", "peer", *FIELDS}


def test_a_minute_may_be_written_again_and_again_and_so_may_its_hour(
    db: sqlite3.Connection,
) -> None:
    for _ in range(3):
        add(db, page(NOON, m=[1, 2.0, 1, 300, 2.0, 300, 0]))
    add(db, page(NOON + 60, {key(): figures(2)}, m=[1, 1.0, 1, 900, 1.0, 900, 0]))
    assert requests(db) == {(NOON, ""): 3, (NOON + 60, ""): 2}
    assert requests(db, HOURS) == {(NOON, ""): 5}
    [(_, _, row), _] = select(db, MINUTES, 10)
    assert row == pytest.approx(figures(3))
    [(_, _, hour)] = select(db, HOURS, 10)
    assert hour == pytest.approx(figures(5))
    assert select_machine(db, MINUTES) == [
        (NOON, ("engine", "m"), [3, 6.0, 3, 900, 2.0, 300, 0]),
        (NOON + 60, ("engine", "m"), [1, 1.0, 1, 900, 1.0, 900, 0]),
    ]
    assert select_machine(db, HOURS) == [(NOON, ("engine", "m"), [4, 7.0, 4, 1800, 2.0, 900, 0])]


def test_rows_are_picked_by_time_role_and_peer_and_summed_by_what_is_asked(
    db: sqlite3.Connection,
) -> None:
    rows = {
        key(model="a", peer="p"): figures(1), key(model="b", peer="p"): figures(2),
        key(model="a", peer="q", role="client"): figures(4),
    }  # fmt: skip
    add(db, page(NOON, rows), page(NOON + 60, rows), page(NOON + HOUR, rows))
    one = by("model", minutes_since=NOON + 60, since=NOON + 60, until=NOON + 61)
    assert requests(db, one) == {(NOON + 60, "a"): 5, (NOON + 60, "b"): 2}
    hours = {
        (NOON, "p"): 6, (NOON, "q"): 8, (NOON + HOUR, "p"): 3, (NOON + HOUR, "q"): 4,
    }  # fmt: skip
    assert requests(db, by("peer", HOURS)) == hours
    assert requests(db, by("peer", step=HOUR)) == hours
    assert requests(db, by("role", HOURS, role="client", step=END)) == {(0, "client"): 12}
    assert requests(db, by("", HOURS, without=("q", ""), step=END)) == {(0, ""): 9}
    assert requests(db, by("", HOURS, step=HOUR, origin=NOON - 60)) == {
        (NOON - 60, ""): 14, (NOON + HOUR - 60, ""): 7,
    }  # fmt: skip


def test_a_part_of_an_hour_comes_by_minutes_and_the_rest_by_hours(db: sqlite3.Connection) -> None:
    add(db, *(page(NOON + 60 * minute) for minute in range(150)))
    part = HOURS.__replace__(minutes_since=NOON + 600, since=NOON + HOUR, step=END)
    assert requests(db, part) == {(0, ""): 140}
    db.execute("DELETE FROM seen WHERE span = 60 AND at >= ?", [NOON + HOUR])
    assert requests(db, part) == {(0, ""): 140}
    assert sum(row[2][2] for row in select_machine(db, part)) == 0


def test_names_with_few_requests_are_one(db: sqlite3.Connection) -> None:
    rows = {key(model=name): figures(n + 1) for n, name in enumerate("abcd")}
    add(db, page(NOON, rows), page(NOON + 60, {key(model="a"): figures(9)}))
    assert requests(db, by("model"), names=2) == {
        (NOON, "a"): 1, (NOON, "d"): 4, (NOON, "other"): 5, (NOON + 60, "a"): 9,
    }  # fmt: skip


def test_a_minute_and_an_hour_have_no_more_rows_than_the_bound_over_many_writes(
    db: sqlite3.Connection,
) -> None:
    def names(*peers: str) -> dict[Key, Figures]:
        return {key(peer=peer): figures(n + 1) for n, peer in enumerate(peers)}

    assert add(db, page(NOON, names("a", "b")), most=3) == 0
    assert add(db, page(NOON, names("a", "c", "d", OWN)), most=3) == 3 * 2
    assert requests(db, by("peer")) == requests(db, by("peer", HOURS)) == {
        (NOON, "a"): 2, (NOON, "b"): 2, (NOON, "c"): 2, (NOON, "other"): 3, (NOON, OWN): 4,
    }  # fmt: skip
    assert add(db, page(NOON + 60, names("e", "a")), most=3) == 2, (
        "its five minutes and its hour are full"
    )
    assert requests(db, by("peer"))[NOON + 60, "e"] == 1
    assert requests(db, by("peer", HOURS)) == {
        (NOON, "a"): 4, (NOON, "b"): 2, (NOON, "c"): 2, (NOON, "other"): 4, (NOON, OWN): 4,
    }  # fmt: skip
    [(rows,)] = db.execute("SELECT COUNT(*) FROM seen WHERE span = 3600")
    assert rows == 3 + 2
    looks: Figures = [1, 1.0, 1, 5, 1.0, 5, 0]
    assert add(db, page(NOON, {}, a=looks, b=looks), most=1) == 3
    assert add(db, page(NOON, {}, b=looks), most=1) == 3
    assert [name for _, (_, name), _ in select_machine(db, MINUTES)] == ["a"]


def test_minutes_and_hours_that_are_too_old_or_of_the_future_are_deleted(
    db: sqlite3.Connection,
) -> None:
    look: Figures = [1, 1.0, 1, 5, 1.0, 5, 0]
    add(db, *(page(NOON + DAY * day, m=look) for day in (-31, -3, -1, 0, 400)))
    prune(db, NOON - 2 * DAY, NOON - 30 * DAY, NOON + DAY)
    for found in (requests(db), {(at, ""): 1 for at, _, _ in select_machine(db, MINUTES)}):
        assert found == {(NOON - DAY, ""): 1, (NOON, ""): 1}
    for found in (requests(db, HOURS), {(at, ""): 1 for at, _, _ in select_machine(db, HOURS)}):
        assert found == {(NOON - 3 * DAY, ""): 1, (NOON - DAY, ""): 1, (NOON, ""): 1}


def test_a_half_write_leaves_nothing(db: sqlite3.Connection) -> None:
    def breaks() -> Iterator[Page]:
        yield page(NOON)
        raise RuntimeError("the process dies")

    with pytest.raises(RuntimeError):
        write(db, breaks(), 10, OWN)
    assert requests(db) == {}
    add(db, page(NOON))
    assert requests(db) == {(NOON, ""): 1}


def test_what_takes_too_long_is_given_up(db: sqlite3.Connection) -> None:
    add(db, *(page(NOON + 60 * n) for n in range(500)))
    clock: Callable[[], float] = count().__next__
    with pytest.raises(sqlite3.OperationalError) as caught, no_longer_than(db, 0.5, clock):
        select(db, MINUTES, 10)
    assert caught.value.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT
    assert len(select(db, MINUTES, 10)) == 500, "later questions have their own time"
