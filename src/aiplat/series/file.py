"""The series' database file: one that graphs can be without."""

from __future__ import annotations

import logging
import sqlite3
from pathlib import Path

from aiplat.database.file import DatabaseFile, Trouble
from aiplat.database.form import Form
from aiplat.series.form import NAMES, SET

log = logging.getLogger("aiplat.series")

__all__ = ["SeriesFile", "Trouble"]


class SeriesFile(DatabaseFile):
    """The file (`DatabaseFile`).

    Arguments:
        path: where; its folder must exist, and be its owner's alone.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, Form(SET, NAMES, _bring_up), "series' file", log, may_be_lost=True)


def _bring_up(connection: sqlite3.Connection) -> None:
    from sqlite_utils import Database

    from aiplat.series.migrations import migrations

    migrations.apply(Database(connection))
