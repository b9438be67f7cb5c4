"""Work on an open database: all of it or nothing, and not for too long. Blocking."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator

_CHECK_STEPS = 10_000
"""Steps of SQLite's machine between two looks at the clock: a few milliseconds."""


@contextlib.contextmanager
def no_longer_than(
    connection: sqlite3.Connection,
    seconds: float,
    now: Callable[[], float],
    is_wanted: Callable[[], bool] = lambda: True,
) -> Iterator[None]:
    """Have SQLite give up what takes longer, or is not wanted any more (`SQLITE_INTERRUPT`).

    Arguments:
        now: a clock that only goes forward, in seconds.
    """
    end = now() + seconds
    connection.set_progress_handler(lambda: now() > end or not is_wanted(), _CHECK_STEPS)
    try:
        yield
    finally:
        connection.set_progress_handler(None, 0)


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All of it or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise
