"""How keys end: rotated with an overlap, and revoked; what they share until then."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aiplat.control.accounts import (
    KeyName,
    KeyRotate,
    LimitsWish,
)
from aiplat.domain.accounts import Limits
from aiplat.domain.errors import (
    AiplatError,
    InvalidApiKey,
    InvalidRequest,
    QuotaExceeded,
    RateLimited,
)
from tests.unit.accounts.helpers import (
    DAY,
    Home,
    finishes,
    refused,
)
from tests.unit.accounts.test_keys import FULL, both, rotates

# -- rotated ---------------------------------------------------------------------------------------


async def test_both_hold_for_a_while_then_the_new_one_alone(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with home.running():
        old = await home.key(
            expires_seconds=30 * DAY, scopes=("inference", "usage"), models=("tiny",), limits=FULL
        )
        home.clock.passes(10 * DAY)
        new = await rotates(home, overlap_seconds=3600)
        assert (new.name, new.id == old.id, new.key == old.key) == ("laptop", False, False)
        assert new.status.expires == home.clock.at + 30 * DAY
        assert (new.status.scopes, new.status.models) == (("inference", "usage"), ("tiny",))
        assert new.status.limits == FULL
        assert (await home.ask("keys.show", KeyName(key=old.id))).state == "rotated"
        assert (await home.ask("keys.show", KeyName(key="laptop"))).id == new.id
        for key in (old.key, new.key):
            home.accounts.admission.key(key)
        home.opened()
        for key in (old.key, new.key):
            home.accounts.admission.key(key)
        home.clock.passes(3600)
        with refused(InvalidApiKey, "was rotated, and its overlap is over"):
            home.accounts.admission.key(old.key)
        home.accounts.admission.key(new.key)


async def test_an_overlap_is_no_longer_than_the_key_had(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with home.running():
        old = await home.key(expires_seconds=100)
        await rotates(home, overlap_seconds=DAY)
        assert home.held_key(old).expires == home.clock.at + 100
        for_ever = await home.key("for ever")
        new = await rotates(home, "for ever", overlap_seconds=DAY)
        assert new.status.expires == 0
        assert home.held_key(for_ever).expires == home.clock.at + DAY


@pytest.mark.parametrize("overlap", [-1, 30 * DAY + 1, 10**30])
async def test_an_overlap_has_bounds(tmp_path: Path, overlap: int) -> None:
    home = Home(tmp_path)
    async with home.running():
        await home.key()
        with refused(InvalidRequest, f"from 0 to 2592000 seconds .30 days., not {overlap}"):
            await rotates(home, overlap_seconds=overlap)
        assert len(home.directory.keys) == 1


async def test_what_ended_is_not_rotated(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with home.running():
        old = await home.key()
        new = await rotates(home)
        with refused(InvalidRequest, "is rotated already"):
            await rotates(home, old.id)
        await home.ask("keys.revoke", KeyName(key=new.id))
        with refused(InvalidRequest, "is revoked"):
            await rotates(home, new.id)
        with refused(InvalidRequest, "has no key 'other'"):
            await rotates(home, "other")


@pytest.mark.parametrize("other", ["keys.rotate", "keys.revoke"])
async def test_a_key_that_ends_while_it_is_rotated(tmp_path: Path, other: str) -> None:
    home = Home(tmp_path)
    async with home.running():
        old = await home.key()
        wish = KeyName(key=old.id) if other == "keys.revoke" else KeyRotate(key=old.id)
        first, second = await both(home, (other, wish), ("keys.rotate", KeyRotate(key=old.id)))
        assert not isinstance(first, AiplatError)
        assert isinstance(second, InvalidRequest)
        assert f"is {'revoked' if other == 'keys.revoke' else 'rotated already'}" in str(second)
        assert len(home.directory.keys) == len(home.rows("SELECT id FROM keys"))
        assert len(home.directory.keys) == (2 if other == "keys.rotate" else 1)


async def test_what_a_key_is_rotated_to_is_revoked_with_it(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with home.running():
        old = await home.key()
        rotated, _ = await both(
            home, ("keys.rotate", KeyRotate(key="laptop")), ("keys.revoke", KeyName(key="laptop"))
        )
        for key in (old, rotated):
            with refused(InvalidApiKey, "is revoked"):
                home.admit(key.key)


async def test_limits_of_a_minute_are_one_keys_whichever_of_the_two_is_used(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with home.running():
        old = await home.key(limits=Limits(requests_per_minute=3, concurrent=3))
        one = home.admit(old.key)
        new = await rotates(home)
        home.admit(new.key)
        home.admit(old.key)
        for key in (old.key, new.key):
            with refused(RateLimited, "The key 'laptop' may"):
                home.admit(key)
        home.clock.passes(61)
        finishes(one)
        home.admit(new.key)
        with refused(RateLimited, "may have 3 requests under way at once"):
            home.admit(old.key)


async def test_what_was_used_of_the_month_goes_with_it(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with home.running():
        old = await home.key(limits=Limits(tokens_per_month=100))
        finishes(home.admit(old.key, prompt=10, answer=20), 18, prompt=12)
        new = await rotates(home)
        newest = await rotates(home)
        finishes(home.admit(old.key, prompt=10, answer=20), 18, prompt=12)
        finishes(home.admit(new.key, prompt=10, answer=20), 18, prompt=12)
        await home.written()
        for life in range(2):
            for key in (old, new, newest):
                with refused(QuotaExceeded, "may take 100 tokens a month: 90 are used"):
                    home.admit(key.key, prompt=6, answer=5)
                assert home.accounts._keys.told(home.held_key(key)).used_this_month == 90, life
            home.opened()


# -- revoked ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["id", "name"])
async def test_a_revoked_key_holds_no_more_and_its_requests_end(tmp_path: Path, by: str) -> None:
    home = Home(tmp_path)
    async with home.running():
        errors: list[tuple[str, AiplatError]] = []

        def ends(which: Any, error: AiplatError) -> None:
            errors.extend((one.request, error) for one in home.accounts.meter.live() if which(one))

        home.accounts.when_gone(ends)
        made, other = await home.key(), await home.key("other")
        home.admit(made.key, request="req-a")
        home.admit(other.key, request="req-b")
        home.admit(request="req-c")
        done = await home.ask("keys.revoke", KeyName(key=made.id if by == "id" else "Laptop"))
        assert done.message == f"The key 'laptop' ({made.id}) is revoked: it holds no more."
        assert [request for request, _ in errors] == ["req-a"]
        assert "The API key 'laptop' is revoked" in str(errors[0][1])
        with refused(InvalidApiKey, "'laptop' is revoked"):
            home.admit(made.key)
        home.admit(other.key)
        again = await home.ask("keys.revoke", KeyName(key=made.id))
        assert again.message == f"The key 'laptop' ({made.id}) was revoked before."
        status = await home.ask("keys.show", KeyName(key=made.id))
        assert (status.state, status.revoked) == ("revoked", home.clock.at)
    home.opened()
    with refused(InvalidApiKey, "'laptop' is revoked"):
        home.admit(made.key)


async def test_by_its_name_every_secret_of_it_ends(tmp_path: Path) -> None:
    """Who says that laptop is lost means the secret of before its rotation too."""
    home = Home(tmp_path)
    async with home.running():
        old = await home.key()
        new = await rotates(home)
        await home.ask("keys.revoke", KeyName(key="laptop"))
        for key in (old, new):
            with refused(InvalidApiKey, "'laptop' is revoked"):
                home.admit(key.key)
        assert {state for (state,) in home.rows("SELECT revoked > 0 FROM keys")} == {1}


async def test_by_its_id_that_secret_alone(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with home.running():
        old = await home.key()
        new = await rotates(home)
        await home.ask("keys.revoke", KeyName(key=old.id))
        home.admit(new.key)
        with refused(InvalidApiKey, "is revoked"):
            home.admit(old.key)


async def test_a_name_is_the_key_that_holds_before_those_that_ended(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with home.running():
        first = await home.key()
        await home.ask("keys.revoke", KeyName(key="laptop"))
        home.clock.passes(5)
        second = await home.key()
        third = await rotates(home)
        assert (await home.ask("keys.show", KeyName(key="laptop"))).id == third.id
        await home.ask("keys.revoke", KeyName(key=third.id))
        assert (await home.ask("keys.show", KeyName(key="laptop"))).id == second.id
        assert (await home.ask("keys.show", KeyName(key=first.id))).state == "revoked"


async def test_a_users_limits_reach_all_its_keys(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with home.running():
        made = [await home.key(f"k{n}") for n in range(3)]
        await home.ask("users.limits", LimitsWish(name="operator", requests_per_minute=3))
        for key in made:
            home.admit(key.key)
        for key in made:
            with refused(RateLimited, "The user 'operator' may send 3 requests a minute"):
                home.admit(key.key)
