"""The accounts' database file: from every earlier version to the newest, and what it cannot be."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest
from sqlite_utils import Database, Migrations

from aiplat.accounts import database
from aiplat.accounts.database import connect, copy_to, prepare, problems_of, transaction
from aiplat.accounts.migrations import migrations
from aiplat.domain.errors import ConfigError
from tests.unit.accounts.helpers import holding, refused

STEPS = [step.name for step in migrations.pending(Database(memory=True))]
ROWS = {
    "users": ("u1", "ann", "$argon2id$x", "user", 0, 1, None, 60, None, 4, None),
    "keys": ("k1", "u1", "laptop", "laptop", b"h", "[]", "[]", 1, 0, 0, "", 0, 5, 6, 7, 8),
    "sessions": ("s1", "u1", b"h", 1, 2, "peer"),
    "invitations": ("i1", b"h", 1, 2, 3, 1, 1, 2, 3, 4),
    "audit": (1, 5, "u1", "user.register", "u1", "", "peer"),
    "running": (1, "req-1", 5000, "u1", "k1", "m", "f", "p", 3, 4, 1),
    "events": (1, 5000, "req-0", "u1", "k1", "m", "f", "p", 3, 1, 4, 1, 0.5, 1.5, 2.5, "stop"),
    "sums": ("u1", 3600, 0, "k1", "m", "p", 1, 0, 3, 1, 4),
    "totals": (3600, 0, "m", "p", 1, 0, 3, 1, 4),
    "payers": (3600, 0, "u1", "k1", 1, 0, 3, 1, 4),
}


def steps(*made: Any) -> Migrations:
    """A history of its own; each step is a function or an SQL."""
    found = Migrations("aiplat.accounts")
    for number, one in enumerate(made, 1):

        def step(db: Database, one: Any = one) -> None:
            if callable(one):
                one(db)
            else:
                db.execute(one)

        found(name=f"{number:04}-step")(step)
    return found


def of_version(path: Path, version: int) -> list[str]:
    """Make the database as the version with so many steps left it, with a row in each table."""
    path.touch(0o600)
    with contextlib.closing(connect(path)) as connection:
        migrations.apply(Database(connection), stop_before=STEPS[version:])
        return fill(connection)


def fill(connection: sqlite3.Connection) -> list[str]:
    """Put a row into each table that there is; gives their names."""
    there = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema")}
    tables = [table for table in ROWS if table in there]
    for table in tables:
        names = [name for _, name, *_ in connection.execute(f"PRAGMA table_info({table})")]
        columns = ", ".join(names[: len(ROWS[table])])  # later ones have defaults
        marks = ", ".join("?" * len(ROWS[table]))
        connection.execute(f"INSERT INTO {table} ({columns}) VALUES ({marks})", ROWS[table])
    return tables


def select(path: Path, sql: str) -> list[Any]:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "accounts.db"


@pytest.fixture
def backups(tmp_path: Path) -> Path:
    return tmp_path / "backups"


# -- migrations ------------------------------------------------------------------------------------


def test_a_new_one_is_made_for_its_owner_alone_without_a_backup(path: Path, backups: Path) -> None:
    prepare(path, backups)
    with contextlib.closing(connect(path)) as connection:
        assert sorted(fill(connection)) == sorted(ROWS)
        assert [mode for (mode,) in connection.execute("PRAGMA journal_mode")] == ["wal"]
        for name in ("accounts.db", "accounts.db-wal", "accounts.db-shm"):
            assert path.with_name(name).stat().st_mode & 0o777 == 0o600
        assert problems_of(connection) == ()
    assert names_in(backups) == [], "there was nothing that one could go back to"


@pytest.mark.parametrize("version", range(1, len(STEPS) + 1))
def test_every_earlier_version_becomes_the_newest_with_its_rows(
    version: int, path: Path, backups: Path
) -> None:
    tables = of_version(path, version)
    before = {table: select(path, f"SELECT * FROM {table}") for table in tables}
    assert all(rows for rows in before.values())
    prepare(path, backups, lambda: 0.0)
    fresh = path.with_name("fresh.db")
    prepare(fresh, backups)
    form = "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY name"
    assert select(path, form) == select(fresh, form)
    for table, [row] in before.items():
        [now] = select(path, f"SELECT * FROM {table}")
        assert now[: len(row)] == row
        assert set(now[len(row) :]) <= {"", 0}, "what came since is as of nobody"
    expected = [f"accounts-before-{step}-19700101T000000Z.db" for step in STEPS[version:]]
    assert names_in(backups) == expected


def test_sums_by_payer_are_made_of_those_that_there_are(path: Path, backups: Path) -> None:
    of_version(path, 2)
    with contextlib.closing(connect(path)) as connection:
        for model, processor in (("m", "q"), ("n", "p")):
            row = ("u1", 3600, 0, "k1", model, processor, 1, 1, 30, 10, 40)
            connection.execute(f"INSERT INTO sums VALUES ({', '.join('?' * 11)})", row)
    prepare(path, backups)
    assert select(path, "SELECT * FROM payers") == [(3600, 0, "u1", "k1", 3, 2, 63, 21, 84)]


def test_a_backup_before_each_step_is_as_it_was_before_it(path: Path, backups: Path) -> None:
    first = steps("CREATE TABLE t (a)")
    prepare(path, backups, steps=first)
    with contextlib.closing(connect(path)) as connection:
        connection.execute("INSERT INTO t VALUES (1)")
    three = steps("CREATE TABLE t (a)", "UPDATE t SET a = 2", "UPDATE t SET a = 3")
    prepare(path, backups, lambda: 86_400.0, three)
    assert select(path, "SELECT a FROM t") == [(3,)]
    names = [f"accounts-before-{n:04}-step-19700102T000000Z.db" for n in (2, 3)]
    assert names_in(backups) == names
    assert [select(backups / name, "SELECT a FROM t") for name in names] == [[(1,)], [(2,)]]
    for name in names:
        assert (backups / name).stat().st_mode & 0o777 == 0o600
        with contextlib.closing(sqlite3.connect(backups / name)) as copy:
            assert [m for (m,) in copy.execute("PRAGMA journal_mode")] == ["delete"], "one file"
    assert backups.stat().st_mode & 0o777 == 0o700
    prepare(path, backups, steps=three)
    assert names_in(backups) == names, "nothing was to do"


def test_only_the_newest_backups_are_kept(path: Path, backups: Path) -> None:
    prepare(path, backups, steps=steps("CREATE TABLE t (a)"))
    backups.mkdir()
    for number in range(15):
        old = backups / f"accounts-before-old-{number:02}.db"
        old.touch()
        os.utime(old, (number, number))
    (backups / "a persons own.db").touch()
    prepare(path, backups, steps=steps("CREATE TABLE t (a)", "SELECT 1"))
    kept = names_in(backups)
    assert "a persons own.db" in kept
    assert len(kept) == 1 + database.KEPT_BACKUPS
    assert "accounts-before-old-05.db" not in kept
    assert "accounts-before-old-06.db" in kept


@pytest.mark.parametrize("fault", [sqlite3.OperationalError("no such column"), KeyError("bug")])
def test_a_step_that_fails_leaves_the_old_version_whole(
    fault: Exception, path: Path, backups: Path
) -> None:
    def breaks(db: Database) -> None:
        db.execute("CREATE TABLE half (a)")
        db.execute("UPDATE t SET a = 9")
        raise fault

    old = steps("CREATE TABLE t (a)", "INSERT INTO t VALUES (1)")
    prepare(path, backups, steps=old)
    whole = select(path, "SELECT sql FROM sqlite_schema")
    broken = steps("CREATE TABLE t (a)", "INSERT INTO t VALUES (1)", breaks)
    kind = ConfigError if isinstance(fault, sqlite3.Error) else KeyError
    with pytest.raises(kind):
        prepare(path, backups, steps=broken)
    assert select(path, "SELECT sql FROM sqlite_schema") == whole
    assert select(path, "SELECT a FROM t") == [(1,)]
    assert len(names_in(backups)) == 1
    mended = steps("CREATE TABLE t (a)", "INSERT INTO t VALUES (1)", "UPDATE t SET a = 2")
    prepare(path, backups, steps=mended)
    assert select(path, "SELECT a FROM t") == [(2,)]


def test_without_its_backup_a_step_is_not_done(path: Path, backups: Path) -> None:
    prepare(path, backups, steps=steps("CREATE TABLE t (a)"))
    backups.write_text("a file stands in its place")
    with refused(ConfigError, "accounts.db cannot be used .*: see to the file and its folder"):
        prepare(path, backups, steps=steps("CREATE TABLE t (a)", "INSERT INTO t VALUES (1)"))
    assert select(path, "SELECT * FROM t") == []


def test_a_crash_before_the_first_step_is_no_other_programs_file(path: Path, backups: Path) -> None:
    path.touch(0o600)
    with contextlib.closing(connect(path)) as connection:
        migrations.ensure_migrations_table(Database(connection))
    prepare(path, backups)
    assert select(path, "SELECT value FROM marks") == [(0,)]


# -- what it cannot be -----------------------------------------------------------------------------


def test_a_newer_one_is_refused_and_left_alone(path: Path, backups: Path) -> None:
    prepare(path, backups)
    with contextlib.closing(connect(path)) as connection:
        connection.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) "
            "VALUES ('aiplat.accounts', '0099-later', '')"
        )
    before = select(path, "SELECT * FROM _sqlite_migrations")
    with refused(ConfigError, r"accounts.db was written by a newer aiplat \(it has '0099-later'\)"):
        prepare(path, backups)
    assert select(path, "SELECT * FROM _sqlite_migrations") == before


def test_another_programs_database_is_refused_and_left_alone(path: Path, backups: Path) -> None:
    path.touch(0o600)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE bookmarks (url)")
    with refused(ConfigError, "accounts.db is a database, but none of a gateway's accounts"):
        prepare(path, backups)
    assert select(path, "SELECT name FROM sqlite_schema") == [("bookmarks",)]


def test_what_is_no_database_is_damaged(path: Path, backups: Path) -> None:
    path.touch(0o600)
    path.write_bytes(b"something else entirely " * 400)
    words = "accounts.db cannot be used .file is not a database.: it is damaged. Put a backup in"
    with refused(ConfigError, words) as caught:
        prepare(path, backups)
    assert str(backups) in str(caught.value)
    assert path.read_bytes().startswith(b"something else")


def test_a_torn_one_is_damaged(path: Path, backups: Path) -> None:
    prepare(path, backups)
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
    with refused(ConfigError, "it is damaged. Put a backup in its place"):
        prepare(path, backups)


def test_one_that_others_may_read_says_how_to_mend_it(path: Path, backups: Path) -> None:
    prepare(path, backups)
    path.chmod(0o640)
    with refused(
        ConfigError, r"may be read by others \(mode 0640\): run `chmod 600 .*accounts.db`"
    ):
        prepare(path, backups)
    path.chmod(0o600)
    prepare(path, backups)


def test_one_that_another_program_holds(
    path: Path, backups: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.05)
    prepare(path, backups, steps=steps("CREATE TABLE t (a)"))
    more = steps("CREATE TABLE t (a)", "INSERT INTO t VALUES (1)")
    with contextlib.closing(holding(path)):
        began = time.monotonic()
        with refused(ConfigError, "database is locked.: another program holds it: close that"):
            prepare(path, backups, steps=more)
        assert time.monotonic() - began < 10
    prepare(path, backups, steps=more)
    assert select(path, "SELECT * FROM t") == [(1,)]


def test_a_folder_in_its_place(path: Path, backups: Path) -> None:
    path.mkdir()
    with refused(ConfigError, "see to the file and its folder"):
        prepare(path, backups)


def died_with_a_wal(path: Path, backups: Path, row: str) -> None:
    """What is left of a gateway that was killed: the last row is in its WAL alone."""
    living = path.with_name("living.db")
    prepare(living, backups)
    with contextlib.closing(connect(living)) as connection:
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("INSERT INTO marks VALUES (?, 1)", (row,))
        for suffix in ("", "-wal"):
            path.with_name(path.name + suffix).write_bytes(Path(f"{living}{suffix}").read_bytes())
    path.chmod(0o600)
    assert row.encode() not in path.read_bytes()


def test_what_a_killed_gateway_left_in_its_wal_is_there_again(path: Path, backups: Path) -> None:
    died_with_a_wal(path, backups, "lastwords")
    prepare(path, backups)
    assert ("lastwords",) in select(path, "SELECT name FROM marks")


def test_a_backup_put_in_its_place_is_not_mixed_with_what_was_there(
    path: Path, backups: Path
) -> None:
    died_with_a_wal(path, backups, "lastwords")
    good, copy = path.with_name("good.db"), path.with_name("copy.db")
    prepare(good, backups)
    with contextlib.closing(connect(good)) as connection:
        connection.execute("INSERT INTO marks VALUES ('of the backup', 1)")
    copy_to(good, copy)
    copy.replace(path)
    prepare(path, backups)
    assert select(path, "SELECT name FROM marks ORDER BY 1") == [("folded",), ("of the backup",)]
    assert b"lastwords" in path.with_name("accounts.db-wal.old").read_bytes(), "kept, for a look"


# -- copies ----------------------------------------------------------------------------------------


def test_a_copy_is_of_one_moment_and_ends_while_others_write(
    path: Path, backups: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite's backup begins anew at each write of another connection's, unless it looks at one
    moment: under load it would never end."""
    monkeypatch.setattr(database, "_STEP_PAGES", 5)
    prepare(path, backups)
    writes = 0

    class Watched(sqlite3.Connection):
        """Somebody writes whenever a few pages were copied."""

        def backup(self, target: sqlite3.Connection, *, pages: int = -1, **how: Any) -> None:
            def between(*_: int) -> None:
                nonlocal writes
                writes += 1
                assert writes < 1000, "it begins anew with each write"
                writer.execute("INSERT INTO marks VALUES (?, ?)", (f"w{writes}", writes))

            super().backup(target, pages=pages, progress=between, **how)

    with contextlib.closing(connect(path)) as writer:
        writer.executemany("INSERT INTO marks VALUES (?, 0)", [(f"{n:0400}",) for n in range(500)])
        monkeypatch.setattr(
            database, "connect", lambda path, read_only: sqlite3.connect(path, factory=Watched)
        )
        target = path.with_name("copy.db")
        assert copy_to(path, target) == target.stat().st_size
    assert writes >= 3
    assert select(target, "SELECT count(*) FROM marks") == [(501,)]
    assert select(path, "SELECT count(*) FROM marks") == [(501 + writes,)]


def test_a_copy_takes_no_others_place_and_leaves_no_half_one(path: Path, backups: Path) -> None:
    prepare(path, backups)
    target = path.with_name("copy.db")
    target.write_text("mine")
    with pytest.raises(FileExistsError):
        copy_to(path, target)
    assert target.read_text() == "mine"
    with pytest.raises(sqlite3.Error):
        copy_to(path.with_name("none.db"), path.with_name("other.db"))
    assert names_in(path.parent) == ["accounts.db", "copy.db"]
    assert not path.with_name("none.db").exists(), "who only reads makes none"


def test_a_transaction_is_whole_or_not_at_all(path: Path, backups: Path) -> None:
    prepare(path, backups, steps=steps("CREATE TABLE t (a)"))
    with contextlib.closing(connect(path)) as connection:
        with pytest.raises(sqlite3.Error, match="nowhere"), transaction(connection):
            connection.execute("INSERT INTO t VALUES (1)").execute("SELECT * FROM nowhere")
        assert not connection.in_transaction
        with transaction(connection):
            connection.execute("INSERT INTO t VALUES (2)")
    assert select(path, "SELECT a FROM t") == [(2,)]


def test_who_reads_does_not_write(path: Path, backups: Path) -> None:
    prepare(path, backups, steps=steps("CREATE TABLE t (a)"))
    connection = connect(path, read_only=True)
    with contextlib.closing(connection), pytest.raises(sqlite3.Error, match="readonly"):
        connection.execute("INSERT INTO t VALUES (1)")


def test_a_name_that_an_address_would_read_otherwise(tmp_path: Path) -> None:
    path = tmp_path / "a?mode=memory&x=%41#b.db"
    prepare(path, tmp_path / "backups")
    assert path.stat().st_size > 0
