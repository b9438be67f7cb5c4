"""Which form a file of the series has, told without what brings it to the newest."""

from __future__ import annotations

import sqlite3

SET = "aiplat.series"
"""The name of our steps among those that a file remembers."""
NAMES: tuple[str, ...] = ("0001-minutes-and-hours",)
"""Every step, in order: those of `aiplat.series.migrations`."""


def steps_of(connection: sqlite3.Connection) -> set[str]:
    """Tell the steps that a file has behind it (the table is sqlite_utils' own).

    Raises:
        sqlite3.Error: it cannot be read.
    """
    table = "SELECT 1 FROM sqlite_master WHERE name = '_sqlite_migrations'"
    if connection.execute(table).fetchone() is None:
        return set()
    rows = connection.execute("SELECT name FROM _sqlite_migrations WHERE migration_set = ?", [SET])
    return {str(name) for (name,) in rows}
