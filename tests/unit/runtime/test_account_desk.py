"""What this node's faces ask of accounts, here and elsewhere, and the sessions that are kept."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from aiplat.accounts.secret_forms import new_secret
from aiplat.control.accounts import (
    AccountsCall,
    BackupWish,
    KeysAsk,
    KeyWish,
    Login,
    NewKey,
    Nothing,
    Register,
    RoleWish,
    Session,
    UserName,
    WhoAmI,
)
from aiplat.credentials.credentials import Credentials
from aiplat.credentials.errors import NoKeyring
from aiplat.domain.errors import (
    AiplatError,
    InvalidApiKey,
    InvalidRequest,
    NoPeer,
    NotReady,
    PermissionDenied,
)
from aiplat.domain.ids import PeerId
from aiplat.roles.client import Client
from aiplat.roles.settings import ClientSettings
from aiplat.runtime.account_desk import AccountDesk
from aiplat.runtime.held_keys import HeldKeys
from tests.support.fake_channel import FakeChannel, FakeNode
from tests.unit.accounts.helpers import BAD, GATEWAY, GOOD, NOON, OTHER_GATEWAY, Home, refused
from tests.unit.credentials.fake_keyring import FakeKeyring
from tests.unit.roles.test_account_calls import Wire

HERE, ELSEWHERE = PeerId(GATEWAY), PeerId("12D3KooWClientNode")


class Faces:
    """A node with a keyring: the gateway's own, or a client's with a channel to it.

    Arguments:
        home: the gateway's accounts.
        own: whether it is the gateway's own node.
    """

    def __init__(self, home: Home, folder: Path, *, own: bool, key: str = "") -> None:
        self.home, self.own = home, own
        self.ring: FakeKeyring | None = FakeKeyring()
        self.credentials = Credentials(HERE if own else ELSEWHERE, folder, open_keyring=self.opens)
        self.held = HeldKeys(self.credentials, key, lambda: 0.0)
        self.node: Any = cast(Any, FakeNode())
        self.node.peer_id = HERE if own else ELSEWHERE
        self.node.channels = {}
        self.client = Client(ClientSettings(gateway_seconds=0.05))
        self.wire = Wire(home, ELSEWHERE)
        if not own:
            self.comes(self.wire)
        self.desk = AccountDesk(
            self.node, self.client, home.accounts if own else None, self.credentials, self.held,
            lambda: NOON,
        )  # fmt: skip

    def starts_again(self) -> None:
        """The next life of the node: it has read nothing yet."""
        self.held = HeldKeys(self.credentials, "", lambda: 0.0)
        self.desk = AccountDesk(
            self.node, self.client, self.home.accounts if self.own else None, self.credentials,
            self.held, lambda: NOON,
        )  # fmt: skip

    def opens(self) -> FakeKeyring:
        if self.ring is None:
            raise NoKeyring("There is no keyring.", "Install one.")
        return self.ring

    def comes(self, channel: FakeChannel) -> None:
        """A gateway is connected."""
        self.node.channels[channel.peer] = channel
        self.client.opened(cast(Any, channel))

    async def ask(
        self, method: str, wish: msgspec.Struct | None = None, credential: str = "", **call: Any
    ) -> Any:
        body = msgspec.Raw(msgspec.json.encode(wish or Nothing()))
        return await self.desk.answer(AccountsCall(method=method, wish=body, **call), credential)

    def kept(self) -> list[tuple[str, str]]:
        return [(held.kind, held.name) for held in self.credentials.held()]

    def secrets(self) -> set[str]:
        assert self.ring is not None
        return set(self.ring.kept.values())


@asynccontextmanager
async def faces(folder: Path, *, own: bool, key: str = "", **settings: Any) -> AsyncIterator[Faces]:
    (folder / "gateway").mkdir()
    home = Home(folder / "gateway", **({"registration": "open"} | settings))
    async with home.running():
        yield Faces(home, folder / "node", own=own, key=key)


BOTH = pytest.mark.parametrize("own", [True, False], ids=["at its own node", "over the network"])


# -- log-ins ---------------------------------------------------------------------------------------


@BOTH
async def test_a_session_is_kept_and_its_token_goes_no_further(tmp_path: Path, own: bool) -> None:
    async with faces(tmp_path, own=own) as node:
        made: Session = await node.ask("register", Register(name="ann", password=GOOD))
        assert (made.token, made.kept, made.gateway) == ("", "keyring", GATEWAY)
        assert node.kept() == [("session", "ann")]
        [token] = node.secrets()
        assert node.home.accounts._callers.find(token, "x").user.name == "ann"
        who: WhoAmI = await node.ask("whoami")
        assert (who.user.name, who.by) == ("ann", "session")
        again: Session = await node.ask("login", Login(name="ann", password=GOOD))
        assert node.kept() == [("session", "ann")], "the new one in place of the old"
        assert node.credentials.held()[0].id == again.id
        assert node.home.rows("SELECT id FROM sessions") == [(again.id,)], "that was ended"
        assert (await node.ask("logout")).message == "ann is logged out."
        assert (node.kept(), node.secrets()) == ([], set())
        assert node.home.rows("SELECT id FROM sessions") == []
        with refused(InvalidRequest, "Nobody is logged in at the gateway"):
            await node.ask("logout")


async def test_whose_node_it_is_is_its_operator_until_somebody_logs_in(tmp_path: Path) -> None:
    async with faces(tmp_path, own=True) as node:
        assert (await node.ask("whoami")).by == "operator"
        await node.ask("register", Register(name="ann", password=GOOD))
        with refused(PermissionDenied, "'ann' is none"):
            await node.ask("users.list")
        await node.ask("logout")
        assert len((await node.ask("users.list")).users) == 2


async def test_over_the_network_somebody_must_be_known(tmp_path: Path) -> None:
    async with faces(tmp_path, own=False) as node:
        with refused(InvalidApiKey, "must know who asks: log in first"):
            await node.ask("whoami")
        for method, wish in (("db.check", None), ("db.backup", BackupWish(path="/x"))):
            with refused(InvalidRequest, "is done on the gateway's own machine only"):
                await node.ask(method, wish)


@BOTH
@pytest.mark.parametrize("method", ["register", "login"])
async def test_without_a_keyring_nothing_is_begun(tmp_path: Path, own: bool, method: str) -> None:
    """It is noticed before: else a session were somewhere, and nobody had it."""
    async with faces(tmp_path, own=own) as node:
        await node.home.register("bob")
        node.ring = None
        wish = {
            "register": Register(name="ann", password=GOOD),
            "login": Login(name="bob", password=GOOD),
        }[method]
        with refused(NoKeyring, "There is no keyring"):
            await node.ask(method, wish)
        assert node.home.directory.named("ann") is None
        assert node.home.rows("SELECT count(*) FROM sessions") == [(1,)]
        made: Session = await node.ask(method, wish, insecure=True)
        assert made.kept == "file"
        assert (await node.ask("whoami")).by == "session"


async def test_a_wrong_password_keeps_nothing(tmp_path: Path) -> None:
    async with faces(tmp_path, own=False) as node:
        await node.home.register("ann")
        with refused(InvalidApiKey, "The name or the password is wrong"):
            await node.ask("login", Login(name="ann", password=BAD))
        assert node.kept() == []


async def test_a_session_that_cannot_be_kept_after_all_is_ended(tmp_path: Path) -> None:
    async with faces(tmp_path, own=False) as node:
        await node.home.register("ann")
        before = node.home.rows("SELECT id FROM sessions")
        fails_at(node, "set")
        with refused(NoKeyring, "The keyring cannot be reached"):
            await node.ask("login", Login(name="ann", password=GOOD))
        assert node.home.rows("SELECT id FROM sessions") == before
        assert node.kept() == []


def fails_at(node: Faces, what: str) -> None:
    """Let the keyring break at that, after it was tried and found good."""
    node.credentials.check()

    def before(call: str) -> None:
        if call == what:
            raise RuntimeError("the ring broke")

    assert node.ring is not None
    node.ring.before = before


async def test_a_session_that_is_over_can_be_put_away(tmp_path: Path) -> None:
    async with faces(tmp_path, own=False) as node:
        await node.ask("register", Register(name="ann", password=GOOD))
        node.home.does("DELETE FROM sessions")
        for session in list(node.home.directory.sessions.values()):
            node.home.directory.remove_session(session)
        with refused(InvalidApiKey, "is over: log in again"):
            await node.ask("whoami")
        assert "was over at the gateway already" in (await node.ask("logout")).message
        assert node.kept() == [], "whatever the gateway says, it is over here"


async def test_a_log_out_that_does_not_get_there_is_one_here(tmp_path: Path) -> None:
    async with faces(tmp_path, own=False) as node:
        await node.ask("register", Register(name="ann", password=GOOD))
        del node.node.channels[HERE]
        node.client.ended(cast(Any, node.wire), "it is away")
        told = (await node.ask("logout")).message
        assert "The gateway was not told" in told
        assert "is not connected any more" in told
        assert node.kept() == []


# -- which gateway, by what ------------------------------------------------------------------------


@BOTH
async def test_a_key_of_the_environment_speaks_before_all_else(tmp_path: Path, own: bool) -> None:
    async with faces(tmp_path, own=own) as node:
        session = await node.home.register("ann")
        made = await node.home.key("k", session.token, scopes=("usage",))
        who: WhoAmI = await node.ask("whoami", credential=made.key)
        assert (who.by, who.user.name) == ("key", "ann")
        with refused(PermissionDenied, "do not allow that.*AIPLAT_API_KEY is set"):
            await node.ask("keys.list", KeysAsk(), made.key)
        await node.ask("login", Login(name="ann", password=GOOD), made.key)
        assert (await node.ask("whoami", credential=made.key)).by == "key"
        assert (await node.ask("whoami")).by == "session"
        with refused(InvalidApiKey, "That is no API key"):
            await node.ask("whoami", credential="nonsense")
        with refused(NoPeer, "made the API key in AIPLAT_API_KEY is not connected"):
            await node.ask("whoami", credential=new_secret("sk", OTHER_GATEWAY)[0])
        assert (await node.ask("logout", credential=made.key)).message == "ann is logged out."


async def test_a_key_that_is_kept_speaks_for_its_owner(tmp_path: Path) -> None:
    async with faces(tmp_path, own=False) as node:
        await node.ask("register", Register(name="ann", password=GOOD))
        await node.ask("keys.create", KeyWish(name="k", scopes=("usage", "admin"), store=True))
        await node.ask("logout")
        for life in range(2):
            who: WhoAmI = await node.ask("whoami")
            assert (who.by, who.user.name) == ("key", "ann"), life
            node.starts_again()


async def test_no_other_gateway_is_shown_a_key_or_a_session(tmp_path: Path) -> None:
    async with faces(tmp_path, own=False) as node:
        session = await node.home.register("ann")
        made = await node.home.key("k", session.token)
        await node.ask("login", Login(name="ann", password=GOOD))
        stranger = FakeChannel("12D3KooWStrangersGateway", "gateway", latency=0.001)
        shown: list[str] = []

        async def hears(call: Any, seconds: float) -> Any:
            shown.append(call.credential)
            return stranger.reply

        cast(Any, stranger).call = hears
        node.comes(stranger)
        node.wire.latency = 1.0
        assert (await node.ask("whoami")).user.name == "ann", "who is logged in is known there"
        with refused(NoPeer, "is of another gateway than"):
            await node.ask("whoami", credential=made.key, gateway="StrangersGateway"[-8:])
        with refused(NoPeer, "cannot be read"):
            await node.ask("whoami", gateway="StrangersGateway"[-8:])
        assert shown == [""]
        await node.ask("logout")
        assert (await node.ask("whoami", credential=made.key)).user.name == "ann"
        login = Login(name="ann", password=GOOD)
        with refused(InvalidRequest, "There are 2 gateways, and a password is for one"):
            await node.ask("login", login)
        await node.ask("login", login, gateway=GATEWAY)
        await node.ask("keys.create", KeyWish(name="kept", store=True))
        await node.ask("logout")
        assert (await node.ask("login", login)).gateway == GATEWAY, "it has a key of that one"
        await node.ask("logout")
        node.client.ended(cast(Any, node.wire), "it is away")
        with refused(NoPeer, "You are known at the gateway .*, which is not connected"):
            await node.ask("login", login)
        assert shown == [""]


async def test_who_is_logged_in_elsewhere_is_asked_there(tmp_path: Path) -> None:
    """Also at a node that has a gateway of its own."""
    async with faces(tmp_path, own=False) as node:
        await node.ask("register", Register(name="ann", password=GOOD))
        (tmp_path / "own").mkdir()
        own = Home(tmp_path / "own")
        own.accounts._house.gateway = ELSEWHERE
        async with own.running():
            node.desk = AccountDesk(node.node, node.client, own.accounts, node.credentials,
                                    node.held, lambda: NOON)  # fmt: skip
            assert (await node.ask("whoami")).user.name == "ann"
            assert (await node.ask("whoami", gateway=ELSEWHERE)).by == "operator"
            node.client.ended(cast(Any, node.wire), "it is away")
            with refused(NoPeer, "You are logged in at the gateway .*, which is not connected"):
                await node.ask("keys.create", KeyWish(name="k"))
            assert own.directory.keys == {}, "nobody else's was made instead"
            del node.node.channels[HERE]
            assert "was not told" in (await node.ask("logout", gateway=GATEWAY)).message
            assert (await node.ask("whoami")).by == "operator"


async def test_a_log_in_that_cannot_be_read_is_nobody_elses_turn(tmp_path: Path) -> None:
    async with faces(tmp_path, own=True) as node:
        ann = await node.ask("register", Register(name="ann", password=GOOD))
        made: NewKey = await node.ask("keys.create", KeyWish(name="laptop"))
        node.ring = None
        node.credentials.report()
        with refused(NotReady, "There is no keyring. Install one. `aiplat logout` forgets it"):
            await node.ask("users.list")
        assert (await node.ask("whoami", credential=made.key)).user.name == "ann"
        told = (await node.ask("logout")).message
        assert "is forgotten here. The gateway was not told" in told
        assert node.home.rows("SELECT id FROM sessions") == [(ann.id,)]
        assert (await node.ask("whoami")).by == "operator"


async def test_a_gateway_that_one_logged_in_at_by_its_address_is_kept(tmp_path: Path) -> None:
    async with faces(tmp_path, own=False) as node:
        address = "/ip4/1.2.3.4/tcp/1"
        node.node.reachable = {address: node.wire}
        await node.ask("register", Register(name="ann", password=GOOD), gateway=address)
        await node.ask("whoami", gateway=address)
        assert node.node.kept == [address]


async def test_a_gateway_by_its_name_or_address(tmp_path: Path) -> None:
    async with faces(tmp_path, own=False) as node:
        await node.ask("register", Register(name="ann", password=GOOD))
        node.node.reachable = {
            "/ip4/1.2.3.4/tcp/1": node.wire,
            "/ip4/5.6.7.8/tcp/1": FakeChannel("p", "client"),
        }
        for name in (GATEWAY, GATEWAY[-8:], "/ip4/1.2.3.4/tcp/1"):
            assert (await node.ask("whoami", gateway=name)).user.name == "ann"
        with refused(NoPeer, "is no gateway"):
            await node.ask("whoami", gateway="/ip4/5.6.7.8/tcp/1")
        with refused(NoPeer, "refused the connection"):
            await node.ask("whoami", gateway="/ip4/9.9.9.9/tcp/1")
        with pytest.raises(AiplatError, match="gateway that this node is connected to"):
            await node.ask("whoami", gateway="12D3KooWNobody")


async def test_without_any_gateway(tmp_path: Path) -> None:
    async with faces(tmp_path, own=False) as node:
        node.client.ended(cast(Any, node.wire), "it died")
        with refused(NoPeer, "no gateway is connected"):
            await node.ask("whoami")
        lonely = AccountDesk(node.node, None, None, node.credentials, node.held, lambda: NOON)
        with refused(NotReady, "This node is no client"):
            await lonely.answer(AccountsCall(method="whoami", wish=msgspec.Raw(b"{}")), "")


async def test_one_that_goes_in_between(tmp_path: Path) -> None:
    async with faces(tmp_path, own=False) as node:
        del node.node.channels[HERE]
        with refused(NoPeer, "is not connected any more: try again"):
            await node.ask("login", Login(name="ann", password=GOOD))


# -- what is no question ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "body", "words"),
    [
        ("nothing", b"{}", "There is nothing to ask of accounts named 'nothing'"),
        ("\x1b[2J", b"{}", "named"),
        ("users.role", b'{"name": "ann", "role": "king"}', r"What is asked \(users.role\) cannot"),
        ("users.disable", b"{}", "missing required field `name`"),
        ("keys.create", b'{"name": "x", "scopes": ["all"]}', "cannot be read"),
        ("keys.create", b'{"name": "x", "limits": {"concurrent": "many"}}', "cannot be read"),
        ("usage", b'{"by": "colour"}', "cannot be read"), ("usage", b"[", "cannot be read"),
    ],
)  # fmt: skip
async def test_what_cannot_be_read(tmp_path: Path, method: str, body: bytes, words: str) -> None:
    async with faces(tmp_path, own=True) as node:
        with refused(InvalidRequest, words):
            await node.desk.answer(AccountsCall(method=method, wish=msgspec.Raw(body)), "")


async def test_operators_things_over_the_network(tmp_path: Path) -> None:
    async with faces(tmp_path, own=False) as node:
        await node.home.register("bob")
        await node.ask("register", Register(name="ann", password=GOOD))
        with refused(PermissionDenied, "Only an operator"):
            await node.ask("users.disable", UserName(name="bob"))
        await node.home.ask("users.role", RoleWish(name="ann", role="operator"))
        await node.ask("users.disable", UserName(name="bob"))
        assert node.home.user("bob").disabled


async def test_the_keyrings_state(tmp_path: Path) -> None:
    async with faces(tmp_path, own=True) as node:
        await node.ask("keys.create", KeyWish(name="laptop", store=True))
        told = await node.desk.keyring()
        assert told.usable
        assert len(told.held) == 1
        assert "laptop" in told.held[0]


def test_a_question_hides_what_it_holds() -> None:
    wish = msgspec.Raw(msgspec.json.encode(Login(name="ann", password="s3cret")))
    call = AccountsCall(method="login", wish=wish)
    assert "s3cret" not in repr(call)
    assert "s3cret" not in repr(SimpleNamespace(call=call))
