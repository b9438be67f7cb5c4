"""Which form a database file has, told without what brings it to the newest."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Form:
    """The newest form of one kind of file.

    Arguments:
        set: the name of its steps among those that a file remembers.
        names: every step, in order.
        bring_up: takes a file to it. It may import what is slow: sqlite_utils brings numpy, a
            third of a second, and a file that is up to date needs neither.
    """

    set: str
    names: tuple[str, ...]
    bring_up: Callable[[sqlite3.Connection], None]


def steps_of(connection: sqlite3.Connection, steps: str) -> set[str]:
    """Tell the steps that a file has behind it (the table is sqlite_utils' own).

    Arguments:
        steps: the name of the set.

    Raises:
        sqlite3.Error: it cannot be read.
    """
    table = "SELECT 1 FROM sqlite_master WHERE name = '_sqlite_migrations'"
    if connection.execute(table).fetchone() is None:
        return set()
    query = "SELECT name FROM _sqlite_migrations WHERE migration_set = ?"
    return {str(name) for (name,) in connection.execute(query, [steps])}
