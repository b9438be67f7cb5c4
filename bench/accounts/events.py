"""Millions of events, made by SQLite itself, and folded into sums as a gateway does it."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path

from aiplat.accounts import database, usage
from bench.accounts.people import places_in

DAYS = 120
MODELS, PROCESSORS = 8, 12
_AT_ONCE = 500_000

# One in two events is of any user, the others of the ten busiest. Each figure comes from bits of its
# own of a product with a large odd number (Knuth, TAOCP 3, 6.4): no two of them go together.
_FILL = f"""
WITH RECURSIVE
  numbers(n) AS (SELECT :first UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < :last),
  hashed AS (
    SELECT n, (n * 2654435761 % 4294967296) >> 8 AS a, (n * 2246822519 % 4294967296) >> 8 AS b,
           (n * 3266489917 % 4294967296) >> 8 AS c FROM numbers)
INSERT INTO events (at, request, user, key, model, manifest, processor, prompt, cached, completion,
                    exact, queue_ms, first_ms, total_ms, outcome)
SELECT :begin + hashed.n * :span / :count, printf('req-%024x', hashed.n), owner.user, owner.id,
       'model-' || (b % {MODELS}), printf('%016x', b % {MODELS}),
       printf('12D3KooW%044x', (b >> 8) % {PROCESSORS}),
       20 + c % 500, c % 20, 1 + (c >> 10) % 400, 1, c % 50, 20 + c % 300, 500 + c % 5000,
       CASE WHEN c % 100 < 3 THEN 'no_processor' ELSE 'stop' END
FROM hashed JOIN temp.owners AS owner
  ON owner.n = CASE WHEN a & 1 THEN (a >> 1) % :owners ELSE (a >> 1) % :busy END
ORDER BY hashed.n
"""


@dataclass(frozen=True)
class Filling:
    """What it took to make them.

    Arguments:
        seconds: writing the events; `fold_seconds`: adding them to the sums.
        sums: rows of the sums afterwards.
        mib: the database's size.
        busiest: the id of a user with a great many, `ordinary`: of one with few.
        until: the time after the last event, in seconds since 1970 (UTC).
    """

    seconds: float
    fold_seconds: float
    sums: int
    mib: float
    busiest: str
    ordinary: str
    until: float


def add_events(folder: Path, count: int, until: float) -> Filling:
    """Fill a store that has users and keys with `count` events of the 120 days before `until`."""
    path = places_in(folder).database
    with contextlib.closing(database.connect(path)) as connection:
        connection.execute("PRAGMA synchronous = OFF")  # of a store that can be made again
        owners, busiest, ordinary = _owners(connection)
        began = time.perf_counter()
        given = {
            "begin": round((until - DAYS * usage.DAY) * 1000), "span": DAYS * usage.DAY * 1000,
            "count": count, "owners": owners, "busy": min(30, owners),
        }  # fmt: skip
        for first in range(0, count, _AT_ONCE):
            with database.transaction(connection):
                last = min(count, first + _AT_ONCE)
                connection.execute(_FILL, given | {"first": first, "last": last})
        filled = time.perf_counter()
        fold_all(connection)
        folded = time.perf_counter()
        [sums] = connection.execute("SELECT count(*) FROM sums").fetchone()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    size = path.stat().st_size / 2**20
    return Filling(filled - began, folded - filled, sums, size, busiest, ordinary, until)


def fold_all(connection: sqlite3.Connection) -> None:
    """Add to the sums what is not in them, as a gateway does each ten seconds."""
    more = True
    while more:
        with database.transaction(connection):
            more = usage.fold(connection)


def _owners(connection: sqlite3.Connection) -> tuple[int, str, str]:
    """Number the keys, users by turns; gives how many, and the first and last user."""
    connection.execute("CREATE TEMP TABLE owners (n INTEGER PRIMARY KEY, id TEXT, user TEXT)")
    connection.execute(
        "INSERT INTO temp.owners SELECT row_number() OVER (ORDER BY user, id) - 1, id, user FROM keys"
    )
    found = connection.execute("SELECT count(*), min(user), max(user) FROM temp.owners").fetchone()
    return int(found[0]), str(found[1]), str(found[2])
