"""The accounts' database file: opened, brought to the newest form, checked, copied.

Blocking: never called on the loop that serves. WAL mode: readers and the one writer do not wait
for each other. ``synchronous=NORMAL``: what was committed outlives the process, however it dies;
a power cut may take the last moments (SQLite, "Write-Ahead Logging", 7).
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from sqlite_utils import Database, Migrations

from aiplat.accounts.migrations import migrations
from aiplat.domain.errors import ConfigError, NotReady

log = logging.getLogger("aiplat.accounts")

BUSY_SECONDS = 2.0
"""Another program may hold the file for a moment: `sqlite3` in a person's hands, a backup."""
KEPT_BACKUPS = 10
FAILS = "the database of its accounts fails, and its log says why. Ask again in 5 s."
_WAL_VERSION = b"\2\2"
"""In a database's header, at 18: that it is written by way of a WAL (SQLite, "Database File
Format", 1.3.3). Ours say so from their making on; a backup does not."""
MAGIC = b"SQLite format 3\0"
"""How such a file begins (the same, 1.3)."""
_STEP_PAGES = 1000
_LEAST_ROOM = 64 * 1024
"""Bytes that a new WAL and its index take."""
_BEFORE_THE_FIRST = ("sqlite_", f"{Migrations.migrations_table}", "idx__sqlite_migrations")
"""What sqlite-utils makes before the first step, which may be all that there is after a crash."""


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """Open the database; transactions are begun and ended by hand.

    Raises:
        sqlite3.Error: it cannot be opened, or is no database.
    """
    uri = f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rwc'}"
    connection = sqlite3.connect(
        uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute("PRAGMA foreign_keys = OFF")
        if read_only:
            connection.execute("PRAGMA query_only = ON")
        else:
            connection.execute("PRAGMA journal_mode = WAL").fetchone()
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute("PRAGMA secure_delete = ON").fetchone()  # a deleted name is no more
            connection.execute("PRAGMA journal_size_limit = 67108864")
        connection.execute("PRAGMA cache_size = -16384")
    except BaseException:
        connection.close()
        raise
    return connection


def prepare(
    path: Path, backups: Path, now: Callable[[], float] = time.time, steps: Migrations = migrations
) -> None:
    """Make the database, or bring one of an earlier version to the newest form.

    Of one of an earlier version what is there is copied to `backups` before each step.

    Raises:
        ConfigError: it cannot be used; names the file, the fault and the mend.
    """
    try:
        _make_private(path)
        _check_head(path)
        part_from_wal(path)
        with contextlib.closing(connect(path)) as connection:
            _refuse_foreign(path, connection, steps)
            _migrate(path, connection, backups, now, steps)
    except (sqlite3.Error, OSError) as fault:
        raise unusable(path, fault) from None


class StoreFails(NotReady):
    """The database fails a caller. Its text names the file, which is for operators alone."""

    def for_others(self) -> NotReady:
        """The same for everybody else."""
        return NotReady(f"This gateway cannot do that: {FAILS}", retry_after=5)


def store_fails(path: Path, fault: Exception) -> StoreFails:
    """Say that of a database that was open."""
    return StoreFails(str(unusable(path, fault)), retry_after=5)


def unusable(path: Path, fault: Exception) -> ConfigError:
    """Say why the database cannot be used, and what to do."""
    if isinstance(fault, sqlite3.OperationalError) and "locked" in str(fault):
        mend = "another program holds it: close that, and try again."
    elif isinstance(fault, sqlite3.OperationalError) and (
        "full" in str(fault) or _has_no_room(path.parent)
    ):
        mend = "make room on its disk, and try again."
    elif isinstance(fault, sqlite3.DatabaseError) and not isinstance(
        fault, sqlite3.OperationalError
    ):
        mend = (
            f"it is damaged. Put a backup in its place (`aiplat db backup` makes them; those of "
            f"updates are in {path.parent / 'backups'}), or move it away to begin anew."
        )
    else:
        mend = "see to the file and its folder, and try again."
    return ConfigError(f"The accounts' database {path} cannot be used ({fault}): {mend}")


def _has_no_room(folder: Path) -> bool:
    """Where SQLite cannot make a file beside the database, it speaks of an I/O error."""
    try:
        disk = os.statvfs(folder)
    except OSError:
        return False
    return disk.f_bavail * disk.f_frsize < _LEAST_ROOM


def _make_private(path: Path) -> None:
    """The file is its owner's alone from its first moment; SQLite gives WAL files its mode."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        raise ConfigError(
            f"The accounts' database {path} may be read by others (mode {mode:04o}): run "
            f"`chmod 600 {path}`."
        )


def _check_head(path: Path) -> None:
    """What the WAL holds may hide from SQLite that the file itself was overwritten."""
    with path.open("rb") as file:
        head = file.read(len(MAGIC))
    if head not in (b"", MAGIC):
        raise sqlite3.DatabaseError("file is not a database")


def part_from_wal(path: Path) -> None:
    """Move the WAL of another database away, which was left beside a backup put in its place.

    SQLite would read the two as one: a mixture of both, or the old one again. Call it only while
    this process has no connection to the file (SQLite, "How To Corrupt An SQLite Database File",
    1.4 and 2.2).

    Raises:
        OSError: it cannot be moved.
    """
    wal = path.with_name(f"{path.name}-wal")
    if not wal.exists():
        return
    with path.open("rb") as file:
        header = file.read(20)
    if header and (not header.startswith(MAGIC) or header[18:] == _WAL_VERSION):
        return
    aside = wal.with_name(f"{wal.name}.old")
    wal.replace(aside)
    path.with_name(f"{path.name}-shm").unlink(missing_ok=True)
    log.warning("%s is not of the database beside it, and was moved to %s", wal.name, aside)


def _refuse_foreign(path: Path, connection: sqlite3.Connection, steps: Migrations) -> None:
    """A newer version's, or another program's."""
    with contextlib.closing(sqlite3.connect(":memory:")) as empty:
        known = {step.name for step in steps.pending(Database(empty))}
    applied = {step.name for step in steps.applied(Database(connection))}
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema")}
    if not applied and any(not name.startswith(_BEFORE_THE_FIRST) for name in tables):
        raise ConfigError(
            f"The file {path} is a database, but none of a gateway's accounts: move it away, or "
            "put the accounts' database in its place."
        )
    unknown = sorted(applied - known)
    if unknown:
        raise ConfigError(
            f"The accounts' database {path} was written by a newer aiplat (it has "
            f"{unknown[-1]!r}): update this one, or put a backup of this version in its place."
        )


def _migrate(
    path: Path,
    connection: sqlite3.Connection,
    backups: Path,
    now: Callable[[], float],
    steps: Migrations,
) -> None:
    database = Database(connection)
    is_new = not steps.applied(database)
    for step in steps.pending(database):
        if not is_new:
            _back_up_before(path, step.name, backups, now)
        later = [other.name for other in steps.pending(database) if other.name != step.name]
        steps.apply(database, stop_before=later)


def _back_up_before(path: Path, step: str, backups: Path, now: Callable[[], float]) -> None:
    backups.mkdir(mode=0o700, exist_ok=True)
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now()))
    copy_to(path, backups / f"{path.stem}-before-{step}-{stamp}.db", replace=True)
    old = sorted(backups.glob(f"{path.stem}-before-*.db"), key=lambda one: one.stat().st_mtime)
    for one in old[:-KEPT_BACKUPS]:
        one.unlink(missing_ok=True)


def copy_to(path: Path, target: Path, *, replace: bool = False) -> int:
    """Copy the database as it is at this moment, while it is used (SQLite's online backup).

    Returns:
        The copy's size in bytes.

    Raises:
        FileExistsError: `target` is there.
        sqlite3.Error, OSError: it cannot be read or written; no half copy is left.
    """
    if target.exists() and not replace:
        raise FileExistsError(target)
    partial = target.with_name(f".{target.name}.{os.getpid()}.part")
    partial.unlink(missing_ok=True)
    os.close(os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    try:
        with (
            contextlib.closing(connect(path, read_only=True)) as source,
            contextlib.closing(sqlite3.connect(partial, isolation_level=None)) as copy,
        ):
            # As of one moment: else each write meanwhile would make it begin anew, for ever.
            source.execute("BEGIN")
            source.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            source.backup(copy, pages=_STEP_PAGES)
            copy.execute("PRAGMA journal_mode = DELETE").fetchone()
        if replace:
            os.replace(partial, target)
        else:
            os.link(partial, target)  # fails where something is, also since a moment ago
    finally:
        partial.unlink(missing_ok=True)
    return target.stat().st_size


def problems_of(connection: sqlite3.Connection, most: int = 20) -> tuple[str, ...]:
    """What SQLite's own check finds; nothing when the file is whole.

    Source: SQLite, "PRAGMA integrity_check".

    Raises:
        sqlite3.OperationalError: the file cannot be read now.
    """
    try:
        rows = connection.execute(f"PRAGMA integrity_check({most})").fetchall()
    except sqlite3.OperationalError:
        raise
    except sqlite3.Error as fault:
        return (str(fault),)
    return tuple(str(row[0]) for row in rows if row[0] != "ok")


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
