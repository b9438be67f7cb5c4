"""Keys that this node's faces make: kept, rotated, revoked, and never half."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import msgspec

from aiplat.control.accounts import (
    KeyList,
    KeyName,
    KeyRotate,
    KeysAsk,
    KeyWish,
    NewKey,
    Register,
)
from aiplat.credentials.errors import NoKeyring
from aiplat.domain.errors import InvalidApiKey, InvalidRequest
from tests.unit.accounts.helpers import GOOD, refused
from tests.unit.runtime.test_account_desk import BOTH, HERE, Faces, faces, fails_at

# -- keys ------------------------------------------------------------------------------------------


@BOTH
async def test_a_key_is_kept_for_its_gateway(tmp_path: Path, own: bool) -> None:
    async with faces(tmp_path, own=own) as node:
        await node.ask("register", Register(name="ann", password=GOOD))
        made: NewKey = await node.ask("keys.create", KeyWish(name="laptop", store=True))
        assert (made.kept, made.status.kept) == ("keyring", "keyring")
        assert node.kept() == [("session", "ann"), ("key", "laptop")]
        assert made.key in node.secrets()
        assert node.held.for_gateway(HERE) == made.key
        plain: NewKey = await node.ask("keys.create", KeyWish(name="other"))
        assert plain.kept == ""
        assert plain.key not in node.secrets()
        told: KeyList = await node.ask("keys.list", KeysAsk())
        assert {key.name: key.kept for key in told.keys} == {"laptop": "keyring", "other": ""}
        assert (await node.ask("keys.show", KeyName(key="laptop"))).kept == "keyring"
        await node.ask("keys.revoke", KeyName(key="laptop"))
        assert node.kept() == [("session", "ann")]
        assert node.held.for_gateway(HERE) == ""
        with refused(InvalidApiKey, "'laptop' is revoked"):
            node.home.admit(made.key)


@BOTH
async def test_without_a_keyring_no_key_is_made(tmp_path: Path, own: bool) -> None:
    async with faces(tmp_path, own=own) as node:
        await node.ask("register", Register(name="ann", password=GOOD))
        await node.ask("keys.create", KeyWish(name="old"))
        await lies_in_the_file(node)
        held, node.ring = node.ring, None
        node.credentials.report()
        for wish in (KeyWish(name="laptop", store=True), KeyRotate(key="old", store=True)):
            method = "keys.create" if isinstance(wish, KeyWish) else "keys.rotate"
            with refused(NoKeyring, "There is no keyring"):
                await node.ask(method, wish)
        [old] = node.home.directory.keys.values()
        assert (old.name, old.replaced_by) == ("old", "")
        assert (await node.ask("keys.create", KeyWish(name="laptop"))).kept == ""
        node.ring = held


async def lies_in_the_file(node: Faces) -> None:
    """So that the session can be had while there is no keyring."""
    [session] = node.credentials.held()
    token = node.credentials.secret_of(session)
    node.credentials.forget("session", session.id)
    held, node.ring = node.ring, None
    node.credentials.report()
    node.credentials.keep(session, token, insecure=True)
    node.ring = held
    node.credentials.report()


async def test_a_key_that_cannot_be_kept_after_all_is_revoked(tmp_path: Path) -> None:
    async with faces(tmp_path, own=True) as node:
        fails_at(node, "set")
        with refused(NoKeyring, "The keyring cannot be reached"):
            await node.ask("keys.create", KeyWish(name="laptop", store=True))
        assert node.kept() == []
        [key] = node.home.directory.keys.values()
        assert (key.user.name, key.revoked > 0) == ("operator", True)


async def test_anothers_key_is_kept_nowhere(tmp_path: Path) -> None:
    async with faces(tmp_path, own=True) as node:
        await node.home.register("bob")
        with refused(InvalidRequest, "A key of another's account is not kept here"):
            await node.ask("keys.create", KeyWish(name="laptop", store=True, user="bob"))
        assert node.home.directory.keys == {}
        await node.ask("keys.create", KeyWish(name="laptop", user="bob"))
        with refused(InvalidRequest, "is not kept here"):
            await node.ask("keys.rotate", KeyRotate(key="laptop", store=True, user="bob"))
        assert len(node.home.directory.keys) == 1


@BOTH
async def test_a_rotated_key_that_cannot_be_kept_is_shown(tmp_path: Path, own: bool) -> None:
    """The old one ends: nobody shall be left with none."""
    async with faces(tmp_path, own=own) as node:
        await node.ask("register", Register(name="ann", password=GOOD))
        old: NewKey = await node.ask("keys.create", KeyWish(name="laptop", store=True))
        fails_at(node, "set")
        new: NewKey = await node.ask("keys.rotate", KeyRotate(key="laptop", store=True))
        assert new.kept == ""
        assert "The keyring cannot be reached" in new.not_kept
        assert new.key not in new.not_kept
        node.home.admit(new.key)
        assert node.kept() == [("session", "ann"), ("key", "laptop")]
        assert node.held.for_gateway(HERE) == old.key, "it holds for its overlap"


@BOTH
async def test_what_is_revoked_by_its_name_is_kept_no_more(tmp_path: Path, own: bool) -> None:
    async with faces(tmp_path, own=own) as node:
        await node.ask("register", Register(name="ann", password=GOOD))
        await node.ask("keys.create", KeyWish(name="laptop", store=True))
        await node.ask("keys.create", KeyWish(name="other", store=True))
        await node.ask("keys.rotate", KeyRotate(key="laptop"))
        await node.ask("keys.revoke", KeyName(key="laptop"))
        assert node.kept() == [("session", "ann"), ("key", "other")]


async def test_a_whole_key_that_is_revoked_takes_no_other_of_its_name_along(tmp_path: Path) -> None:
    async with faces(tmp_path, own=True) as node:
        old: NewKey = await node.ask("keys.create", KeyWish(name="laptop"))
        new: NewKey = await node.ask("keys.rotate", KeyRotate(key="laptop", store=True))
        await node.ask("keys.revoke", KeyName(key=old.key))
        node.home.admit(new.key)
        assert node.kept() == [("key", "laptop")]


@BOTH
async def test_a_rotated_key_takes_the_place_of_the_old(tmp_path: Path, own: bool) -> None:
    async with faces(tmp_path, own=own) as node:
        await node.ask("register", Register(name="ann", password=GOOD))
        old: NewKey = await node.ask("keys.create", KeyWish(name="laptop", store=True))
        new: NewKey = await node.ask("keys.rotate", KeyRotate(key="laptop", store=True))
        assert new.kept == "keyring"
        assert node.held.for_gateway(HERE) == new.key
        assert [held.id for held in node.credentials.held() if held.kind == "key"] == [new.id]
        assert old.key not in node.secrets()
        node.home.admit(old.key)
        shown: NewKey = await node.ask("keys.rotate", KeyRotate(key="laptop"))
        assert shown.kept == ""
        assert node.held.for_gateway(HERE) == new.key, "it holds still, and is the one that is kept"


async def test_where_a_key_is_kept_is_no_business_of_the_gateways(tmp_path: Path) -> None:
    async with faces(tmp_path, own=False) as node:
        await node.ask("register", Register(name="ann", password=GOOD))
        heard: list[Any] = []
        call = node.wire.call

        async def listens(asked: Any, seconds: float) -> Any:
            heard.append(msgspec.msgpack.decode(asked.body))
            return await call(asked, seconds)

        cast(Any, node.wire).call = listens
        await node.ask("keys.create", KeyWish(name="laptop", store=True, insecure=True))
        await node.ask("keys.rotate", KeyRotate(key="laptop", store=True, insecure=True))
        told = str(heard)
        assert "laptop" in told
        assert "store" not in told
        assert "insecure" not in told


async def test_whoami_says_by_which_key_prompts_are_asked(tmp_path: Path) -> None:
    """Of two accounts on one home one may be logged in, and the other's key pay."""
    async with faces(tmp_path, own=False) as node:
        await node.ask("register", Register(name="bob", password=GOOD))
        assert (await node.ask("whoami")).asks_by == ""
        await node.ask("keys.create", KeyWish(name="laptop", store=True))
        await node.ask("register", Register(name="ann", password=GOOD))
        me = await node.ask("whoami")
        assert (me.user.name, me.asks_by) == ("ann", "the key laptop of bob")
