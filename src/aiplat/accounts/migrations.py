"""How the accounts' database came to its present form: named steps, each in a transaction.

A step is never changed once it was released; a new one is added at the end. A test takes a
database of every earlier version to the newest.
"""

from __future__ import annotations

from sqlite_utils import Database, Migrations

migrations = Migrations("aiplat.accounts")

_LIMITS = (
    "requests_per_minute INTEGER, tokens_per_minute INTEGER, concurrent INTEGER, "
    "tokens_per_month INTEGER"
)
_FIGURES = (
    "requests INTEGER NOT NULL, errors INTEGER NOT NULL, prompt INTEGER NOT NULL, "
    "cached INTEGER NOT NULL, completion INTEGER NOT NULL"
)


@migrations(name="0001-people")
def _people(db: Database) -> None:
    """Users, their keys and sessions, invitations. Only hashes of secrets are in here."""
    db.execute(
        "CREATE TABLE users (id TEXT PRIMARY KEY, name TEXT UNIQUE, password TEXT, "
        "role TEXT NOT NULL, disabled INTEGER NOT NULL DEFAULT 0, created INTEGER NOT NULL, "
        f"deleted INTEGER, {_LIMITS}) WITHOUT ROWID"
    )
    db.execute(
        "CREATE TABLE keys (id TEXT PRIMARY KEY, user TEXT NOT NULL, name TEXT NOT NULL, "
        "folded TEXT NOT NULL, hash BLOB NOT NULL, scopes TEXT NOT NULL, models TEXT NOT NULL, "
        "created INTEGER NOT NULL, expires INTEGER NOT NULL DEFAULT 0, revoked INTEGER NOT NULL "
        "DEFAULT 0, replaced_by TEXT NOT NULL DEFAULT '', last_used INTEGER NOT NULL DEFAULT 0, "
        f"{_LIMITS}) WITHOUT ROWID"
    )
    # One name for one key of a user; those that ended, or were rotated out, keep theirs beside it.
    db.execute(
        "CREATE UNIQUE INDEX keys_name ON keys (user, folded) "
        "WHERE revoked = 0 AND replaced_by = ''"
    )
    db.execute(
        "CREATE TABLE sessions (id TEXT PRIMARY KEY, user TEXT NOT NULL, hash BLOB NOT NULL, "
        "created INTEGER NOT NULL, expires INTEGER NOT NULL, peer TEXT NOT NULL) WITHOUT ROWID"
    )
    db.execute(
        "CREATE TABLE invitations (id TEXT PRIMARY KEY, hash BLOB NOT NULL, "
        "created INTEGER NOT NULL, expires INTEGER NOT NULL, uses_left INTEGER NOT NULL, "
        f"own_limits INTEGER NOT NULL DEFAULT 0, {_LIMITS}) WITHOUT ROWID"
    )
    db.execute(
        "CREATE TABLE audit (id INTEGER PRIMARY KEY, at INTEGER NOT NULL, actor TEXT NOT NULL, "
        "action TEXT NOT NULL, target TEXT NOT NULL, detail TEXT NOT NULL, peer TEXT NOT NULL)"
    )


@migrations(name="0002-usage")
def _usage(db: Database) -> None:
    """Requests under way, those that ended, and sums over hours and days.

    A row of `running` becomes one of `events` in one transaction, so that nothing is counted
    twice whenever the gateway dies. `sums` are of the events up to `folded`; what came later is
    added when it is asked for.
    """
    db.execute(
        "CREATE TABLE running (id INTEGER PRIMARY KEY, request TEXT NOT NULL, at INTEGER NOT NULL, "
        "user TEXT NOT NULL, key TEXT NOT NULL, model TEXT NOT NULL, manifest TEXT NOT NULL, "
        "processor TEXT NOT NULL, prompt INTEGER NOT NULL, completion INTEGER NOT NULL, "
        "exact INTEGER NOT NULL)"
    )
    db.execute(
        "CREATE TABLE events (id INTEGER PRIMARY KEY, at INTEGER NOT NULL, request TEXT NOT NULL, "
        "user TEXT NOT NULL, key TEXT NOT NULL, model TEXT NOT NULL, manifest TEXT NOT NULL, "
        "processor TEXT NOT NULL, prompt INTEGER NOT NULL, cached INTEGER NOT NULL, "
        "completion INTEGER NOT NULL, exact INTEGER NOT NULL, queue_ms REAL NOT NULL, "
        "first_ms REAL NOT NULL, total_ms REAL NOT NULL, outcome TEXT NOT NULL)"
    )
    db.execute(
        "CREATE TABLE sums (user TEXT NOT NULL, size INTEGER NOT NULL, start INTEGER NOT NULL, "
        f"key TEXT NOT NULL, model TEXT NOT NULL, processor TEXT NOT NULL, {_FIGURES}, "
        "PRIMARY KEY (user, size, start, key, model, processor)) WITHOUT ROWID"
    )
    # The same over all users: a gateway with many is asked for its days at once.
    db.execute(
        "CREATE TABLE totals (size INTEGER NOT NULL, start INTEGER NOT NULL, model TEXT NOT NULL, "
        f"processor TEXT NOT NULL, {_FIGURES}, "
        "PRIMARY KEY (size, start, model, processor)) WITHOUT ROWID"
    )
    db.execute("CREATE TABLE marks (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID")
    db.execute("INSERT INTO marks VALUES ('folded', 0)")


@migrations(name="0003-sums-by-time")
def _sums_by_time(db: Database) -> None:
    """The sums by time before user; and without models and processors, for a month's use of a key.

    So an hour's rows lie together: what is folded touches few pages, and old hours go at once. By
    user each event dirtied two pages of its own, and old hours were looked for among all sums.
    """
    db.execute("ALTER TABLE sums RENAME TO sums_by_user")
    db.execute(
        "CREATE TABLE sums (user TEXT NOT NULL, size INTEGER NOT NULL, start INTEGER NOT NULL, "
        f"key TEXT NOT NULL, model TEXT NOT NULL, processor TEXT NOT NULL, {_FIGURES}, "
        "PRIMARY KEY (size, start, user, key, model, processor)) WITHOUT ROWID"
    )
    db.execute("INSERT INTO sums SELECT * FROM sums_by_user ORDER BY size, start, user, key")
    db.execute("DROP TABLE sums_by_user")
    db.execute(
        "CREATE TABLE payers (size INTEGER NOT NULL, start INTEGER NOT NULL, user TEXT NOT NULL, "
        f"key TEXT NOT NULL, {_FIGURES}, PRIMARY KEY (size, start, user, key)) WITHOUT ROWID"
    )
    db.execute(
        "INSERT INTO payers SELECT size, start, user, key, sum(requests), sum(errors), "
        "sum(prompt), sum(cached), sum(completion) FROM sums GROUP BY size, start, user, key"
    )


@migrations(name="0004-audit-by-whom")
def _audit_by_whom(db: Database) -> None:
    """The audit log by who did it and whom it was done to, which is asked for and blanked."""
    db.execute("CREATE INDEX audit_actor ON audit (actor)")
    db.execute("CREATE INDEX audit_target ON audit (target)")


@migrations(name="0005-sessions-labelled")
def _sessions_labelled(db: Database) -> None:
    """What a session was begun by, and when it was used last: what a person tells them apart by."""
    db.execute("ALTER TABLE sessions ADD COLUMN label TEXT NOT NULL DEFAULT ''")
    db.execute("ALTER TABLE sessions ADD COLUMN last_used INTEGER NOT NULL DEFAULT 0")
