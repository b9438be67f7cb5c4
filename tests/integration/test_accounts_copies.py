"""Copies of a gateway's accounts: taken while it serves, opened by another, put in its place."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from aiplat.accounts import database
from aiplat.control.accounts import UsageAsk, UsageReply
from aiplat.domain.errors import ConfigError
from tests.support.accounts_home import AccountsHome, Row, control
from tests.support.accounts_load import Crowd, plans
from tests.support.accounts_troubles import GARBAGE
from tests.support.accounts_world import GATEWAY, World
from tests.support.nodes import Door, RunningNode, aiplat

RATE = 60.0
COUNT = 160


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with World(tmp_path_factory.mktemp("copies"), ("ann",), ("p",), {}, rate=RATE) as world:
        yield world


def opened(home: AccountsHome, copy: Path, folder: Path) -> AccountsHome:
    """A home of the same gateway, as its owner sets it up again from a copy."""
    other = AccountsHome(folder)
    shutil.copyfile(home.places.identity, other.places.identity)
    other.places.identity.chmod(0o600)
    shutil.copyfile(copy, other.places.accounts)
    other.places.accounts.chmod(0o600)
    return other


@pytest.mark.slow
def test_a_backup_has_all_that_was_counted_before_it_was_asked_for(
    world: World, tmp_path: Path
) -> None:
    home, copy = world.home, tmp_path / "copy.db"
    todo = plans(COUNT, [(GATEWAY, home.key("ann")), (GATEWAY, "")], seed=7, rate=RATE)
    with Crowd(todo, 12, world.door, world.token) as crowd:
        crowd.wait(COUNT // 3, 60)
        asked = time.monotonic()
        done = aiplat(home.path, "db", "backup", str(copy))
        assert done.returncode == 0, done.stderr
        assert crowd.done < COUNT, "nobody asked any more"
        crowd.wait(COUNT, 60)
    assert copy.stat().st_mode & 0o777 == 0o600
    other = opened(home, copy, tmp_path / "other")
    check = aiplat(other.path, "db", "check", "--json")
    assert check.returncode == 0, check.stdout + check.stderr
    assert json.loads(check.stdout)["problems"] == []
    events, running = other.by_request(), other.running()
    whole, partly = 0, 0
    for told in crowd.told:
        if told.end == "done" and told.ended < asked:
            assert events[told.request].completion == told.tokens
            whole += 1
        elif told.began < asked and (had := told.tokens_before(asked)):
            counted = running.get(told.request, 0)
            counted = max(counted, events[told.request].completion if not counted else 0)
            assert counted >= had, told
            partly += 1
    assert whole > 10
    assert partly > 0
    _serve_from(other, home, events | {name: _cut_off(name) for name in running})


def _cut_off(request: str) -> Row:
    return Row(request, "", "", "", "", 0, 0, "")


def _serve_from(other: AccountsHome, home: AccountsHome, expected: dict[str, Row]) -> None:
    """A gateway that opens the copy knows the keys and the usage."""
    node = RunningNode(other.path, "--role", "gateway")
    try:
        assert node.peer_id == home.peer_id
        with Door(node, home.key("ann")) as door:
            status, _, body = door.request("GET", "/v1/models")
        assert status == 200, body
        assert other.by_request().keys() == expected.keys()
        other.check_sums()
        total = control(node).accounts("usage", UsageAsk(everyone=True), UsageReply).total
        assert total.requests == len(expected)
    finally:
        node.close()


@pytest.mark.slow
def test_a_backup_that_is_put_in_the_place_of_a_killed_gateways_file_is_what_holds(
    world: World, tmp_path: Path
) -> None:
    """Beside it lies the WAL of what was there before: SQLite would read the two as one."""
    home, copy = world.home, tmp_path / "copy.db"
    assert aiplat(home.path, "db", "backup", str(copy)).returncode == 0
    wal = home.places.accounts.with_name("accounts.db-wal")
    todo = plans(60, [(GATEWAY, home.key("ann"))], seed=8, rate=RATE, longest=0.5)
    kept = home.by_request()
    with Crowd(todo, 12, world.door, world.token) as crowd:
        crowd.wait(len(todo), 60)
    world.kill(GATEWAY)
    assert wal.stat().st_size > 0
    shutil.copyfile(copy, home.places.accounts)
    check = aiplat(home.path, "db", "check")
    assert check.returncode == 0, check.stdout + check.stderr
    world.start(GATEWAY)
    assert home.by_request() == kept
    assert wal.with_name("accounts.db-wal.old").stat().st_size > 0, "who needs it has it"


@pytest.mark.parametrize("with_wal", [False, True])
def test_a_file_that_is_no_database_is_refused_with_the_mend(
    tmp_path: Path, with_wal: bool
) -> None:
    """Also where the WAL has all of it: SQLite would not see that the file itself is lost."""
    path, backups = tmp_path / "accounts.db", tmp_path / "backups"
    wal = tmp_path / "accounts.db-wal"
    database.prepare(path, backups)
    holder = database.connect(path)
    holder.execute("VACUUM")  # all pages are in the WAL
    kept = wal.read_bytes()
    holder.close()
    path.write_bytes(GARBAGE)
    if with_wal:
        wal.write_bytes(kept)
    with pytest.raises(ConfigError, match=r"it is damaged\. Put a backup in its place"):
        database.prepare(path, backups)


def test_a_file_that_was_moved_away_leaves_its_wal_to_nobody(tmp_path: Path) -> None:
    path, backups = tmp_path / "accounts.db", tmp_path / "backups"
    database.prepare(path, backups)
    away = tmp_path / "away.db"
    holder = database.connect(path)
    holder.execute("INSERT INTO marks VALUES ('kept', 1)")
    path.rename(away)
    holder.close()  # SQLite sees that its file is elsewhere, and leaves the WAL
    wal = tmp_path / "accounts.db-wal"
    assert wal.stat().st_size > 0
    database.prepare(path, backups)
    database.connect(path).close()
    (tmp_path / "accounts.db-wal.old").rename(tmp_path / "away.db-wal")
    again = database.connect(away)
    assert again.execute("SELECT value FROM marks WHERE name = 'kept'").fetchall() == [(1,)]
    again.close()
