"""What is asked of accounts over a channel: both ends, and what neither may send."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from aiplat.control.accounts import (
    METHODS,
    BackupWish,
    KeyName,
    KeyWish,
    Login,
    Nothing,
    Register,
    Session,
    UsageAsk,
    UserList,
    WhoAmI,
)
from aiplat.domain.answers import Failed
from aiplat.domain.errors import (
    InvalidApiKey,
    InvalidRequest,
    NoPeer,
    PermissionDenied,
    RateLimited,
)
from aiplat.protocol.messages import Call, Reply
from aiplat.roles.account_calls import answer_call, ask_elsewhere
from aiplat.roles.gateway import Gateway
from aiplat.roles.settings import GatewaySettings
from tests.support.fake_channel import FakeChannel
from tests.unit.accounts.helpers import BAD, GATEWAY, GOOD, PEER, Home, refused


def packed(wish: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.msgpack.encode(wish))


class Wire(FakeChannel):
    """A channel whose other end is a gateway's accounts."""

    def __init__(self, home: Home, peer: str = PEER) -> None:
        super().__init__(GATEWAY, "gateway")
        self.home = home
        self.from_peer = FakeChannel(peer, "client")
        self.seconds = 0.0

    async def call(self, call: Call, deadline_seconds: float) -> Reply:
        self.seconds = deadline_seconds
        call = msgspec.msgpack.decode(msgspec.msgpack.encode(call), type=Call)
        reply = await answer_call(self.home.accounts, cast(Any, self.from_peer), call)
        assert reply is not None
        return msgspec.msgpack.decode(msgspec.msgpack.encode(reply), type=Reply)

    async def ask(self, name: str, wish: msgspec.Struct | None = None, credential: str = "") -> Any:
        return await ask_elsewhere(cast(Any, self), name, wish or Nothing(), credential, 7.0)


async def test_from_a_registration_to_a_key_and_its_use(tmp_path: Path) -> None:
    home = Home(tmp_path, registration="open")
    async with home.running():
        wire = Wire(home)
        session = await wire.ask("register", Register(name="ann", password=GOOD))
        assert isinstance(session, Session)
        assert wire.seconds == 7.0
        made = await wire.ask("keys.create", KeyWish(name="laptop"), session.token)
        who = await wire.ask("whoami", None, made.key)
        assert isinstance(who, WhoAmI)
        assert (who.by, who.user.name, who.gateway) == ("key", "ann", GATEWAY)
        begun = await wire.ask("login", Login(name="ann", password=GOOD))
        assert begun.user.id == session.user.id
        assert (await wire.ask("usage", UsageAsk(), begun.token)).total.requests == 0
        assert {row[0] for row in home.rows("SELECT peer FROM audit")} == {PEER}


async def test_a_refusal_comes_as_it_was_meant(tmp_path: Path) -> None:
    home = Home(tmp_path, registration="open")
    async with home.running():
        wire = Wire(home)
        for _ in range(3):
            with refused(InvalidApiKey, "The name or the password is wrong"):
                await wire.ask("login", Login(name="ann", password=BAD))
        with refused(RateLimited, "the next try is heard in 1 s") as caught:
            await wire.ask("login", Login(name="ann", password=BAD))
        assert caught.value.retry_after == 1.0
        with refused(InvalidRequest, "A name has 1 to 32") as named:
            await wire.ask("register", Register(name="", password=GOOD))
        assert named.value.param == "name"


async def test_nobody_is_the_owner_from_afar(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with home.running():
        asked = [m for m in METHODS.values() if m.need != "nobody" and m.wish in (KeyName, Nothing)]
        assert len(asked) >= 6
        for method in asked:
            wish = KeyName(key="x") if method.wish is KeyName else Nothing()
            with refused(InvalidApiKey, "must know who asks: log in first"):
                await Wire(home).ask(method.name, wish)
        made = await home.key(scopes=("admin",))
        assert isinstance(await Wire(home).ask("users.list", None, made.key), UserList)
        for name, own in (("db.check", Nothing()), ("db.backup", BackupWish(path="/x"))):
            with refused(PermissionDenied, "is done on the gateway's own machine only"):
                await Wire(home).ask(name, own, made.key)


async def test_another_peers_session_is_good_wherever_it_is_shown(tmp_path: Path) -> None:
    """It is a person's, and she may sit at another machine; what is logged is where."""
    home = Home(tmp_path, registration="open")
    async with home.running():
        session = await Wire(home).ask("register", Register(name="ann", password=GOOD))
        await Wire(home, "12D3KooWElsewhere").ask("logout", None, session.token)
        assert home.rows("SELECT peer FROM audit WHERE action = 'session.end'") == [
            ("12D3KooWElsewhere",)
        ]


# -- what cannot be read ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"", b"\xc1", packed({}), packed([1, 2]), packed({"name": 5, "password": GOOD}),
        packed({"name": "ann"}), b"\x82\xa4name\xa3\xff\xfe\xfd\xa8password\xa1x",
        packed({"name": "ann", "password": None}), packed("x" * 100_000),
    ],
)  # fmt: skip
async def test_a_body_that_is_none(tmp_path: Path, body: bytes) -> None:
    home = Home(tmp_path, registration="open")
    async with home.running():
        call = Call("accounts.register", msgspec.Raw(body))
        reply = await answer_call(home.accounts, cast(Any, FakeChannel(PEER, "client")), call)
        assert reply is not None
        assert reply.failed is not None
        assert reply.failed.code == "invalid_request"
        assert GOOD not in reply.failed.message
        assert len(home.directory.users) == 1


async def test_what_a_newer_peer_says_besides_is_let_pass(tmp_path: Path) -> None:
    home = Home(tmp_path, registration="open")
    async with home.running():
        body = packed({"name": "ann", "password": GOOD, "colour": "blue"})
        call = Call("accounts.register", body)
        reply = await answer_call(home.accounts, cast(Any, FakeChannel(PEER, "client")), call)
        assert reply is not None
        assert reply.failed is None


async def test_what_is_not_asked_of_accounts(tmp_path: Path) -> None:
    home = Home(tmp_path)
    channel = cast(Any, FakeChannel(PEER, "client"))
    for method in ("explain", "accounts", "", "Accounts.login"):
        assert await answer_call(home.accounts, channel, Call(method)) is None
    for method in ("accounts.", "accounts.nothing", "accounts.users.list; --"):
        reply = await answer_call(home.accounts, channel, Call(method))
        assert reply is not None
        assert reply.failed is not None
        assert "know no such call: it may be older" in reply.failed.message


@pytest.mark.parametrize("body", [b"", b"\xc1", packed({"users": 7}), packed([])])
async def test_an_answer_that_cannot_be_read(body: bytes) -> None:
    channel = FakeChannel(GATEWAY, "gateway")
    channel.reply = Reply(msgspec.Raw(body))
    with refused(NoPeer, "The gateway …ewayHere gave what cannot be read"):
        await ask_elsewhere(cast(Any, channel), "users.list", Nothing(), "", 1.0)


async def test_a_refusal_of_a_kind_that_is_not_known_here() -> None:
    channel = FakeChannel(GATEWAY, "gateway")
    channel.reply = Reply(failed=Failed("brand_new", "because"))
    with pytest.raises(Exception, match="because"):
        await ask_elsewhere(cast(Any, channel), "users.list", Nothing(), "", 1.0)


# -- at the gateway --------------------------------------------------------------------------------


async def test_a_gateway_answers_such_calls_if_it_has_accounts(tmp_path: Path) -> None:
    home = Home(tmp_path)
    channel = cast(Any, FakeChannel(PEER, "client"))
    call = Call("accounts.whoami", packed(Nothing()))
    with_accounts = Gateway(
        cast(Any, GATEWAY), GatewaySettings(), home.metrics, accounts=home.accounts
    )
    reply = await with_accounts.called(channel, call)
    assert reply is not None
    assert reply.failed is not None
    assert reply.failed.code == "invalid_api_key"
    without = Gateway(cast(Any, GATEWAY), GatewaySettings(), Home(tmp_path).metrics)
    assert await without.called(channel, call) is None


def test_what_holds_a_secret_does_not_show_it() -> None:
    shown = repr([Register(name="a", password="s3cret"), Login(name="a", password="s3cret")])
    assert "s3cret" not in shown
    assert "s3cret" not in repr(Call("accounts.login", packed(Login(name="a", password="s3cret"))))
    assert "s3cret" not in repr(Call("x", msgspec.Raw(b""), "s3cret"))
