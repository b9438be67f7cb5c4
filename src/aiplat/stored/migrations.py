"""How the file of stored answers came to its present form: named steps, each in a transaction.

A step is never changed once it was released; a new one is added at the end, and to `NAMES`.
Imported only when a file lacks a step: sqlite_utils brings numpy, a third of a second.
"""

from __future__ import annotations

from sqlite_utils import Database, Migrations

from aiplat.stored.form import SET

migrations = Migrations(SET)


@migrations(name="0001-answers")
def _begin(db: Database) -> None:
    """Answers, and what those of each user and of all come to, which triggers keep true."""
    db.execute(
        "CREATE TABLE answers (number INTEGER PRIMARY KEY, owner TEXT NOT NULL, id TEXT NOT NULL, "
        "previous TEXT NOT NULL, created INTEGER NOT NULL, state TEXT NOT NULL, "
        "bytes INTEGER NOT NULL, items BLOB NOT NULL, body BLOB NOT NULL, UNIQUE (owner, id))"
    )
    db.execute("CREATE INDEX answers_of ON answers (owner, created)")
    db.execute("CREATE INDEX answers_created ON answers (created)")
    db.execute("CREATE INDEX answers_running ON answers (id) WHERE state = 'running'")
    db.execute(
        "CREATE TABLE owners (owner TEXT PRIMARY KEY, answers INTEGER NOT NULL, "
        "bytes INTEGER NOT NULL) WITHOUT ROWID"
    )
    db.execute("CREATE INDEX owners_bytes ON owners (bytes)")
    db.execute("CREATE TABLE whole (bytes INTEGER NOT NULL)")
    db.execute("INSERT INTO whole VALUES (0)")
    db.execute(
        "CREATE TRIGGER answer_came AFTER INSERT ON answers BEGIN "
        "INSERT INTO owners VALUES (new.owner, 1, new.bytes) ON CONFLICT (owner) "
        "DO UPDATE SET answers = answers + 1, bytes = bytes + new.bytes; "
        "UPDATE whole SET bytes = bytes + new.bytes; END"
    )
    db.execute(
        "CREATE TRIGGER answer_grew AFTER UPDATE OF bytes ON answers BEGIN "
        "UPDATE owners SET bytes = bytes + new.bytes - old.bytes WHERE owner = new.owner; "
        "UPDATE whole SET bytes = bytes + new.bytes - old.bytes; END"
    )
    db.execute(
        "CREATE TRIGGER answer_went AFTER DELETE ON answers BEGIN "
        "UPDATE owners SET answers = answers - 1, bytes = bytes - old.bytes "
        "WHERE owner = old.owner; "
        "DELETE FROM owners WHERE owner = old.owner AND answers = 0; "
        "UPDATE whole SET bytes = bytes - old.bytes; END"
    )
