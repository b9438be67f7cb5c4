"""A copy and a check of the accounts' database, also of a gateway that does not run. Blocking."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

from aiplat.accounts import database
from aiplat.control.accounts import StoreCheck
from aiplat.control.messages import Done
from aiplat.domain.errors import InvalidRequest, NotReady, clip


def backup(path: Path, target: Path) -> Done:
    """Copy the database to a file that is not there yet.

    Raises:
        AiplatError: it cannot be read or written; then nothing is left behind.
    """
    if not target.is_absolute():
        raise InvalidRequest(f"The backup's path must be absolute, but is {clip(str(target))!r}.")
    try:
        size = database.copy_to(path, target)
    except FileExistsError:
        raise InvalidRequest(
            f"{target} is there already: choose another name, or remove it first."
        ) from None
    except (sqlite3.Error, OSError, ValueError) as fault:  # such as a path with a null byte
        text = f"The accounts could not be copied to {target}: {fault}."
        raise NotReady(text) from None
    return Done(message=f"The accounts were copied to {target} ({size / 1e6:.1f} MB).")


def check(path: Path) -> StoreCheck:
    """Look through the whole database.

    Raises:
        StoreFails: it cannot be looked at now, which says nothing of it: its disk is full, say.
    """
    try:
        with contextlib.closing(database.connect(path, read_only=True)) as connection:
            problems = database.problems_of(connection)
            users, keys, events = (
                connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
                for table in ("users WHERE deleted IS NULL", "keys WHERE revoked = 0", "events")
            )
    except sqlite3.OperationalError as fault:
        raise database.store_fails(path, fault) from None
    except sqlite3.Error as fault:
        size = path.stat().st_size if path.exists() else 0
        return StoreCheck(
            path=str(path), bytes=size, users=0, keys=0, events=0, problems=(str(fault),)
        )
    return StoreCheck(
        path=str(path), bytes=path.stat().st_size, users=users, keys=keys, events=events,
        problems=problems,
    )  # fmt: skip
