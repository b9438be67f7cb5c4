"""Millions of events, made by SQLite itself; sums of them are made by what a gateway uses."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from pathlib import Path

import msgspec

from aiplat.accounts import database, usage
from bench.accounts.people import places_in

DAYS = 120
MODELS, PROCESSORS = 8, 12
BUSY_KEYS = 30
_AT_ONCE = 500_000
_CACHE_KIB = 1_000_000

# One in two events is of any key, the others of the first thirty, which ten users have. Each choice
# is made by bits of its own of a product with a large odd number (Knuth, TAOCP 3, 6.4): so no two
# of them go together, and the same ones come out each time.
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
  ON owner.n = CASE WHEN a & 1 THEN (a >> 1) % :keys ELSE (a >> 1) % :busy END
ORDER BY hashed.n
"""


class Filling(msgspec.Struct, frozen=True, kw_only=True):
    """What was made.

    Arguments:
        seconds: what that took, in all.
        sums: rows of the sums by hour and day.
        mib: the database's size.
        busiest: the name of one of the users with most events; `ordinary`: of one with few.
        until: the time after the last event, in seconds since 1970 (UTC).
    """

    events: int
    seconds: float
    sums: int
    mib: float
    busiest: str
    ordinary: str
    until: float


def add_events(folder: Path, count: int, until: float) -> Filling:
    """Fill a store that has users and keys with `count` events of the 120 days before `until`."""
    path = places_in(folder).database
    began = time.perf_counter()
    with contextlib.closing(database.connect(path)) as connection:
        # Of a store that can be made again nothing has to outlive a crash.
        connection.execute("PRAGMA journal_mode = OFF").fetchone()
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        keys, busiest, ordinary = _number(connection)
        given = {
            "begin": round((until - DAYS * usage.DAY) * 1000), "span": DAYS * usage.DAY * 1000,
            "count": count, "keys": keys, "busy": min(BUSY_KEYS, keys),
        }  # fmt: skip
        for first in range(0, count, _AT_ONCE):
            with database.transaction(connection):
                last = min(count, first + _AT_ONCE)
                connection.execute(_FILL, given | {"first": first, "last": last})
                while usage.fold(connection, _AT_ONCE):
                    pass
        with database.transaction(connection):
            kept = usage.Kept(0, 1, 1000)  # old hours alone, as a gateway does each hour
            while usage.prune(connection, until, kept):
                pass
        [sums] = connection.execute("SELECT count(*) FROM sums").fetchone()
    return Filling(
        events=count, seconds=time.perf_counter() - began, sums=sums,
        mib=path.stat().st_size / 2**20, busiest=busiest, ordinary=ordinary, until=until,
    )  # fmt: skip


def _number(connection: sqlite3.Connection) -> tuple[int, str, str]:
    """Number the keys by their users; gives how many, and the first and the last user's name."""
    connection.execute("CREATE TEMP TABLE owners (n INTEGER PRIMARY KEY, id TEXT, user TEXT)")
    connection.execute(
        "INSERT INTO temp.owners "
        "SELECT row_number() OVER (ORDER BY user, id) - 1, id, user FROM keys"
    )
    [keys] = connection.execute("SELECT count(*) FROM temp.owners").fetchone()
    names = [
        str(connection.execute(
            f"SELECT name FROM users WHERE id = (SELECT {which}(user) FROM temp.owners)"
        ).fetchone()[0])
        for which in ("min", "max")
    ]  # fmt: skip
    return int(keys), names[0], names[1]
