"""How the series' file came to its present form: named steps, each in a transaction.

A step is never changed once it was released; a new one is added at the end, and to `NAMES`.
Imported only when a file lacks a step: sqlite_utils brings numpy, a third of a second.
"""

from __future__ import annotations

from sqlite_utils import Database, Migrations

from aiplat.series.buckets import COUNT
from aiplat.series.form import SET

migrations = Migrations(SET)


@migrations(name="0001-minutes-and-hours")
def _begin(db: Database) -> None:
    """Rows of `span` seconds (`aiplat.series.wanted.SPANS`) that begin `at` seconds after 1970."""
    buckets = [f"{time}_{place}" for time in ("first", "total") for place in range(COUNT)]
    counts = ["requests", "errors", "prompt", "cached", "completion", *buckets]
    db.execute(
        "CREATE TABLE seen (span INTEGER NOT NULL, at INTEGER NOT NULL, role TEXT NOT NULL, "
        "model TEXT NOT NULL, key TEXT NOT NULL, peer TEXT NOT NULL, "
        f"{', '.join(f'{name} INTEGER NOT NULL' for name in counts)}, "
        "first_seconds REAL NOT NULL, total_seconds REAL NOT NULL, "
        "PRIMARY KEY (span, at, role, model, key, peer)) WITHOUT ROWID"
    )
    db.execute(
        "CREATE TABLE machine (span INTEGER NOT NULL, at INTEGER NOT NULL, part TEXT NOT NULL, "
        "name TEXT NOT NULL, busy_looks INTEGER NOT NULL, busy REAL NOT NULL, "
        "looks INTEGER NOT NULL, memory INTEGER NOT NULL, busy_most REAL NOT NULL, "
        "memory_most INTEGER NOT NULL, memory_total INTEGER NOT NULL, "
        "PRIMARY KEY (span, at, part, name)) WITHOUT ROWID"
    )
