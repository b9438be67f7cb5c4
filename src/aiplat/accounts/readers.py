"""Looks things up in the accounts' database: in threads, beside the writer and not in its way."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import trio

from aiplat.accounts import database

MAX_READERS = 4

Result = TypeVar("Result")


class Readers:
    """Those who read the database at `path`, a few at once.

    Arguments:
        path: of a database in its newest form.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._limiter: trio.CapacityLimiter | None = None

    async def read(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        """Look something up in a thread, with a connection of its own: all as of one moment.

        Raises:
            NotReady: the database cannot be read.
            Exception: what `work` raises.
        """
        if self._limiter is None:
            self._limiter = trio.CapacityLimiter(MAX_READERS)

        def read() -> Result:
            with contextlib.closing(database.connect(self._path, read_only=True)) as connection:
                connection.execute("BEGIN")
                return work(connection)

        try:
            return await trio.to_thread.run_sync(read, limiter=self._limiter)
        except sqlite3.Error as fault:
            raise database.store_fails(self._path, fault) from None
