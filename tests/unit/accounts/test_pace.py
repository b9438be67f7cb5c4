"""How often accounts are made and changed: what one peer, and what one account, may do a minute."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from aiplat.accounts.pace import Bound, Pace
from aiplat.accounts.settings import AccountsSettings
from aiplat.control.accounts import KeyName, KeyRotate, RoleWish, UserInvite, UserName
from aiplat.domain.errors import InvalidApiKey, InvalidRequest, RateLimited
from tests.unit.accounts.helpers import GOOD, PEER, Clock, Home, refused


def test_so_many_within_any_minute_and_whoever_waits_as_told_is_heard() -> None:
    clock = Clock()
    pace = Pace(clock.now)
    one = Bound("x", 3, "turns of x", "accounts.turns")
    for _ in range(3):
        pace.take(one)
        clock.passes(10)
    words = r"The bound of turns of x is 3 a minute \(accounts.turns\), and there were as many"
    with refused(RateLimited, words) as caught:
        pace.take(one)
    assert 30 <= (caught.value.retry_after or 0) <= 32
    pace.take(Bound("y", 3, "turns of y", "accounts.turns"))
    clock.passes(caught.value.retry_after or 0)
    pace.take(one)


def test_what_one_bound_refuses_takes_nothing_of_the_other() -> None:
    pace = Pace(Clock().now)
    own, all_of_them = Bound("own", 1, "own", "a"), Bound("all", 3, "all", "b")
    pace.take(own, all_of_them)
    for _ in range(10):
        with refused(RateLimited, "The bound of own is 1 a minute"):
            pace.take(own, all_of_them)
    for number in range(2):
        pace.take(Bound(f"other{number}", 1, "own", "a"), all_of_them)
    with refused(RateLimited, "The bound of all is 3 a minute"):
        pace.take(Bound("one more", 1, "own", "a"), all_of_them)


# -- registrations ---------------------------------------------------------------------------------


async def test_one_peer_registers_a_few_a_minute_and_others_log_in(tmp_path: Path) -> None:
    home = Home(tmp_path, registration="open", registrations_per_peer=3)
    async with home.running():
        for number in range(3):
            await home.register(f"user{number}")
        before = home.hasher.work
        words = (
            "The bound of registrations from this machine is 3 a minute .*, and there were as many"
        )
        with refused(RateLimited, words) as caught:
            await home.register("one-more")
        assert home.hasher.work == before, "and nothing is hashed for it"
        await home.login("user1")
        await home.register("ann", peer="12D3KooWElsewhere")
        home.clock.passes(caught.value.retry_after or 0)
        await home.register("one-more")


async def test_a_gateway_registers_so_many_a_minute_of_any_number_of_peers(tmp_path: Path) -> None:
    home = Home(tmp_path, registration="open", registrations_per_minute=4)
    async with home.running():
        for number in range(4):
            await home.register(f"user{number}", peer=f"{PEER}{number}")
        with refused(RateLimited, "The bound of registrations at this gateway is 4 a minute"):
            await home.register("one-more", peer="12D3KooWElsewhere")
        await home.login("user1", peer="12D3KooWElsewhere")


async def test_names_are_tried_no_faster_than_that(tmp_path: Path) -> None:
    home = Home(tmp_path, registration="open", registrations_per_peer=3)
    async with home.running():
        await home.register("ann")
        for _ in range(2):
            with refused(InvalidRequest, "is taken"):
                await home.register("ann")
        with refused(RateLimited, "registrations from this machine"):
            await home.register("ann")


# -- changes ---------------------------------------------------------------------------------------


async def test_an_account_changes_so_much_a_minute_and_can_end_what_it_began(
    tmp_path: Path,
) -> None:
    home = Home(tmp_path, registration="open", changes_per_minute=3)
    async with home.running():
        ann, bob = await home.register("ann"), await home.register("bob")
        for name in ("one", "two"):
            await home.key(name, ann.token)
        await home.ask("keys.rotate", KeyRotate(key="one"), ann.token, PEER)
        words = r"The bound of changes by the account 'ann' is 3 a minute \(accounts.changes_per"
        with refused(RateLimited, words) as caught:
            await home.key("three", ann.token)
        rows = home.rows("SELECT count(*) FROM audit")
        with refused(RateLimited, words):
            await home.ask("keys.rotate", KeyRotate(key="two"), ann.token, PEER)
        assert home.rows("SELECT count(*) FROM audit") == rows
        await home.key("one", bob.token)
        for name in ("one", "two"):
            await home.ask("keys.revoke", KeyName(key=name), ann.token, PEER)
        await home.ask("whoami", None, ann.token, PEER)
        home.clock.passes(2 * (caught.value.retry_after or 0))  # two were told so
        await home.key("three", ann.token)
        await home.ask("logout", None, ann.token, PEER)


async def test_log_ins_are_counted_apart_so_that_no_key_locks_its_owner_out(tmp_path: Path) -> None:
    home = Home(tmp_path, registration="open", changes_per_minute=2)
    async with home.running():
        ann = await home.register("ann")
        admin = await home.key("admin", ann.token, scopes=("inference", "usage", "admin"))
        await home.key("one", admin.key)
        with refused(RateLimited, "changes by the account 'ann'"):
            await home.key("two", admin.key)
        session, _ = await home.login("ann"), await home.login("ann")
        with refused(RateLimited, "The bound of log-ins of the account 'ann' is 2 a minute"):
            await home.login("ann")
        await home.ask("keys.revoke", KeyName(key="admin"), session.token, PEER)
        with refused(InvalidApiKey, "is revoked"):
            await home.key("two", admin.key)


async def test_the_owner_of_the_machine_is_not_kept_waiting(tmp_path: Path) -> None:
    home = Home(tmp_path, registration="open", changes_per_minute=1)
    async with home.running():
        ann = await home.register("ann", GOOD)
        await home.ask("users.role", RoleWish(name="ann", role="operator"))
        for _ in range(5):
            await home.ask("users.invite", UserInvite())
            await home.ask("users.disable", UserName(name="ann"))
            await home.ask("users.enable", UserName(name="ann"))
        ann = await home.login("ann")
        await home.ask("users.invite", UserInvite(), ann.token, PEER)
        with refused(RateLimited, "changes by the account 'ann' is 1 a minute"):
            await home.ask("users.invite", UserInvite(), ann.token, PEER)


@pytest.mark.parametrize("name", ["registrations_per_peer", "changes_per_minute", "audit_rows"])
def test_there_is_no_gateway_without_these_bounds(name: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({name: 0}, AccountsSettings)
