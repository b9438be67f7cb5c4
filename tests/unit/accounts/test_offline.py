"""A copy and a check of the database, also of a gateway that does not run."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from aiplat.accounts import database
from aiplat.accounts.offline import backup, check
from aiplat.control.accounts import BackupWish
from aiplat.domain.errors import InvalidRequest, NotReady, PermissionDenied
from tests.unit.accounts.helpers import GOOD, PEER, Home, finishes, refused


async def test_a_copy_has_what_was_counted_before_it_was_asked_for(tmp_path: Path) -> None:
    home = Home(tmp_path, flush_seconds=5)
    async with home.running():
        finishes(home.admit(request="req-1"), tokens=7)
        target = tmp_path / "copy" / "accounts.db"
        target.parent.mkdir()
        done = await home.ask("db.backup", BackupWish(path=str(target)))
        assert done.message.startswith(f"The accounts were copied to {target} (")
    copy = Home(target.parent)
    assert copy.rows("SELECT request, completion FROM events") == [("req-1", 7)]
    assert check(target).problems == ()


async def test_it_is_asked_for_at_the_gateways_own_machine_alone(tmp_path: Path) -> None:
    home = Home(tmp_path, registration="open")
    async with home.running():
        session = await home.register("ann")
        with refused(PermissionDenied, "Only an operator of the gateway may do that"):
            await home.ask("db.check", None, session.token)
        home.user("ann").role = "operator"
        wish = BackupWish(path=str(tmp_path / "copy.db"))
        with refused(PermissionDenied, "is done on the gateway's own machine only"):
            await home.ask("db.backup", wish, session.token, PEER)
        assert not (tmp_path / "copy.db").exists()
        await home.ask("db.backup", wish, session.token)
        assert (tmp_path / "copy.db").exists()


def test_where_it_may_not_go(tmp_path: Path) -> None:
    home = Home(tmp_path)
    (tmp_path / "there").write_text("mine")
    with refused(InvalidRequest, "must be absolute, but is 'copy.db'"):
        backup(home.path, Path("copy.db"))
    with refused(InvalidRequest, "there is there already: choose another name"):
        backup(home.path, tmp_path / "there")
    with refused(NotReady, "could not be copied to .*nowhere"):
        backup(home.path, tmp_path / "nowhere" / "copy.db")
    with refused(NotReady, "null byte"):
        backup(home.path, tmp_path / "a\0b")
    assert (tmp_path / "there").read_text() == "mine"
    assert not list(tmp_path.glob(".*"))


def test_one_that_cannot_be_looked_at_now_is_not_called_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(tmp_path)
    assert check(home.path).problems == ()

    def full(path: Path, **_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(database, "connect", full)
    with refused(NotReady, "cannot be used .database or disk is full.: make room on its disk"):
        check(home.path)


async def test_a_check_counts_and_finds_faults(tmp_path: Path) -> None:
    home = Home(tmp_path, registration="open")
    async with home.running():
        await home.register("ann", GOOD)
        made = await home.key()
        finishes(home.admit(made.key))
        await home.written()
        found = await home.ask("db.check")
    assert (found.users, found.keys, found.events, found.problems) == (2, 1, 1, ())
    assert found.bytes == home.path.stat().st_size
    whole = home.path.read_bytes()
    home.path.write_bytes(whole[:8192] + b"\xff" * 4096 + whole[12288:])
    assert check(home.path).problems, "a page is torn"
    home.path.write_bytes(b"no database " * 100)
    assert check(home.path).problems == ("file is not a database",)
    home.path.unlink()
    with refused(NotReady, "unable to open database file"):
        check(home.path)
    assert not home.path.exists()
