"""The history's database file: its owner's alone, and without a trace of what was deleted."""

from __future__ import annotations

import logging
import sqlite3
from pathlib import Path

from aiplat.database.file import DatabaseFile, TookLong, Trouble
from aiplat.database.form import Form
from aiplat.history.form import NAMES, SET

log = logging.getLogger("aiplat.history")

__all__ = ["HistoryFile", "TookLong", "Trouble"]


class HistoryFile(DatabaseFile):
    """The file (`DatabaseFile`).

    Arguments:
        path: where; its folder must exist, and be its owner's alone.
    """

    def __init__(self, path: Path) -> None:
        form = Form(SET, NAMES, _bring_up)
        super().__init__(path, form, "conversations' file", log, erase=True)


def _bring_up(connection: sqlite3.Connection) -> None:
    from sqlite_utils import Database

    from aiplat.history.migrations import migrations

    migrations.apply(Database(connection))
