"""What is done with the file's rows: added, deleted, summed. Blocking.

What happened in a minute is added to its row, and to those of its five minutes and of its hour, at
once. So minutes are folded by being deleted, a long time is read without them, and a clock that
was set back may add to all of them long after.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from aiplat.database.working import transaction
from aiplat.series.book import Page
from aiplat.series.figures import (
    FIELDS,
    MACHINE_FIELDS,
    OTHER,
    SUMS,
    Figures,
    Key,
    MachineKey,
    within,
)
from aiplat.series.wanted import HOUR, MINUTE, SPANS, Wanted


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


# -- writing and deleting ------------------------------------------------------------------------


def write(connection: sqlite3.Connection, pages: Iterable[Page], most: int, own: str) -> int:
    """Add what the minutes came to since they were written last, to what holds them too.

    Arguments:
        most: distinct rows of a minute, or an hour; what is beyond is summed.
        own: this node's peer id.

    Returns:
        How many rows had no room of their own.
    """
    beyond = 0
    with transaction(connection):
        for page in pages:
            for span in SPANS:
                at = page.at // span * span
                beyond += _add(connection, span, at, page.rows, most, own)
                beyond += _add_machine(connection, span, at, page.machine, most)
    return beyond


def _add(
    connection: sqlite3.Connection,
    span: int,
    at: int,
    rows: Mapping[Key, Figures],
    most: int,
    own: str,
) -> int:
    query = "SELECT role, model, key, peer FROM seen WHERE span = ? AND at = ?"
    known: set[Key] = set(connection.execute(query, [span, at]))
    kept = within(rows, known, most, own)
    connection.executemany(_ADD, ([span, at, *key, *figures] for key, figures in kept.items()))
    return sum(key not in kept for key in rows)


def _add_machine(
    connection: sqlite3.Connection,
    span: int,
    at: int,
    rows: Mapping[MachineKey, Figures],
    most: int,
) -> int:
    query = "SELECT part, name FROM machine WHERE span = ? AND at = ?"
    known: set[MachineKey] = set(connection.execute(query, [span, at]))
    new = [key for key in rows if key not in known]
    left_out = set(new[max(0, most - len(known)) :])
    connection.executemany(
        _ADD_MACHINE,
        ([span, at, *key, *looks] for key, looks in rows.items() if key not in left_out),
    )
    return len(left_out)


def prune(connection: sqlite3.Connection, kept_since: int, hours_since: int, until: int) -> None:
    """Delete what is too old: hours, and rows of less; and what a wrong clock wrote ahead of it."""
    with transaction(connection):
        for table in ("seen", "machine"):
            for span in SPANS:
                since = hours_since if span == HOUR else kept_since
                connection.execute(
                    f"DELETE FROM {table} WHERE span = ? AND (at < ? OR at > ?)",
                    [span, since, until],
                )


# -- reading -------------------------------------------------------------------------------------


def select(
    connection: sqlite3.Connection, wanted: Wanted, names: int
) -> list[tuple[int, str, Figures]]:
    """Sum rows: when a point begins, the value of the column, figures.

    A point may come in two rows, of minutes and of more.

    Arguments:
        names: how many values of the column stay apart, those with the most requests.
    """
    column, given = "''", []
    if wanted.by:
        given = _largest(connection, wanted, names)
        column = f"CASE WHEN {wanted.by} IN ({_marks(given)}) THEN {wanted.by} ELSE '{OTHER}' END"
    found = []
    for clause, values in _clauses(wanted):
        query = (
            f"SELECT at - (at - ?) % ?, {column}, {_SUMS} FROM seen WHERE {clause} GROUP BY 1, 2"
        )
        rows = connection.execute(query, [wanted.origin, wanted.step, *given, *values])
        found += [(at, name, figures) for at, name, *figures in rows]
    return found


def _largest(connection: sqlite3.Connection, wanted: Wanted, names: int) -> list[str]:
    requests: Counter[str] = Counter()
    for clause, values in _clauses(wanted):
        query = f"SELECT {wanted.by}, SUM(requests) FROM seen WHERE {clause} GROUP BY 1"
        requests.update(dict(connection.execute(query, values)))
    return [name for name, _ in requests.most_common(names)]


def _clauses(wanted: Wanted) -> list[tuple[str, list[int | str]]]:
    """Minutes, where the time begins within a span; and what is wanted."""
    times = (
        (MINUTE, wanted.minutes_since, min(wanted.since, wanted.until)),
        (wanted.span, wanted.since, wanted.until),
    )
    clause = "span = ? AND at >= ? AND at < ?"
    more: list[int | str] = []
    if wanted.role:
        clause += " AND role = ?"
        more.append(wanted.role)
    if wanted.without:
        clause += f" AND peer NOT IN ({_marks(wanted.without)})"
        more += wanted.without
    return [(clause, [*time, *more]) for time in times if time[1] < time[2]]


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))


def select_machine(
    connection: sqlite3.Connection, wanted: Wanted
) -> list[tuple[int, MachineKey, Figures]]:
    """Sum looks at the machine: when a point begins, what it is of, figures."""
    found = []
    for clause, values in _clauses(msgspec.structs.replace(wanted, role="", without=())):
        query = (
            f"SELECT at - (at - ?) % ?, part, name, {_MACHINE_SUMS} FROM machine WHERE {clause} "
            "GROUP BY 1, 2, 3"
        )
        rows = connection.execute(query, [wanted.origin, wanted.step, *values])
        found += [(at, (part, name), figures) for at, part, name, *figures in rows]
    return found
