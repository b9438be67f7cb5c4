"""The database file of stored answers: its owner's alone, and overwritten where one is deleted."""

from __future__ import annotations

import logging
import sqlite3
from pathlib import Path

from aiplat.database.file import DatabaseFile, TookLong, Trouble
from aiplat.database.form import Form
from aiplat.stored.form import NAMES, SET

log = logging.getLogger("aiplat.stored")

__all__ = ["StoredFile", "TookLong", "Trouble"]


class StoredFile(DatabaseFile):
    """The file (`DatabaseFile`). A broken one is moved aside, and few of those are kept.

    Arguments:
        path: where; its folder must exist, and be its owner's alone.
    """

    def __init__(self, path: Path) -> None:
        form = Form(SET, NAMES, _bring_up)
        super().__init__(path, form, "stored answers' file", log, erase=True, may_be_lost=True)


def _bring_up(connection: sqlite3.Connection) -> None:
    from sqlite_utils import Database

    from aiplat.stored.migrations import migrations

    migrations.apply(Database(connection))
