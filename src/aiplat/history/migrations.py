"""How the history's file came to its present form: named steps, each in a transaction.

A step is never changed once it was released; a new one is added at the end, and to `NAMES`.
Imported only when a file lacks a step: sqlite_utils brings numpy, a third of a second.
"""

from __future__ import annotations

import sqlite3

from sqlite_utils import Database, Migrations

from aiplat.history.form import SET, TOKENS

migrations = Migrations(SET)

_ERASES_WORDS = (3, 42)
"""Since when FTS5 removes a deleted word from its index at once (SQLite, "FTS5", 6.12)."""


@migrations(name="0001-conversations")
def _begin(db: Database) -> None:
    """Conversations, their turns, the files of these, and two indexes of words over all of it.

    The indexes hold no text (FTS5's external content): that stands once, in the tables. A turn is
    in the index when `indexed` says so; an answer under way is not.
    """
    db.execute(
        "CREATE TABLE conversations (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, "
        "title TEXT NOT NULL, created INTEGER NOT NULL, updated INTEGER NOT NULL, "
        "settings TEXT NOT NULL, head TEXT NOT NULL)"
    )
    db.execute("CREATE INDEX conversations_updated ON conversations (updated)")
    db.execute(
        "CREATE TABLE turns (number INTEGER PRIMARY KEY, conversation INTEGER NOT NULL, "
        "id TEXT NOT NULL, parent TEXT NOT NULL, role TEXT NOT NULL, text TEXT NOT NULL, "
        "at INTEGER NOT NULL, facts TEXT NOT NULL, running INTEGER NOT NULL DEFAULT 0, "
        "indexed INTEGER NOT NULL DEFAULT 0, UNIQUE (conversation, id))"
    )
    db.execute("CREATE INDEX turns_running ON turns (conversation) WHERE running = 1")
    db.execute(
        "CREATE TABLE files (turn INTEGER NOT NULL, place INTEGER NOT NULL, name TEXT NOT NULL, "
        "text TEXT NOT NULL, PRIMARY KEY (turn, place)) WITHOUT ROWID"
    )
    db.execute(
        "CREATE VIEW said AS SELECT number, text, coalesce((SELECT group_concat(name || char(10) "
        "|| text, char(10)) FROM (SELECT name, text FROM files WHERE turn = number "
        "ORDER BY place)), '') AS attached FROM turns WHERE indexed = 1"
    )
    db.execute("CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID")
    db.execute(
        "CREATE VIRTUAL TABLE turn_words USING fts5 (text, attached, content='said', "
        f"content_rowid='number', {TOKENS})"
    )
    db.execute(
        "CREATE VIRTUAL TABLE title_words USING fts5 (title, content='conversations', "
        f"content_rowid='number', {TOKENS})"
    )
    if sqlite3.sqlite_version_info >= _ERASES_WORDS:
        for table in ("turn_words", "title_words"):
            db.execute(f"INSERT INTO {table} ({table}, rank) VALUES ('secure-delete', 1)")
