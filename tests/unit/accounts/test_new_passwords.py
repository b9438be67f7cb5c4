"""Another password: by the old one, or by an operator; log-ins by the old one end."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from aiplat.control.accounts import RoleWish, WhoAmI
from aiplat.control.sessions import WEB, PasswordChange, PasswordReset
from aiplat.domain.errors import (
    AiplatError,
    InvalidApiKey,
    InvalidRequest,
    PermissionDenied,
    RateLimited,
)
from tests.unit.accounts.helpers import BAD, GOOD, PEER, Home, busy, refused, waiting

PAGE = f"{WEB}203.0.113.5"
OTHER = "another good horse"


def change(old: str = GOOD, new: str = OTHER) -> PasswordChange:
    return PasswordChange(old=old, new=new)


async def test_one_changes_ones_own_by_the_old_one(tmp_path: Path) -> None:
    home = Home(tmp_path, registration="open")
    async with home.running():
        ann, bob = await home.register("ann"), await home.register("bob")
        other = await home.login("ann")
        key = await home.key("k", ann.token)
        done = await home.ask("password.change", change(), ann.token, PAGE)
        assert done.message == "The password of ann is changed; 1 other log-in ended."
        assert isinstance(await home.ask("whoami", None, ann.token, PAGE), WhoAmI)
        assert isinstance(await home.ask("whoami", None, key.key, PAGE), WhoAmI)
        assert isinstance(await home.ask("whoami", None, bob.token, PAGE), WhoAmI)
        with refused(InvalidApiKey, "is over"):
            await home.ask("whoami", None, other.token, PAGE)
        home.opened()
        assert set(home.user("ann").sessions) == {ann.id}
    async with home.running():
        with refused(InvalidApiKey, "The name or the password is wrong"):
            await home.login("ann")
        await home.login("ann", OTHER)
        log = home.rows("SELECT actor, target, detail, peer FROM audit WHERE action LIKE 'pass%'")
        assert log == [(ann.user.id, ann.user.id, "", PAGE)]
        assert all(word not in repr(change()) for word in (GOOD, OTHER))


@pytest.mark.parametrize(
    ("wish", "kind", "words"),
    [
        (change(old=BAD), InvalidApiKey, "The old password is wrong: nothing was changed"),
        (change(new=GOOD), InvalidRequest, "The new password is the old one"),
        (change(new="short"), InvalidRequest, "has 8 to 256 characters, this one 5"),
        (change(new="x" * 257), InvalidRequest, "has 8 to 256 characters, this one 257"),
    ],
)
async def test_what_is_wrong_changes_nothing(
    tmp_path: Path, wish: PasswordChange, kind: type[AiplatError], words: str
) -> None:
    home = Home(tmp_path, registration="open")
    async with home.running():
        ann = await home.register("ann")
        before = home.rows("SELECT * FROM users")
        with refused(kind, words):
            await home.ask("password.change", wish, ann.token, PAGE)
        assert home.rows("SELECT * FROM users") == before
        await home.login("ann")


async def test_who_found_a_session_guesses_the_password_no_faster(tmp_path: Path) -> None:
    home = Home(tmp_path, registration="open")
    async with home.running():
        ann = await home.register("ann")
        for _ in range(3):
            with refused(InvalidApiKey, "The old password is wrong"):
                await home.ask("password.change", change(old=BAD), ann.token, PAGE)
        work = home.hasher.work
        with refused(RateLimited, "in a row for this account: the next try is heard in 1 s"):
            await home.ask("password.change", change(), ann.token, PAGE)
        with refused(RateLimited, "in a row for this account"):
            await home.login("ann", peer=PEER)
        assert home.hasher.work == work


async def test_the_owner_has_none(tmp_path: Path) -> None:
    home = Home(tmp_path, registration="open")
    async with home.running():
        ann = await home.register("ann")
        await home.ask("users.role", RoleWish(name="ann", role="operator"))
        with refused(InvalidRequest, "has no password"):
            await home.ask("password.change", change())
        with refused(InvalidRequest, "has no password"):
            wish = PasswordReset(name="operator", password=OTHER)
            await home.ask("users.password", wish, ann.token, PAGE)
        assert home.user("operator").password is None


async def test_an_operator_gives_another_one(tmp_path: Path) -> None:
    home = Home(tmp_path, registration="open")
    async with home.running():
        ann, bob = await home.register("ann"), await home.register("bob")
        wish = PasswordReset(name="ANN ", password=OTHER)
        with refused(PermissionDenied, "Only an operator"):
            await home.ask("users.password", wish, bob.token, PAGE)
        done = await home.ask("users.password", wish)
        assert done.message.startswith("The account ann has another password; 1 other log-in ended")
        with refused(InvalidApiKey, "is over"):
            await home.ask("whoami", None, ann.token, PAGE)
        await home.login("ann", OTHER)
        with refused(InvalidRequest, "has 8 to 256 characters"):
            await home.ask("users.password", PasswordReset(name="ann", password="x"))
        with refused(InvalidRequest, "There is no account 'zoe' here"):
            await home.ask("users.password", PasswordReset(name="zoe", password=OTHER))
        await home.ask("users.role", RoleWish(name="bob", role="operator"))
        with refused(InvalidRequest, "Your own password is changed by the old one"):
            own = PasswordReset(name="bob", password=OTHER)
            await home.ask("users.password", own, bob.token, PAGE)


async def test_a_log_in_by_the_old_one_that_was_on_its_way_begins_no_more(tmp_path: Path) -> None:
    home = Home(tmp_path, registration="open")
    async with home.running():
        await home.register("ann")
        async with trio.open_nursery() as nursery:
            goes_on = await busy(home, nursery)
            wish = PasswordReset(name="ann", password=OTHER)
            nursery.start_soon(home.ask, "users.password", wish)
            await waiting(home, 1)
            seen: list[AiplatError] = []

            async def late() -> None:
                try:
                    await home.login("ann")
                except AiplatError as error:
                    seen.append(error)

            nursery.start_soon(late)
            await waiting(home, 2)
            goes_on.set()
        [error] = seen
        assert "The password was changed meanwhile" in str(error)
        assert home.rows("SELECT * FROM sessions") == []
        assert home.user("ann").sessions == {}
