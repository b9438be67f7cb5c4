"""A database file: opened when it is used, moved aside and begun anew when it is broken. Blocking.

Broken is what SQLite finds to hold other bytes than were written (`SQLITE_CORRUPT`,
`SQLITE_NOTADB`), and nothing else: any other fault leaves the file where it is.

WAL mode with ``synchronous=NORMAL``: what was written outlives the process, however it dies; a
power cut may take the last moments (SQLite, "Write-Ahead Logging", 7). A fault is told as
`Trouble`, in words for a person: what such a file holds is not worth a node's peace.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from aiplat.database.form import Form, steps_of

T = TypeVar("T")

BUSY_SECONDS = 1.0
"""Another program may hold the file for a moment: `sqlite3` in a person's hands, a backup."""
KEPT_BROKEN = 3
"""Of a file that may be lost: the oldest of more is forgotten."""
MOST_BROKEN = 16
"""Of a file that may not: it is moved away no more when so many lie there."""
FRESH_SECONDS = 3600.0
"""A new file that breaks within that time has a broken disk: another would fare no better."""
_WAL_BYTES = 4 * 1024 * 1024
_BESIDE = ("", "-wal", "-shm")
_BROKEN = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_MENDS = {
    sqlite3.SQLITE_BUSY: "another program holds it: close that",
    sqlite3.SQLITE_LOCKED: "another program holds it: close that",
    sqlite3.SQLITE_FULL: "make room on its disk",
    sqlite3.SQLITE_READONLY: "make it writable",
    sqlite3.SQLITE_PERM: "make it writable",
    sqlite3.SQLITE_CANTOPEN: "see to the file and its folder",
    sqlite3.SQLITE_IOERR: "see to its disk",
    sqlite3.SQLITE_NOMEM: "this machine is short of memory",
    sqlite3.SQLITE_INTERRUPT: "it took too long",
}
"""What to do about a fault that is not the file's own."""
_NO_MEND = "nothing of it was changed; the log has more"


class Trouble(Exception):
    """The file cannot be used now; the text is a sentence for a person."""


class TookLong(Trouble):
    """The work was given up (`aiplat.database.working.no_longer_than`)."""


class _Broken(Exception):
    """What is in the file is not what was written; the text says how SQLite found out."""


class DatabaseFile:
    """The file, used by one thread at a time.

    Arguments:
        path: where; its folder must exist, and be its owner's alone.
        form: its newest form.
        what: its name in a sentence, such as ``series' file``.
        log: told when it is begun anew.
        erase: whether what is deleted is overwritten (SQLite, "PRAGMA secure_delete").
        may_be_lost: whether broken files are forgotten when there are more than a few.
    """

    def __init__(
        self,
        path: Path,
        form: Form,
        what: str,
        log: logging.Logger,
        *,
        erase: bool = False,
        may_be_lost: bool = False,
    ) -> None:
        self.path = path
        self._form = form
        self._what = what
        self._log = log
        self._erase = erase
        self._may_be_lost = may_be_lost
        self._connection: sqlite3.Connection | None = None
        self._inode = 0
        self.moved = ""
        """Where the last broken one of this object's time was moved to."""
        self._begun: float | None = None
        self._last_fault = ""

    @property
    def is_open(self) -> bool:
        """Whether it is in use."""
        return self._connection is not None

    @property
    def aside(self) -> tuple[str, ...]:
        """Where broken ones were moved to and still lie, the oldest first."""
        return tuple(self._aside(number) for number in sorted(self._broken()))

    def use(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do something with the file; once more with a new one, if it proves to be broken.

        One that was just made is not moved away: then the disk is broken.

        Raises:
            Trouble: it cannot be used now.
        """
        try:
            return self._try(work)
        except _Broken as broken:
            self._move_aside(broken)
        try:
            return self._try(work)
        except _Broken as broken:
            self.close()
            raise Trouble(f"A new file {self.path} cannot be used either ({broken}).") from None

    def close(self) -> None:
        """Let go of it."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()

    def _try(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return work(self._opened())
        except OSError as fault:
            self.close()
            why = fault.strerror or str(fault)
            raise Trouble(f"The {self._what} {self.path} cannot be used ({why}).") from None
        except sqlite3.DatabaseError as fault:
            code = getattr(fault, "sqlite_errorcode", None)
            if code is None:  # not the file's fault
                raise
            if code != sqlite3.SQLITE_INTERRUPT or self._is_amid():
                self.close()
            raise self._told(fault, code & 0xFF) from None

    def _is_amid(self) -> bool:
        return self._connection is None or self._connection.in_transaction

    def _told(self, fault: sqlite3.DatabaseError, code: int) -> Exception:
        """Tell broken from what passes; `code` is SQLite's, without what extends it."""
        if code in _BROKEN:
            return _Broken(str(fault))
        mend = _MENDS.get(code, _NO_MEND)
        if mend is _NO_MEND and str(fault) != self._last_fault:  # once, not each second
            self._last_fault = str(fault)
            self._log.error("the %s %s could not be used", self._what, self.path, exc_info=fault)
        kind = TookLong if code == sqlite3.SQLITE_INTERRUPT else Trouble
        return kind(f"The {self._what} {self.path} cannot be used ({fault}): {mend}.")

    # -- opening ---------------------------------------------------------------------------------

    def _opened(self) -> sqlite3.Connection:
        if self._connection is not None and self._inode != _inode(self.path):
            self._log.warning("the %s %s was removed: a new one is begun", self._what, self.path)
            self.close()
        if self._connection is None:
            if _is_nothing(self.path):
                self._begun = time.monotonic()
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            self.path.chmod(0o600)  # SQLite gives the files beside it the same mode
            self._inode = _inode(self.path)
            connection = _connect(self.path, erase=self._erase)
            try:
                self._bring_up(connection)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _bring_up(self, connection: sqlite3.Connection) -> None:
        """Take it to the newest form."""
        steps = steps_of(connection, self._form.set)
        if unknown := steps.difference(self._form.names):
            raise Trouble(
                f"The {self._what} {self.path} was written by a newer aiplat (it has "
                f"{max(unknown)!r}): update this one, or move the file away."
            )
        if steps != set(self._form.names):
            self._form.bring_up(connection)

    # -- a broken one ----------------------------------------------------------------------------

    def _move_aside(self, fault: Exception) -> None:
        """Move it away whole, so that somebody may look into it.

        Raises:
            Trouble: it cannot be moved, or must not.
        """
        self.close()
        broken = sorted(self._broken())
        self._refuse_to_move(fault, len(broken))
        number = broken[-1] + 1 if broken else 1
        try:
            for suffix in _BESIDE:
                with contextlib.suppress(FileNotFoundError):
                    os.replace(f"{self.path}{suffix}", f"{self._aside(number)}{suffix}")
            for old in broken[: -KEPT_BROKEN + 1] if self._may_be_lost else ():
                for suffix in _BESIDE:
                    Path(f"{self._aside(old)}{suffix}").unlink(missing_ok=True)
        except OSError as error:
            raise Trouble(
                f"The {self._what} {self.path} is broken ({fault}), and cannot be moved away "
                f"({error.strerror})."
            ) from None
        self.moved = self._aside(number)
        self._log.warning(
            "the %s %s was broken (%s): it is %s now, and a new one is begun",
            self._what, self.path, fault, self._aside(number),
        )  # fmt: skip

    def _refuse_to_move(self, fault: Exception, broken: int) -> None:
        said = f"The {self._what} {self.path} is broken ({fault})"
        if self._begun is not None and time.monotonic() - self._begun < FRESH_SECONDS:
            raise Trouble(f"{said}, though it was made a moment ago: see to its disk.") from None
        if broken >= MOST_BROKEN and not self._may_be_lost:
            raise Trouble(
                f"{said}, and {broken} broken ones lie beside it already: see to its disk, and "
                "move those away."
            ) from None

    def _aside(self, number: int) -> str:
        return f"{self.path}.broken-{number}"

    def _broken(self) -> list[int]:
        """The numbers of those that were moved away."""
        found = []
        for path in self.path.parent.glob(f"{self.path.name}.broken-*"):
            number = path.name.rpartition("-")[2]
            if number.isdecimal():
                found.append(int(number))
        return found


def _connect(path: Path, *, erase: bool) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute("PRAGMA journal_mode = WAL").fetchone()
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(f"PRAGMA journal_size_limit = {_WAL_BYTES}")
        if erase:
            connection.execute("PRAGMA secure_delete = ON").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


def _is_nothing(path: Path) -> bool:
    try:
        return path.stat().st_size == 0
    except FileNotFoundError:
        return True


def _inode(path: Path) -> int:
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return -1
