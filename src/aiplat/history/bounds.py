"""How much is kept: what is refused, and in which words. Blocking; the caller has a transaction."""

from __future__ import annotations

import sqlite3

from aiplat.domain.errors import Overloaded
from aiplat.history.settings import HistorySettings


class Full(Overloaded):
    """A bound of the history was hit; `bound` is its label."""

    recoverable = False

    def __init__(self, message: str, bound: str) -> None:
        super().__init__(message)
        self.bound = bound


def refuse_one_more(connection: sqlite3.Connection, settings: HistorySettings) -> None:
    """Raise `Full` where as many conversations are kept as may be."""
    count = connection.execute("SELECT count(*) FROM conversations").fetchone()[0]
    if count >= settings.max_conversations:
        raise Full(
            f"{count} conversations are kept, as many as may be (history.max_conversations): "
            "delete some, or have them go by themselves with `aiplat history retain DAYS`.",
            "history_conversations",
        )


def used_bytes(connection: sqlite3.Connection) -> int:
    """What of the file is in use."""
    size, pages, free = (
        connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("page_size", "page_count", "freelist_count")
    )
    return int(size * (pages - free))


def refuse_more_bytes(connection: sqlite3.Connection, settings: HistorySettings) -> None:
    """Raise `Full` where the file is as large as it may be."""
    used = used_bytes(connection)
    if used >= settings.max_bytes:
        raise Full(
            f"The conversations take {used} bytes, and {settings.max_bytes} is the bound "
            "(history.max_bytes): delete some, or have them go by themselves with `aiplat history "
            "retain DAYS`.",
            "history_bytes",
        )


def refuse_larger(connection: sqlite3.Connection, number: int, settings: HistorySettings) -> None:
    """Bound one conversation, which travels whole: in a transaction, after it was put in."""
    query = (
        "SELECT (SELECT total(length(CAST(text AS BLOB))) FROM turns WHERE conversation = ?1) + "
        "(SELECT total(length(CAST(files.text AS BLOB))) FROM files JOIN turns ON turn = number "
        "WHERE conversation = ?1)"
    )
    size = int(connection.execute(query, [number]).fetchone()[0])
    if size > settings.max_conversation_bytes:
        raise Full(
            f"The conversation would have {size} bytes of text, but at most "
            f"{settings.max_conversation_bytes} are kept of one (history.max_conversation_bytes): "
            "begin a new one.",
            "history_conversation_bytes",
        )
