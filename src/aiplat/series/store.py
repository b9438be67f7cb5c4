"""What is done with the file's rows: added, folded to hours, deleted, summed. Blocking.

Each function is one transaction. Rows of a minute are never changed but by adding to them.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator

from aiplat.series.book import Page
from aiplat.series.figures import (
    FIELDS,
    MACHINE_FIELDS,
    SUMS,
    Figures,
    Key,
    MachineKey,
    add,
    add_machine,
    bounded,
    nothing,
)
from aiplat.series.wanted import HOUR, MINUTE, Wanted

HOURS_AT_ONCE = 6
"""Hours that are folded in one transaction, so that no reader waits for a whole month of them."""
_CHECK_STEPS = 10_000
"""Steps of SQLite's machine between two looks at the clock: a few milliseconds."""


def _upsert(table: str, keys: Iterable[str], fields: Iterable[str], largest: Iterable[str]) -> str:
    names = [*keys, *fields]
    added = [f"{name} = {name} + excluded.{name}" for name in fields if name not in largest]
    most = [f"{name} = max({name}, excluded.{name})" for name in fields if name in largest]
    return (
        f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))}) "
        f"ON CONFLICT DO UPDATE SET {', '.join([*added, *most])}"
    )


_ADD = _upsert("seen", ("span", "at", "role", "model", "key", "peer"), FIELDS, ())
_ADD_MACHINE = _upsert(
    "machine", ("span", "at", "part", "name"), MACHINE_FIELDS, MACHINE_FIELDS[SUMS:]
)
_SUMS = ", ".join(f"SUM({name})" for name in FIELDS)
_MACHINE_SUMS = ", ".join(
    f"{'SUM' if place < SUMS else 'MAX'}({name})" for place, name in enumerate(MACHINE_FIELDS)
)
_SPANS = f"span IN ({MINUTE}, {HOUR})"


def write(connection: sqlite3.Connection, pages: Iterable[Page]) -> None:
    """Add what the minutes came to since they were written last."""
    with _transaction(connection):
        for page in pages:
            _add(connection, MINUTE, page.at, page.rows)
            _add_machine(connection, MINUTE, page.at, page.machine)


def _add(connection: sqlite3.Connection, span: int, at: int, rows: dict[Key, Figures]) -> None:
    connection.executemany(_ADD, ([span, at, *key, *figures] for key, figures in rows.items()))


def _add_machine(
    connection: sqlite3.Connection, span: int, at: int, rows: dict[MachineKey, Figures]
) -> None:
    looks = ([span, at, *key, *figures] for key, figures in rows.items())
    connection.executemany(_ADD_MACHINE, looks)


# -- folding and deleting ------------------------------------------------------------------------


def fold(connection: sqlite3.Connection, until: int, rows: int, own: str) -> bool:
    """Make hours of the oldest minutes.

    Arguments:
        until: minutes before this hour are folded, in seconds since 1970.
        rows: the most distinct rows of an hour.
        own: this node's peer id.

    Returns:
        Whether there is more to fold.
    """
    with _transaction(connection):
        for _ in range(HOURS_AT_ONCE):
            hour = _oldest_hour(connection, until)
            if hour is None:
                return False
            _fold_hour(connection, hour, rows, own)
    return True


def _oldest_hour(connection: sqlite3.Connection, until: int) -> int | None:
    query = "SELECT MIN(at) FROM {} WHERE span = ? AND at < ?"
    found = [
        connection.execute(query.format(table), [MINUTE, until]).fetchone()[0]
        for table in ("seen", "machine")
    ]
    oldest = min((at for at in found if at is not None), default=None)
    return None if oldest is None else int(oldest) // HOUR * HOUR


def _fold_hour(connection: sqlite3.Connection, hour: int, most: int, own: str) -> None:
    """Sum its minutes, and what was folded before; a clock set back may bring late ones."""
    within = f"WHERE {_SPANS} AND at >= {hour} AND at < {hour + HOUR}"
    rows: dict[Key, Figures] = {}
    for role, model, key, peer, *figures in connection.execute(
        f"SELECT role, model, key, peer, {', '.join(FIELDS)} FROM seen {within}"
    ):
        add(rows.setdefault((role, model, key, peer), nothing()), figures)
    looks: dict[MachineKey, Figures] = {}
    for part, name, *figures in connection.execute(
        f"SELECT part, name, {', '.join(MACHINE_FIELDS)} FROM machine {within}"
    ):
        add_machine(looks.setdefault((part, name), [0] * len(MACHINE_FIELDS)), figures)
    connection.execute(f"DELETE FROM seen {within}")
    connection.execute(f"DELETE FROM machine {within}")
    _add(connection, HOUR, hour, bounded(rows, most, own))
    ranked = sorted(looks, key=lambda name: (-looks[name][2], name))
    _add_machine(connection, HOUR, hour, {name: looks[name] for name in ranked[:most]})


def prune(connection: sqlite3.Connection, since: int, until: int) -> None:
    """Delete what is older than `since`, and what a wrong clock wrote into the future."""
    with _transaction(connection):
        for table in ("seen", "machine"):
            connection.execute(
                f"DELETE FROM {table} WHERE {_SPANS} AND (at < ? OR at > ?)", [since, until]
            )


# -- reading -------------------------------------------------------------------------------------


def select(connection: sqlite3.Connection, wanted: Wanted) -> list[tuple[int, str, Figures]]:
    """Sum rows: when a point begins, the value of the column, figures."""
    column = wanted.by or "''"
    query = (
        f"SELECT at / ? * ?, {column}, {_SUMS} FROM seen WHERE {_SPANS} AND at >= ? AND at < ? "
        "AND (? = '' OR role = ?) GROUP BY 1, 2"
    )
    given = [wanted.step, wanted.step, wanted.since, wanted.until, wanted.role, wanted.role]
    return [(at, name, figures) for at, name, *figures in connection.execute(query, given)]


def select_machine(
    connection: sqlite3.Connection, wanted: Wanted
) -> list[tuple[int, MachineKey, Figures]]:
    """Sum looks at the machine: when a point begins, what it is of, figures."""
    query = (
        f"SELECT at / ? * ?, part, name, {_MACHINE_SUMS} FROM machine WHERE {_SPANS} "
        "AND at >= ? AND at < ? GROUP BY 1, 2, 3"
    )
    given = [wanted.step, wanted.step, wanted.since, wanted.until]
    return [
        (at, (part, name), figures) for at, part, name, *figures in connection.execute(query, given)
    ]


@contextlib.contextmanager
def no_longer_than(
    connection: sqlite3.Connection, seconds: float, now: Callable[[], float]
) -> Iterator[None]:
    """Have SQLite give up what takes longer (`SQLITE_INTERRUPT`).

    Arguments:
        now: a clock that only goes forward, in seconds.
    """
    end = now() + seconds
    connection.set_progress_handler(lambda: now() > end, _CHECK_STEPS)
    try:
        yield
    finally:
        connection.set_progress_handler(None, 0)


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All of it or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise
