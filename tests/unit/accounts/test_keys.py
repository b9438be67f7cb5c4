"""API keys: made and shown, for whom and by whom, and within which bounds."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import trio
from msgspec.structs import replace

from aiplat.accounts import keys as keys_of
from aiplat.accounts.secret_forms import Kind, new_secret
from aiplat.control.accounts import (
    AuditAsk,
    KeyList,
    KeyName,
    KeyRotate,
    KeysAsk,
    KeyWish,
    NewKey,
    Register,
    RoleWish,
    UsageAsk,
    UserName,
)
from aiplat.domain.accounts import MAX_LIMIT, SCOPES, Limits
from aiplat.domain.errors import (
    AiplatError,
    InvalidRequest,
    PermissionDenied,
)
from tests.unit.accounts.helpers import (
    DAY,
    GATEWAY,
    GOOD,
    OTHER_GATEWAY,
    PEER,
    Home,
    busy,
    refused,
    waiting,
)

FULL = Limits(requests_per_minute=9, tokens_per_minute=900, concurrent=2, tokens_per_month=9000)


async def listed(home: Home, credential: str = "", **wish: Any) -> KeyList:
    told: KeyList = await home.ask("keys.list", KeysAsk(**wish), credential)
    return told


async def rotates(home: Home, key: str = "laptop", credential: str = "", **wish: Any) -> NewKey:
    new: NewKey = await home.ask("keys.rotate", KeyRotate(key=key, **wish), credential)
    return new


async def both(home: Home, *calls: Any) -> list[Any]:
    """What each comes to, of several at once: a reply or a refusal."""
    found: list[Any] = [None] * len(calls)

    async def one(number: int, method: str, wish: Any) -> None:
        try:
            found[number] = await home.ask(method, wish)
        except AiplatError as error:
            found[number] = error

    async with trio.open_nursery() as nursery:
        goes_on = await busy(home, nursery)
        for number, (method, wish) in enumerate(calls):
            nursery.start_soon(one, number, method, wish)
            await waiting(home, number + 1)
        goes_on.set()
    return found


# -- made and shown --------------------------------------------------------------------------------


async def test_the_secret_is_told_once_and_kept_nowhere(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with home.running():
        wish: dict[str, Any] = {
            "scopes": ("admin", "usage", "usage"), "models": ("b", "a", "b"),
            "expires_seconds": 90 * DAY, "limits": FULL,
        }  # fmt: skip
        made = await home.key("my  laptop", **wish)
        assert re.fullmatch(rf"sk-aip-{made.id}-\w{{43}}", made.key)
        status = made.status
        assert (made.name, made.gateway, status.user) == ("my laptop", GATEWAY, "operator")
        assert (status.scopes, status.models) == (("usage", "admin"), ("b", "a"))
        assert (status.state, status.limits) == ("active", FULL)
        assert (status.created, status.expires) == (home.clock.at, home.clock.at + 90 * DAY)
        assert await home.ask("keys.show", KeyName(key=made.id)) == status
        for held in (tmp_path / "accounts.db", tmp_path / "accounts.db-wal"):
            assert made.key.split("-")[3].encode() not in read(held)
        for told in (repr(made), str([made]), repr(await listed(home))):
            assert made.key.split("-")[3] not in told
    home.opened()
    assert home.accounts._keys.told(home.held_key(made)) == status
    assert home.accounts.admission.key(made.key, "usage") is home.held_key(made)


def read(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""


async def test_a_list_has_the_newest_first_and_what_ended_only_if_asked(tmp_path: Path) -> None:
    home = Home(tmp_path, registration="open")
    async with home.running():
        ann = await home.register("ann")
        for name, wish in (
            ("old", {}),
            ("short", {"expires_seconds": 60}),
            ("gone", {}),
            ("new", {}),
        ):
            await home.key(name, ann.token, **wish)
            home.clock.passes(10)
        await home.key("owners")
        await home.ask("keys.revoke", KeyName(key="gone"), ann.token)
        await rotates(home, "old", ann.token)
        home.clock.passes(60)
        states = [(key.name, key.state) for key in (await listed(home, ann.token)).keys]
        assert states == [("old", "active"), ("new", "active"), ("old", "rotated")]
        ended = [(key.name, key.state) for key in (await listed(home, ann.token, ended=True)).keys]
        assert ended == [
            ("old", "active"), ("new", "active"), ("gone", "revoked"), ("short", "expired"),
            ("old", "rotated"),
        ]  # fmt: skip
        assert {k.user for k in (await listed(home, everyone=True)).keys} == {"ann", "operator"}
        assert [k.name for k in (await listed(home)).keys] == ["owners"]
        assert {k.user for k in (await listed(home, user="Ann")).keys} == {"ann"}
        with refused(PermissionDenied, "sees everyone's keys"):
            await listed(home, ann.token, everyone=True)
        with refused(PermissionDenied, "may do that for another .'operator'."):
            await listed(home, ann.token, user="operator")
        assert (await listed(home, ann.token, user="ann")).more == 0


async def test_a_list_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys_of, "MAX_LISTED", 2)
    home = Home(tmp_path)
    async with home.running():
        for number in range(5):
            await home.key(f"k{number}")
            home.clock.passes(1)
        told = await listed(home)
        assert ([key.name for key in told.keys], told.more) == (["k4", "k3"], 3)


async def test_a_key_is_found_by_its_id_and_by_its_name_however_it_is_typed(tmp_path: Path) -> None:
    home = Home(tmp_path, registration="open")
    async with home.running():
        ann = await home.register("ann")
        made = await home.key("Café  Bar", ann.token)
        for text in (made.id, made.key, "Café Bar", "cafe\u0301 BAR", " Café   Bar "):
            assert (await home.ask("keys.show", KeyName(key=text), ann.token)).id == made.id
        other = new_secret("sk", OTHER_GATEWAY)[0]
        for text in ("", "Cafe Bar", other, ann.token, made.key[:-1], "x\0", made.id[:-1]):
            with refused(InvalidRequest, "The account 'ann' has no key") as caught:
                await home.ask("keys.show", KeyName(key=text), ann.token)
            secret = text.split("-")[-1]
            assert len(secret) < 40 or secret not in str(caught.value)
        with refused(InvalidRequest, "The account 'operator' has no key"):
            await home.ask("keys.show", KeyName(key=made.id))
        assert (await home.ask("keys.show", KeyName(key=made.id, user="ann"))).name == "Café Bar"


async def test_a_whole_key_that_is_pasted_is_revoked_alone(tmp_path: Path) -> None:
    """What a person has in hand whose key is on a page that others see."""
    home = Home(tmp_path)
    async with home.running():
        old = await home.key("laptop")
        new = await home.ask("keys.rotate", KeyRotate(key="laptop"))
        await home.ask("keys.revoke", KeyName(key=old.key))
        assert [home.held_key(one).revoked > 0 for one in (old, new)] == [True, False]


@pytest.mark.parametrize("kind", ["sk", "ses", "inv"])
async def test_a_secret_where_a_name_belongs_is_not_told_again(tmp_path: Path, kind: Kind) -> None:
    home = Home(tmp_path, registration="open")
    whole, _ = new_secret(kind, GATEWAY)
    ann_asks: tuple[tuple[str, Any], ...] = (
        ("keys.create", KeyWish(name=whole)), ("keys.create", KeyWish(name="x", user=whole)),
        ("keys.rotate", KeyRotate(key=whole)), ("keys.revoke", KeyName(key=whole)),
        ("keys.show", KeyName(key="x", user=whole)),
        ("register", Register(name=whole, password=GOOD)),
        ("users.disable", UserName(name=whole)), ("users.audit", AuditAsk(name=whole)),
    )  # fmt: skip
    async with home.running():
        ann = await home.register("ann")
        await home.ask("users.role", RoleWish(name="ann", role="operator"))
        for method, wish in ann_asks:
            with pytest.raises((InvalidRequest, PermissionDenied)) as caught:
                await home.ask(method, wish, ann.token, PEER)
            assert whole.split("-")[3][:8].lower() not in str(caught.value).lower(), method


# -- for whom, and by whom -------------------------------------------------------------------------


async def test_an_operator_makes_keys_for_others(tmp_path: Path) -> None:
    home = Home(tmp_path, registration="open")
    async with home.running():
        ann, bob = await home.register("ann"), await home.register("bob")
        made = await home.key(user="ann")
        assert home.admit(made.key).payer == home.user("ann").id
        with refused(PermissionDenied, "Only an operator of the gateway may do that for another"):
            await home.key("k", bob.token, user="ann")
        for method in ("keys.show", "keys.revoke", "keys.rotate"):
            kind = KeyRotate if method == "keys.rotate" else KeyName
            with refused(PermissionDenied, "may do that for another"):
                await home.ask(method, kind(key=made.id, user="ann"), bob.token)
            with refused(InvalidRequest, "has no key"):
                await home.ask(method, kind(key=made.id), bob.token)
        home.admit(made.key)
        assert [key.id for key in (await listed(home, ann.token)).keys] == [made.id]


async def test_what_a_key_may_ask_by_each_scope(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with home.running():
        inference = await home.key("inference")
        usage = await home.key("usage", scopes=("usage",))
        admin = await home.key("admin", scopes=("admin",))
        for key, may in ((inference, ["whoami"]), (usage, ["usage", "whoami"])):
            for method in ("usage", "whoami", "keys.list", "users.list", "db.check", "keys.revoke"):
                if method in may:
                    await home.ask(method, UsageAsk() if method == "usage" else None, key.key)
                    continue
                with refused(PermissionDenied, rf"do not allow that \({method}\)"):
                    await home.ask(method, KeyName(key="admin"), key.key)
        for method in ("whoami", "keys.list", "users.list", "db.check"):
            await home.ask(method, KeysAsk() if method == "keys.list" else None, admin.key)
        with refused(PermissionDenied, "has the scope admin, but inference is needed"):
            home.admit(admin.key)
        told = await home.ask("whoami", None, usage.key, PEER)
        assert (told.by, told.key.id, told.scopes) == ("key", usage.id, ("usage",))
        with refused(InvalidRequest, "There is no session to end"):
            await home.ask("logout", None, admin.key)


@pytest.mark.parametrize(
    ("own", "wish", "words"),
    [
        ({"scopes": ("admin",)}, {"scopes": ("inference",)}, "'own' has the scopes admin"),
        (
            {"scopes": ("usage", "admin")},
            {"scopes": ("usage", "inference")},
            "has the scopes usage",
        ),
        ({"scopes": ("inference", "admin"), "models": ("a", "b")}, {}, "'own' may ask a, b alone"),
        ({"scopes": ("inference", "admin"), "models": ("a", "b")}, {"models": ("a", "c")}, "alone"),
        ({"scopes": ("inference", "admin"), "models": ("a", "b")}, {"models": ("b",)}, ""),
        ({"scopes": ("inference", "admin")}, {"models": ("z",)}, ""),
        ({"scopes": ("inference", "usage", "admin")}, {"scopes": ("admin",)}, ""),
        ({"scopes": SCOPES, "limits": FULL}, {}, "'own' has a limit of 9 requests per minute"),
        (
            {"scopes": SCOPES, "limits": FULL},
            {"limits": replace(FULL, tokens_per_month=9001)},
            "'own' has a limit of 9000 tokens per month",
        ),
        ({"scopes": SCOPES, "limits": FULL}, {"limits": replace(FULL, concurrent=1)}, ""),
    ],
)
async def test_a_key_makes_none_that_may_more_than_itself(
    tmp_path: Path, own: dict[str, Any], wish: dict[str, Any], words: str
) -> None:
    """Nor does it get one by rotating it."""
    home = Home(tmp_path)
    async with home.running():
        maker = await home.key("own", **own)
        there = await home.key("there", **wish)
        if words:
            with refused(
                PermissionDenied, f"A key makes no key that may more than itself.*{words}"
            ):
                await home.key("new", maker.key, **wish)
            with refused(PermissionDenied, "A key makes no key that may more than itself"):
                await rotates(home, "there", maker.key)
            home.accounts.admission.key(there.key)
            assert len(home.directory.keys) == 2
        else:
            await home.key("new", maker.key, **wish)
            await rotates(home, "there", maker.key)
        await home.ask("keys.revoke", KeyName(key="there"), maker.key)


async def test_a_key_makes_none_that_holds_longer_than_itself(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with home.running():
        maker = await home.key("own", scopes=SCOPES, expires_seconds=1000)
        await home.key("there")
        home.clock.passes(900)
        for expires in (None, 101):
            with refused(PermissionDenied, "holds longer than itself: 'own' does for 100 seconds"):
                await home.key("new", maker.key, expires_seconds=expires)
        await home.key("new", maker.key, expires_seconds=100)
        for name in ("there", "own"):
            new = await rotates(home, name, maker.key)
            assert new.status.expires == maker.status.expires, "nor does it get one by rotating"


# -- bounds ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ({"scopes": ()}, "A key needs a scope: inference, usage, admin"),
        ({"models": ("m",) * 51}, "may name 50 models, but 51 were given"),
        ({"models": ("",)}, "1 to 200 printable characters, but is ''"),
        ({"models": ("a\nb",)}, "printable"), ({"models": ("x" * 201,)}, "printable"),
        ({"models": ("a\u202eb",)}, "printable"),
        ({"expires_seconds": 59}, "holds from 60 to 316224000 seconds .ten years., .* not 59"),
        ({"expires_seconds": 0}, "not 0"), ({"expires_seconds": -5}, "not -5"),
        ({"expires_seconds": 2**63}, "not 9223372036854775808"),
        ({"limits": Limits(requests_per_minute=0)}, "requests_per_minute must be from 1"),
        ({"limits": Limits(tokens_per_minute=-1)}, "tokens_per_minute must be .* but is -1"),
        ({"limits": Limits(concurrent=MAX_LIMIT + 1)}, "but is 1000000000001"),
        ({"limits": Limits(tokens_per_month=2**70)}, "but is 1180591620717411303424"),
        ({"name": ""}, "A key's name has 1 to 64"), ({"name": "x\0"}, "which is not seen"),
    ],
)  # fmt: skip
async def test_a_key_that_cannot_be(tmp_path: Path, wish: dict[str, Any], words: str) -> None:
    home = Home(tmp_path)
    async with home.running():
        with refused(InvalidRequest, words):
            await home.key(**({"name": "k"} | wish))
        assert home.rows("SELECT * FROM keys") == []
        assert home.directory.keys == {}


async def test_one_that_may_be_as_much_as_can_be(tmp_path: Path) -> None:
    home = Home(tmp_path)
    most = Limits(requests_per_minute=MAX_LIMIT, tokens_per_minute=MAX_LIMIT, concurrent=MAX_LIMIT,
                  tokens_per_month=MAX_LIMIT)  # fmt: skip
    async with home.running():
        made = await home.key(
            "x" * 64, limits=most, expires_seconds=keys_of.MAX_SECONDS,
            models=tuple(f"{n:0200}" for n in range(50)),
        )  # fmt: skip
        home.opened()
        assert home.held_key(made).limits == most


async def test_a_persons_keys_are_bounded_also_when_all_come_at_once(tmp_path: Path) -> None:
    home = Home(tmp_path, registration="open", max_keys_per_user=3)
    async with home.running():
        await home.key("short", expires_seconds=60)
        found = await both(home, *(("keys.create", KeyWish(name=f"k{n}")) for n in range(2)))
        assert [type(one) for one in found] == [NewKey] * 2
        with refused(InvalidRequest, "The account 'operator' has 3 keys that hold, which is"):
            await home.key("more")
        ann = await home.register("ann")
        await home.key("hers", ann.token)
        home.clock.passes(60)
        await home.key("more")
        await home.ask("keys.revoke", KeyName(key="k0"))
        wishes = [("keys.create", KeyWish(name=f"again{n}")) for n in range(2)]
        async with trio.open_nursery() as nursery:
            goes_on = await busy(home, nursery)
            nursery.start_soon(home.ask, *wishes[0])
            await waiting(home, 1)
            with refused(InvalidRequest, "has 3 keys that hold"):
                await home.ask(*wishes[1])
            goes_on.set()
        assert home.accounts._keys._making == {}


async def test_those_that_ended_are_bounded_too(tmp_path: Path) -> None:
    """Else somebody fills the store and the memory by making and revoking."""
    home = Home(tmp_path, max_keys_per_user=3)
    async with home.running():
        made = []
        for number in range(8):
            made.append(await home.key(f"secret name {number}"))
            home.clock.passes(1)
            await home.ask("keys.revoke", KeyName(key=made[-1].id))
        await home.key("last")
        kept = {key.id for key in made[-3:]}
        assert {key.id for key in (await listed(home, ended=True)).keys} >= kept
        assert len(home.directory.keys) == len(home.rows("SELECT id FROM keys")) == 4
        audit = str(home.rows("SELECT target, detail FROM audit"))
        assert made[0].id in audit
        assert "secret name 0" not in audit, "of one that is forgotten nobody knows whose it was"
        assert "secret name 7" in audit


async def test_rotated_ones_are_bounded_too(tmp_path: Path) -> None:
    home = Home(tmp_path, max_keys_per_user=2)
    async with home.running():
        await home.key()
        for _ in range(2):
            await rotates(home)
        with refused(InvalidRequest, "has 2 keys that were rotated and still hold, which is"):
            await rotates(home)
        await rotates(home, overlap_seconds=0)
        home.clock.passes(DAY)
        await rotates(home)


# -- one name for one key --------------------------------------------------------------------------


async def test_a_name_is_once_among_ones_keys(tmp_path: Path) -> None:
    home = Home(tmp_path, registration="open")
    async with home.running():
        ann = await home.register("ann")
        await home.key("laptop")
        await home.key("laptop", ann.token)
        for name in ("laptop", "LAPTOP", " laptop ", "ｌａｐｔｏｐ"):
            with refused(InvalidRequest, "The account 'operator' has a key .* already: choose"):
                await home.key(name)
        await home.ask("keys.revoke", KeyName(key="laptop"))
        await home.key("Laptop")


async def test_of_two_at_once_one_gets_the_name(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with home.running():
        wish = KeyWish(name="laptop")
        one, two = await both(home, ("keys.create", wish), ("keys.create", wish))
        assert isinstance(one, NewKey)
        assert isinstance(two, InvalidRequest)
        assert "has a key 'laptop' already" in str(two)
        assert list(home.directory.keys) == [one.id]
        assert home.rows("SELECT id FROM keys") == [(one.id,)]
