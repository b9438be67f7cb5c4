"""What operators do with accounts, and what of that is written down."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio

from aiplat.accounts import people
from aiplat.control.accounts import (
    METHODS,
    AuditAsk,
    BackupWish,
    KeyName,
    KeyRotate,
    KeysAsk,
    KeyWish,
    LimitsWish,
    Login,
    Register,
    RoleWish,
    UsageAsk,
    UserInvite,
    UserName,
)
from aiplat.domain.accounts import Limits
from aiplat.domain.errors import (
    AiplatError,
    InvalidApiKey,
    InvalidRequest,
    PermissionDenied,
    UserDisabled,
)
from tests.unit.accounts.helpers import (
    GOOD,
    PEER,
    Home,
    busy,
    finishes,
    refused,
    says,
)


class Ended:
    """What the accounts want ended, of the requests under way."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.errors: list[tuple[str, AiplatError]] = []
        home.accounts.when_gone(self.ends)

    def ends(self, which: Any, error: AiplatError) -> None:
        for lease in self.home.accounts.meter.live():
            if which(lease):
                self.errors.append((lease.request, error))


async def audit(home: Home, **wish: Any) -> list[tuple[str, str, str, str]]:
    """The log: who did what to whom, from where; the oldest first."""
    told = await home.ask("users.audit", AuditAsk(**wish))
    return [(e.actor, e.action, e.target, e.peer) for e in reversed(told.entries)]


# -- who may ---------------------------------------------------------------------------------------


WISHES: dict[str, Any] = {
    "users.invite": UserInvite(), "users.disable": UserName(name="bob"),
    "users.enable": UserName(name="bob"), "users.limits": LimitsWish(name="bob"),
    "users.role": RoleWish(name="ann", role="operator"), "users.delete": UserName(name="bob"),
    "users.audit": AuditAsk(),
}  # fmt: skip


@pytest.mark.parametrize("method", [m.name for m in METHODS.values() if m.need == "operator"])
async def test_operators_alone_may(tmp_path: Path, method: str) -> None:
    home = Home(tmp_path, registration="open")
    async with home.running():
        ann, _ = await home.register("ann"), await home.register("bob")
        admin = await home.key("admin", ann.token, scopes=("inference", "usage", "admin"))
        before = home.rows("SELECT * FROM users ORDER BY id")
        for credential in (ann.token, admin.key):
            with refused(PermissionDenied, rf"Only an operator .* may do that \({method}\)"):
                await home.ask(method, WISHES.get(method), credential, PEER)
        with refused(InvalidApiKey, "must know who asks"):
            await home.ask(method, WISHES.get(method), "", PEER)
        assert home.rows("SELECT * FROM users ORDER BY id") == before


async def test_an_operators_key_may_by_its_scope_alone(tmp_path: Path) -> None:
    home = Home(tmp_path, registration="open")
    async with home.running():
        ann = await home.register("ann")
        bob = await home.register("bob")
        his = await home.key("his", bob.token)
        finishes(home.admit(his.key))
        await home.written()
        await home.ask("users.role", RoleWish(name="ann", role="operator"))
        usage = await home.key("usage", ann.token, scopes=("usage",))
        admin = await home.key("admin", ann.token, scopes=("admin",))
        for wish in (UsageAsk(everyone=True), UsageAsk(user="bob")):
            with refused(PermissionDenied, "scope admin"):
                await home.ask("usage", wish, usage.key, PEER)
            assert (await home.ask("usage", wish, admin.key, PEER)).total.requests == 1
        assert (await home.ask("usage", UsageAsk(), usage.key, PEER)).total.requests == 0
        with refused(
            PermissionDenied, r"has the scopes usage, which do not allow that \(keys.list\)"
        ):
            await home.ask("keys.list", KeysAsk(everyone=True), usage.key, PEER)
        assert len((await home.ask("keys.list", KeysAsk(everyone=True), admin.key, PEER)).keys) == 3
        with refused(PermissionDenied, "do not allow that"):
            await home.ask("users.list", None, usage.key, PEER)
        assert len((await home.ask("users.list", None, admin.key, PEER)).users) == 3


async def test_an_operator_is_made_by_an_operator(tmp_path: Path) -> None:
    home = Home(tmp_path, registration="open")
    async with home.running():
        ann, bob = await home.register("ann"), await home.register("bob")
        await home.ask("users.role", RoleWish(name="ann", role="operator"))
        await home.ask("users.role", RoleWish(name="bob", role="operator"), ann.token, PEER)
        await home.ask("users.role", RoleWish(name="ann", role="user"), bob.token, PEER)
        with refused(PermissionDenied, "'ann' is none"):
            await home.ask("users.list", None, ann.token, PEER)
        home.opened()
        assert (home.user("ann").role, home.user("bob").role) == ("user", "operator")


@pytest.mark.parametrize("method", ["users.disable", "users.enable", "users.delete", "users.role"])
async def test_the_owner_of_the_machine_is_what_it_is(tmp_path: Path, method: str) -> None:
    home = Home(tmp_path)
    async with home.running():
        wish: Any = UserName(name=" OPERATOR ")
        if method == "users.role":
            wish = RoleWish(name="operator", role="user")
        with refused(InvalidRequest, "is of the owner of this machine"):
            await home.ask(method, wish)
        home.opened()
        assert home.directory.owner.is_operator


async def test_an_account_that_is_none(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with home.running():
        for name in ("nobody", "", "x' OR 1=1", "\x1b[2J", "y" * 10_000):
            with refused(
                InvalidRequest, "There is no account .* here. `aiplat users list`"
            ) as caught:
                await home.ask("users.disable", UserName(name=name))
            assert str(caught.value).isprintable()
            assert len(str(caught.value)) < 200


# -- disabling -------------------------------------------------------------------------------------


async def test_disabling_ends_all_that_an_account_has(tmp_path: Path) -> None:
    home = Home(tmp_path, registration="open")
    async with home.running():
        ended = Ended(home)
        ann, bob = await home.register("ann"), await home.register("bob")
        hers, his = await home.key("k", ann.token), await home.key("k", bob.token)
        for number, key in enumerate((hers, his, hers)):
            home.admit(key.key, request=f"req-{number}")
        await home.ask("users.disable", UserName(name="ann"))
        assert [request for request, _ in ended.errors] == ["req-0", "req-2"]
        assert {type(error) for _, error in ended.errors} == {UserDisabled}
        with refused(UserDisabled, "The account 'ann' is disabled by the gateway's operator"):
            home.admit(hers.key)
        with refused(UserDisabled, "'ann' is disabled"):
            await home.ask("whoami", None, hers.key, PEER)
        with refused(InvalidApiKey, "is over: log in again"):
            await home.ask("whoami", None, ann.token, PEER)
        with refused(UserDisabled, "'ann' is disabled"):
            await home.login("ann")
        home.opened()
        with refused(UserDisabled, "'ann' is disabled"):
            home.admit(hers.key)
        home.admit(his.key)


async def test_enabling_lets_its_keys_hold_again_but_no_old_session(tmp_path: Path) -> None:
    home = Home(tmp_path, registration="open")
    async with home.running():
        ann = await home.register("ann")
        hers = await home.key("k", ann.token)
        await home.ask("users.disable", UserName(name="ann"))
        await home.ask("users.disable", UserName(name="ann"))
        await home.ask("users.enable", UserName(name="ann"))
        home.admit(hers.key)
        with refused(InvalidApiKey, "is over"):
            await home.ask("whoami", None, ann.token, PEER)
        await home.login("ann")
        assert (await home.ask("users.list")).users[0].disabled is False


async def test_what_a_disabled_account_had_is_still_counted(tmp_path: Path) -> None:
    home = Home(tmp_path, registration="open")
    async with home.running():
        ann = await home.register("ann")
        hers = await home.key("k", ann.token)
        lease = home.admit(hers.key)
        says(lease, 4)
        home.accounts.when_gone(lambda which, error: finishes(lease, 4, reason="cancelled"))
        await home.ask("users.disable", UserName(name="ann"))
        await home.written()
        assert home.rows("SELECT user, completion FROM events") == [(ann.user.id, 4)]


# -- limits ----------------------------------------------------------------------------------------


async def test_limits_are_changed_one_by_one(tmp_path: Path) -> None:
    home = Home(tmp_path, registration="open")
    async with home.running():
        await home.register("ann")
        done = await home.ask(
            "users.limits", LimitsWish(name="ann", concurrent=3, tokens_per_minute=0)
        )
        now = Limits(requests_per_minute=6000, concurrent=3)
        assert home.user("ann").limits == now
        assert done.message == (
            "The account ann: requests per minute 6000, tokens per minute unlimited, concurrent 3, "
            "tokens per month unlimited."
        )
        await home.ask("users.limits", LimitsWish(name="ann"))
        assert home.user("ann").limits == now
        assert [row[1] for row in await audit(home)].count("user.limits") == 1
    home.opened()
    assert home.user("ann").limits == now


async def test_two_at_once_take_nothing_from_each_other(tmp_path: Path) -> None:
    home = Home(tmp_path, registration="open")
    async with home.running():
        await home.register("ann")
        async with trio.open_nursery() as nursery:
            for wish in ({"concurrent": 3}, {"tokens_per_month": 9}, {"requests_per_minute": 0}):
                nursery.start_soon(home.ask, "users.limits", LimitsWish(name="ann", **wish))
        expected = Limits(tokens_per_minute=2_000_000, concurrent=3, tokens_per_month=9)
        assert home.user("ann").limits == expected
        home.opened()
        assert home.user("ann").limits == expected


@pytest.mark.parametrize("value", [-1, 10**12 + 1, 2**63, -(2**70)])
async def test_limits_out_of_bounds_change_nothing(tmp_path: Path, value: int) -> None:
    home = Home(tmp_path)
    async with home.running():
        for name in ("requests_per_minute", "tokens_per_minute", "concurrent", "tokens_per_month"):
            wish = LimitsWish(name="operator", **{name: value})
            with refused(InvalidRequest, f"{name} must be from 1 to 1000000000000, .* is {value}"):
                await home.ask("users.limits", wish)
        assert home.directory.owner.limits == Limits()


# -- the list and the log --------------------------------------------------------------------------


async def test_the_list_has_who_uses_most_first_and_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(tmp_path, registration="open")
    async with home.running():
        for name, tokens in (("ann", 5), ("bob", 40), ("eve", 0)):
            session = await home.register(name)
            made = await home.key("k", session.token)
            await home.key("gone", session.token)
            await home.ask("keys.revoke", KeyName(key="gone"), session.token)
            finishes(home.admit(made.key), tokens)
        told = await home.ask("users.list")
        assert [(user.name, user.used_this_month, user.keys) for user in told.users] == [
            ("bob", 52, 1), ("ann", 17, 1), ("eve", 12, 1), ("operator", 0, 0),
        ]  # fmt: skip
        assert [user.local for user in told.users] == [False, False, False, True]
        assert told.more == 0
        monkeypatch.setattr(people, "MAX_LISTED", 2)
        told = await home.ask("users.list")
        assert ([user.name for user in told.users], told.more) == (["bob", "ann"], 2)


async def test_who_did_what_to_whom_and_from_where(tmp_path: Path) -> None:
    home = Home(tmp_path, registration="invite")
    async with home.running():
        invited = await home.ask("users.invite", UserInvite(uses=3))
        wish = Register(name="ann", password=GOOD, invitation=invited.code)
        session = await home.ask("register", wish, "", PEER)
        home.clock.passes(60)
        await home.ask("login", Login(name="ann", password=GOOD), "", "12D3KooWElsewhere")
        made = await home.ask("keys.create", KeyWish(name="laptop"), session.token, PEER)
        new = await home.ask("keys.rotate", KeyRotate(key="laptop"), session.token, PEER)
        await home.ask("keys.revoke", KeyName(key=made.id, user="ann"))
        await home.ask("users.limits", LimitsWish(name="ann", concurrent=2))
        await home.ask("users.role", RoleWish(name="ann", role="operator"))
        await home.ask("logout", None, session.token, PEER)
        await home.ask("users.disable", UserName(name="ann"))
        await home.ask("users.enable", UserName(name="ann"))
        code = invited.code.split("-")[2]
        one, two = f"{made.id} (ann: laptop)", f"{new.id} (ann: laptop)"
        assert await audit(home) == [
            ("operator", "user.invite", code, ""),
            ("ann", "user.register", "ann", PEER),
            ("ann", "session.begin", "ann", PEER),
            ("ann", "session.begin", "ann", "12D3KooWElsewhere"),
            ("ann", "key.create", one, PEER),
            ("ann", "key.rotate", two, PEER),
            ("operator", "key.revoke", one, ""),
            ("operator", "user.limits", "ann", ""),
            ("operator", "user.role", "ann", ""),
            ("ann", "session.end", "ann", PEER),
            ("operator", "user.disable", "ann", ""),
            ("operator", "user.enable", "ann", ""),
        ]
        assert await audit(home, name="ann") == (await audit(home))[1:], (
            "also what was done to keys"
        )
        assert len(await audit(home, most=2)) == 2
        entries = (await home.ask("users.audit", AuditAsk())).entries
        assert (entries[-1].at, entries[0].at) == (home.clock.at - 60, home.clock.at)
        details = {entry.action: entry.detail for entry in entries}
        assert details["user.limits"] == "concurrent 2"
        assert details["key.create"] == "laptop: inference"
        assert details["user.role"] == "operator"
        for whole in (invited.code, made.key, new.key, session.token, GOOD):
            assert whole.split("-")[-1] not in str(home.rows("SELECT * FROM audit"))


async def test_the_log_is_read_while_the_writer_is_at_something(tmp_path: Path) -> None:
    """It may be long, and usage must not wait for whoever reads in it."""
    home = Home(tmp_path)
    async with home.running():
        await home.ask("users.invite", UserInvite())
        async with trio.open_nursery() as nursery:
            goes_on = await busy(home, nursery)
            with trio.fail_after(20):
                assert [row[1] for row in await audit(home)] == ["user.invite"]
                assert [row[1] for row in await audit(home, name="operator")] == ["user.invite"]
            goes_on.set()


async def test_who_copied_everything_is_in_the_log(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with home.running():
        wish = BackupWish(path=str(tmp_path / "copy.db"))
        await home.ask("db.backup", wish)
        with refused(InvalidRequest, "is there already"):
            await home.ask("db.backup", wish)
        [entry] = (await home.ask("users.audit", AuditAsk())).entries
        assert (entry.actor, entry.action, entry.detail) == ("operator", "db.backup", wish.path)


@pytest.mark.parametrize("most", [0, -1, 1001, 10**30])
async def test_the_log_is_told_in_pieces(tmp_path: Path, most: int) -> None:
    home = Home(tmp_path)
    async with home.running():
        with refused(InvalidRequest, f"1 to 1000 entries are shown at once, not {most}"):
            await home.ask("users.audit", AuditAsk(most=most))
        with refused(InvalidRequest, "There is no account 'nobody'"):
            await home.ask("users.audit", AuditAsk(name="nobody"))


async def test_what_fails_is_not_in_the_log(tmp_path: Path) -> None:
    home = Home(tmp_path, registration="open")
    async with home.running():
        await home.key("laptop")
        with refused(InvalidRequest, "already"):
            await home.key("laptop")
        with refused(InvalidApiKey, "wrong"):
            await home.login("nobody")
        assert [row[1] for row in await audit(home)] == ["key.create"]
