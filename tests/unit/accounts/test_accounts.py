"""The accounts of one gateway from their opening to their end, on a disk that is good or bad."""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path
from typing import Any

import pytest
import trio

from aiplat.accounts import accounts as life
from aiplat.accounts import database, writer
from aiplat.control.accounts import METHODS, KeyName, KeyRotate, UsageAsk, WhoAmI
from aiplat.domain.accounts import Limits
from aiplat.domain.errors import (
    AiplatError,
    ConfigError,
    InvalidApiKey,
    InvalidRequest,
    NotReady,
    PermissionDenied,
    UserDisabled,
)
from aiplat.http.errors import problem_of
from tests.unit.accounts.helpers import (
    DAY,
    PEER,
    Clock,
    Home,
    finishes,
    holding,
    refused,
    says,
    until,
)
from tests.unit.accounts.test_admission import changed

FAILURES = "aiplat_accounts_store_failures_total"


@pytest.fixture
def in_haste(monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is not waited for as long as for a person."""
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.02)
    monkeypatch.setattr(writer, "RETRY_SECONDS", 0.02)


# -- opening ---------------------------------------------------------------------------------------


async def test_the_owners_account_is_made_once(tmp_path: Path) -> None:
    home = Home(tmp_path)
    owner = home.directory.owner
    assert (owner.name, owner.role, owner.password) == ("operator", "operator", None)
    assert owner.limits == Limits()
    home.opened()
    assert home.directory.owner.id == owner.id
    assert home.rows("SELECT name, role FROM users") == [("operator", "operator")]


async def test_everyone_is_there_again_as_they_were(tmp_path: Path) -> None:
    home = Home(tmp_path, registration="open")
    async with home.running():
        ann = await home.register("ann")
        old = await home.key(
            "k", ann.token, models=("a", "b"), scopes=("usage", "inference"), expires_seconds=DAY,
            limits=Limits(concurrent=2, tokens_per_month=5000),
        )  # fmt: skip
        await home.ask("keys.rotate", KeyRotate(key="k"), ann.token)
        await home.key("gone", ann.token)
        await home.ask("keys.revoke", KeyName(key="gone"), ann.token)
        finishes(home.admit(old.key, model="a"))
        await home.written()
        before = home.directory
        home.opened()
    assert home.directory is not before
    for mine, its in (
        (home.directory.users, before.users), (home.directory.keys, before.keys),
        (home.directory.sessions, before.sessions),
    ):  # fmt: skip
        assert {name: shown(one) for name, one in mine.items()} == {
            name: shown(one) for name, one in its.items()
        }
    assert home.directory.named("ann") is home.directory.users[ann.user.id]


def shown(one: Any) -> str:
    """All of its fields; of others that it refers to the ids."""
    fields = {name: getattr(one, name) for name in one.__slots__}
    if "user" in fields:
        fields["user"] = fields["user"].id
    plain = {k: sorted(v) if isinstance(v, dict) else v for k, v in fields.items()}
    return str(plain)


async def test_a_database_that_cannot_be_used_is_told(tmp_path: Path, in_haste: None) -> None:
    home = Home(tmp_path)
    locked = refused(ConfigError, "accounts.db cannot be used .database is locked.: another")
    with contextlib.closing(holding(home.path)), locked:
        home.opened()
    home.does("DROP TABLE users")
    with refused(ConfigError, "accounts.db cannot be used .no such table: users."):
        home.opened()


# -- a disk that takes nothing ---------------------------------------------------------------------


async def test_what_cannot_be_counted_is_not_let_in_and_nothing_of_before_is_lost(
    tmp_path: Path, in_haste: None
) -> None:
    home = Home(tmp_path, flush_seconds=0.02)
    async with home.running():
        running = home.admit(request="req-before")
        progress = says(running, 3)
        await home.written()
        with contextlib.closing(holding(home.path)):
            progress.tokens = 4
            await until(lambda: home.accounts._problem(), "the disk is seen not to take it")
            with refused(NotReady, "lets nothing in that it cannot count: .*its log") as caught:
                home.admit()
            assert str(tmp_path) not in str(caught.value), "an asker learns no path"
            assert (problem_of(caught.value).status, caught.value.retry_after) == (503, 5)
            assert home.count(FAILURES) >= 1
            progress.tokens = 9
            finishes(running, 9)  # what was let in goes on, and is counted
            with refused(NotReady, "locked"):
                await home.key()
            assert home.directory.keys == {}, "what is not written is not so"
            await until(lambda: home.count("aiplat_accounts_unwritten_events") == 1, "it is told")
            assert (await home.usage()).total.requests == 0, "who only looks is not held up"
        await until(lambda: not home.accounts._problem(), "it takes it")
        home.admit(request="req-after")
        await home.written()
        assert home.rows("SELECT request, completion FROM events") == [("req-before", 9)]
        assert home.rows("SELECT request FROM running") == [("req-after",)]
        assert home.count("aiplat_accounts_unwritten_events") == 0


async def test_what_is_asked_of_a_file_that_is_broken(tmp_path: Path, in_haste: None) -> None:
    home = Home(tmp_path, registration="open")
    async with home.running():
        ann = (await home.register("ann")).token
        whole = spoiled(home.path)
        with refused(NotReady, "cannot be used") as caught:
            await home.usage()
        assert problem_of(caught.value).status == 503
        assert str(home.path) in str(caught.value)
        with refused(NotReady, "cannot do that: the database of its accounts fails") as caught:
            await home.ask("usage", UsageAsk(), ann, PEER)
        assert str(tmp_path) not in str(caught.value), "that is the operator's alone"
        home.path.write_bytes(whole)  # a test's file
        assert (await home.usage()).total.requests == 0


def spoiled(path: Path) -> bytes:
    whole = path.read_bytes()
    path.write_bytes(b"garbage " * 1000)
    return whole


async def test_at_the_end_what_was_counted_is_written(tmp_path: Path) -> None:
    home = Home(tmp_path, flush_seconds=5)
    async with home.running():
        finishes(home.admit(request="req-a"), 5)
        says(home.admit(request="req-b"), 2)
    assert home.rows("SELECT request FROM events") == [("req-a",)]
    assert home.rows("SELECT request, completion FROM running") == [("req-b", 2)]


async def test_an_end_on_a_bad_disk_says_what_is_lost(
    tmp_path: Path, in_haste: None, caplog: pytest.LogCaptureFixture
) -> None:
    home = Home(tmp_path, flush_seconds=5)
    with contextlib.closing(holding(home.path)):
        async with home.running():
            for _ in range(3):
                finishes(home.admit())
    [line] = [r.message for r in caplog.records if "were not written" in r.message]
    assert line.startswith("3 events were not written: The accounts' database")


async def test_it_writes_by_itself(tmp_path: Path) -> None:
    home = Home(tmp_path, flush_seconds=0.02)
    async with home.running():
        finishes(home.admit())
        await until(lambda: home.rows("SELECT * FROM events"), "it is on the disk")


async def test_it_keeps_its_sums_and_removes_what_is_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(life, "TEND_SECONDS", 0.02)
    monkeypatch.setattr("aiplat.accounts.usage.PRUNE_AT_ONCE", 2)
    home = Home(tmp_path, events_days=1, audit_days=1)
    async with home.running():
        await home.key()
        for _ in range(5):
            finishes(home.admit())
        home.clock.passes(2 * DAY)
        finishes(home.admit(request="req-new"))
        await home.written()
        await until(lambda: home.rows("SELECT count(*) FROM events") == [(1,)], "the old ones go")
        assert home.rows("SELECT sum(requests) FROM totals WHERE size = 86400") == [(6,)]
        assert home.rows("SELECT request FROM events") == [("req-new",)]
        await until(lambda: home.rows("SELECT * FROM audit") == [], "so does the log")


async def test_a_disk_that_takes_nothing_does_not_end_that(
    tmp_path: Path,
    in_haste: None,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(life, "TEND_SECONDS", 0.02)
    caplog.set_level(logging.DEBUG, "aiplat.accounts")
    home = Home(tmp_path)

    def told() -> list[logging.LogRecord]:
        return [r for r in caplog.records if "not brought up to date" in r.message]

    async with home.running():
        finishes(home.admit())
        await home.written()
        with contextlib.closing(holding(home.path)):
            home.accounts.meter.used("")
            await until(lambda: len(told()) >= 3, "it tries again and again")
        assert [record.levelname for record in told()][:3] == ["WARNING", "DEBUG", "DEBUG"]
        await until(lambda: home.rows("SELECT * FROM sums"), "it does it later")


# -- keys that end while their requests run --------------------------------------------------------


class Watched(Clock):
    """Counts how often somebody looks at it."""

    looks = 0

    def wall(self) -> float:
        self.looks += 1
        return super().wall()


@pytest.mark.parametrize("how", ["expires", "its overlap is over"])
async def test_a_key_that_ends_by_time_ends_its_requests(
    tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(life, "EXPIRY_SECONDS", 0.01)
    clock = Watched()
    home = Home(tmp_path, clock)
    ended: list[tuple[str, AiplatError]] = []

    def ends(which: Any, error: AiplatError) -> None:
        for lease in home.accounts.meter.live():
            if which(lease):
                ended.append((lease.request, error))
                finishes(lease, reason="cancelled")

    home.accounts.when_gone(ends)
    async with home.running():
        made = await home.key(expires_seconds=100 if how == "expires" else None)
        other = await home.key("other", expires_seconds=3600)
        home.admit(made.key, request="req-a")
        home.admit(other.key, request="req-b")
        home.admit(request="req-c")
        if how != "expires":
            await home.ask("keys.rotate", KeyRotate(key="laptop", overlap_seconds=100))
        home.clock.passes(99)
        seen = clock.looks
        await until(lambda: clock.looks > seen + 2, "it is looked at")
        assert ended == []
        home.clock.passes(1)
        await until(lambda: ended, "it ends")
        [(request, error)] = ended
        assert request == "req-a"
        assert isinstance(error, InvalidApiKey)
        assert ("has expired" if how == "expires" else "its overlap is over") in str(error)


# -- what is asked ---------------------------------------------------------------------------------


async def test_every_method_is_answered(tmp_path: Path) -> None:
    home = Home(tmp_path)
    known = {m.name for m in METHODS.values() if m.need != "nobody"}
    assert set(home.accounts._answers()) == known
    for name in ("", "nothing", "users.list; DROP TABLE users", "\x1b[2J" * 1000):
        with refused(InvalidRequest, "There is nothing to ask of accounts named") as caught:
            await home.ask(name)
        assert str(caught.value).isprintable()


async def test_a_key_at_the_http_door(tmp_path: Path) -> None:
    home = Home(tmp_path, registration="open")
    async with home.running():
        ann = await home.register("ann")
        hers = await home.key("k", ann.token, scopes=("inference", "admin"))
        usage = await home.key("usage", scopes=("usage",))
        owners = await home.key("admin", scopes=("admin",))
        some = await home.key("some", ann.token, models=("tiny",))
        assert home.accounts.check_key(hers.key, "inference") == ()
        assert home.accounts.check_key(some.key, "inference") == ("tiny",)
        home.accounts.check_key(owners.key, "admin")
        with refused(PermissionDenied, "Only an operator may do that, and the key's user 'ann'"):
            home.accounts.check_key(hers.key, "admin")
        with refused(PermissionDenied, "has the scope usage, but admin is needed"):
            home.accounts.check_key(usage.key, "admin")
        with refused(InvalidApiKey, "knows no such"):
            home.accounts.check_key(changed(hers.key), "inference")
        home.user("ann").disabled = True
        with refused(UserDisabled, "'ann' is disabled"):
            home.accounts.check_key(hers.key, "inference")


async def test_whoami_tells_how_far_limits_are_used(tmp_path: Path) -> None:
    home = Home(tmp_path, registration="open", requests_per_minute=10)
    async with home.running():
        ann = await home.register("ann")
        made = await home.key("k", ann.token, limits=Limits(requests_per_minute=5))
        home.admit(made.key)
        by_key: WhoAmI = await home.ask("whoami", None, made.key, PEER)
        assert (by_key.rate.requests_limit, by_key.rate.requests_remaining) == (5, 4)
        assert by_key.key is not None
        assert (by_key.key.name, by_key.user.name, by_key.user.keys) == ("k", "ann", 1)
        by_session: WhoAmI = await home.ask("whoami", None, ann.token, PEER)
        assert (by_session.rate.requests_limit, by_session.rate.requests_remaining) == (10, 9)
        assert by_session.key is None


async def test_many_may_look_at_once_and_hold_up_nobody(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with home.running():
        finishes(home.admit())
        await home.written()
        totals: list[int] = []

        async def looks() -> None:
            totals.append((await home.ask("usage", UsageAsk())).total.requests)

        async with trio.open_nursery() as nursery:
            for _ in range(50):
                nursery.start_soon(looks)
            for _ in range(20):
                finishes(home.admit())
        assert len(totals) == 50
        assert set(totals) <= set(range(1, 22))
