"""Whether the database's file is still the one that was opened, in its place, and a database.

SQLite writes on into a file that was removed or replaced under it, and nobody ever reads that
again. Knows nothing of what is in the file.
"""

from __future__ import annotations

import os
from pathlib import Path

from aiplat.accounts.database import MAGIC
from aiplat.domain.errors import ConfigError

_MEND = (
    "Put it back as it was; or stop the node, put a backup in its place (`aiplat db backup` makes "
    "them), and start it again."
)


class SameFile:
    """Watches the file at `path` from now on.

    Raises:
        OSError: it is not there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        # Open for the node's life: to close any descriptor of a file drops the locks that SQLite
        # holds on it in this process (SQLite, "How To Corrupt An SQLite Database File", 2.2).
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def check(self) -> None:
        """See that it is the same.

        Raises:
            ConfigError: it was removed, replaced or overwritten; says what to do.
        """
        try:
            there = os.stat(self._path)
        except OSError as fault:
            raise self._fault(f"is gone ({fault.strerror})") from None
        opened = os.fstat(self._file)
        if (there.st_dev, there.st_ino) != (opened.st_dev, opened.st_ino):
            raise self._fault("was replaced by another file while the node runs")
        if os.pread(self._file, len(MAGIC), 0) != MAGIC:
            raise self._fault("was overwritten, and is no database any more")

    def close(self) -> None:
        """Look no more; after the last connection to it was closed."""
        os.close(self._file)

    def _fault(self, what: str) -> ConfigError:
        return ConfigError(f"The accounts' database {self._path} {what}. {_MEND}")
