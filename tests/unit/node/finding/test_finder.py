"""The finder against channels with nothing behind them: whom it asks, tries, and what it says."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
from msgspec.structs import replace
from trio.testing import wait_all_tasks_blocked

from aiplat.domain.errors import NoPeer
from aiplat.domain.ids import PeerId, Role
from aiplat.node.addresses import parse_target
from aiplat.node.finding import finder as finder_module
from aiplat.node.finding.finder import (
    GATEWAYS,
    MAX_OF_ONE,
    MAX_READ,
    MAX_TOLD,
    MEMBERS,
    Finder,
)
from aiplat.node.identity import Identity
from aiplat.node.keeping import Wanted
from aiplat.node.known import KnownPeers
from aiplat.node.membership.membership import Membership
from aiplat.node.settings import NodeSettings
from aiplat.protocol.messages import Addresses, Call, Reply, Revocations
from tests.support.fake_channel import FakeChannel
from tests.support.networks import Lab

NO_HOST: Any = None
OWN = "/ip4/10.0.0.1/tcp/4001/p2p/us"
CERTIFICATE = b"shown"


def peer_of(number: int) -> PeerId:
    return Identity(number.to_bytes(32, "big")).peer_id


def at(number: int, port: int = 4001) -> str:
    return f"/ip4/10.0.0.9/tcp/{port}/p2p/{peer_of(number)}"


class Around:
    """A finder, and what there is around it."""

    def __init__(
        self,
        folder: Path | None,
        *roles: Role,
        known: KnownPeers | None = None,
        public: bool = False,
        tells: bool = True,
        **settings: Any,
    ) -> None:
        self.membership = Membership()
        if folder is not None:
            _, self.membership = Lab(folder, public=public).member(*roles, keeps=False)
        self.channels: dict[PeerId, FakeChannel] = {}
        self.kept: list[str] = []
        self.tried: list[str] = []
        self.wanted: list[Wanted] = []
        self.known = known or KnownPeers(None, 64)
        self.settings = replace(NodeSettings(), **settings)
        self.finder = Finder(
            self.settings, self.membership, roles or ("processor",),
            lambda: self.channels,  # type: ignore[arg-type,return-value]  # fakes
            self.kept.append, self.try_, lambda: self.wanted, lambda: (OWN,), self.known,
            tells=tells,
        )  # fmt: skip

    def try_(self, address: str) -> None:
        if "0.0.0.0" in address:
            raise NoPeer("It cannot be dialed.")
        self.tried.append(address)

    def comes(self, number: int, *roles: str, told: tuple[str, ...] = ()) -> FakeChannel:
        """A channel comes up, and the peer says where it is."""
        channel = FakeChannel(peer_of(number), *roles)
        channel.hello = replace(channel.hello, certificate=CERTIFICATE)
        self.channels[channel.peer] = channel
        self.finder.opened(channel)  # type: ignore[arg-type]  # a fake
        self.finder.told(channel, Addresses(told))  # type: ignore[arg-type]  # a fake
        return channel

    async def answer(self, method: str, asker: FakeChannel) -> list[str] | None:
        reply = await self.finder.called(asker, Call(method))  # type: ignore[arg-type]  # a fake
        return None if reply is None else msgspec.msgpack.decode(reply.body)

    async def looks(self, seconds: float = 0.5) -> None:
        """Run for so long, on a clock that jumps."""
        with trio.move_on_after(seconds):
            await self.finder.run(NO_HOST)


class Telling(FakeChannel):
    """A member that tells of others; by method, or rubbish."""

    def __init__(self, number: int, *roles: str, **answers: Any) -> None:
        super().__init__(peer_of(number), *roles)
        self.answers = answers
        self.asked: list[str] = []

    async def call(self, call: Call, deadline_seconds: float) -> Reply:
        self.asked.append(call.method)
        told = self.answers.get(call.method.partition(".")[2], ())
        if isinstance(told, Exception):
            raise told
        body = told if isinstance(told, bytes) else msgspec.msgpack.encode(told)
        return Reply(body=msgspec.Raw(body))


# -- what it tells -------------------------------------------------------------------------------


@pytest.mark.trio
async def test_members_are_told_of_gateways_and_of_each_other(tmp_path: Path) -> None:
    around = Around(tmp_path, "gateway")
    around.comes(1, "gateway", told=(at(1), at(2)))  # the second is of another
    processor = around.comes(3, "processor", told=(at(3),))
    around.comes(4, "client", told=(at(4),))
    assert processor.said == [Addresses((OWN,))]
    assert await around.answer(GATEWAYS, processor) == [OWN, at(1)]
    assert await around.answer(MEMBERS, processor) == [at(1), at(4)], "clients last, not itself"
    assert await around.answer("something else", processor) is None


@pytest.mark.trio
async def test_who_is_here_for_a_moment_only_says_no_address(tmp_path: Path) -> None:
    """A doctor's look: members would keep it in place of where the node really is."""
    around = Around(tmp_path, "processor", tells=False)
    gateway = around.comes(1, "gateway", told=(at(1),))
    around.finder.moved()
    assert gateway.said == []


@pytest.mark.trio
async def test_strangers_in_a_public_network_are_told_of_nobody_by_it(tmp_path: Path) -> None:
    around = Around(tmp_path, "gateway")
    stranger = around.comes(5, "client", told=(at(5),))
    stranger.hello = replace(stranger.hello, certificate=b"")
    other = around.comes(6, "processor", told=(at(6),))
    assert await around.answer(MEMBERS, other) == []


@pytest.mark.trio
async def test_what_is_told_is_bounded(tmp_path: Path) -> None:
    around = Around(tmp_path, "processor")
    for number in range(1, 40):
        told = tuple(at(number, port) for port in range(4001, 4020))
        around.comes(number, "gateway", told=told)
    asker = around.comes(99, "processor")
    for method in (GATEWAYS, MEMBERS):
        answer = await around.answer(method, asker)
        assert answer is not None
        assert len(answer) == MAX_TOLD
        one = answer[0].rsplit("/", 1)[-1]
        assert sum(one in address for address in answer) == MAX_OF_ONE


def test_when_it_moves_everyone_is_told_again(tmp_path: Path) -> None:
    around = Around(tmp_path, "processor")
    channel = around.comes(1, "gateway")
    around.finder.moved()
    assert channel.said == [Addresses((OWN,)), Addresses((OWN,))]


def test_in_no_network_nothing_is_told() -> None:
    around = Around(None, "processor")
    assert not around.comes(1, "gateway", told=(at(1),)).said
    around.finder.found(at(2))
    assert not around.tried
    assert not around.known.heard


def test_lists_of_revocations_are_not_for_it(tmp_path: Path) -> None:
    around = Around(tmp_path, "processor")
    channel = around.comes(1, "gateway", told=(at(1),))
    around.finder.told(channel, Revocations(b"x"))  # type: ignore[arg-type]  # a fake
    assert around.finder.gateways == {peer_of(1): (at(1),)}
    around.finder.ended(channel, "it went")  # type: ignore[arg-type]  # a fake
    assert around.finder.gateways == {peer_of(1): ()}


# -- whom it tries -------------------------------------------------------------------------------


def test_a_gateway_that_was_dialed_is_tried_at_all_it_told_and_no_other(tmp_path: Path) -> None:
    around = Around(tmp_path, "processor", max_addresses_per_peer=2)
    told = (at(1), at(2), at(1, 4002), at(1, 4003))
    around.comes(1, "gateway", told=told)
    assert around.tried == [at(1), at(1, 4002)]
    accepted = FakeChannel(peer_of(3), "gateway")
    accepted.dialed = False
    around.finder.told(accepted, Addresses((at(3),)))  # type: ignore[arg-type]  # a fake
    around.comes(4, "processor", told=(at(4),))
    assert around.tried == [at(1), at(1, 4002)]
    assert around.known.heard == (at(4), at(1), at(1, 4002), at(1, 4003))


@pytest.mark.parametrize("way", ["found", "found_member"])
def test_nobody_is_tried_who_is_there_or_is_this_node(tmp_path: Path, way: str) -> None:
    around = Around(tmp_path, "processor")
    around.comes(1, "gateway")
    for address in (
        at(1),
        f"/ip4/10.0.0.1/tcp/4001/p2p/{around.membership.peer}",
        "nonsense",
        f"/ip4/0.0.0.0/tcp/1/p2p/{peer_of(7)}",
    ):
        getattr(around.finder, way)(address)
    assert not around.tried
    getattr(around.finder, way)(at(2))
    assert around.tried == [at(2)]


def test_gateways_are_as_many_as_the_setting_and_members_at_least(tmp_path: Path) -> None:
    around = Around(tmp_path, "processor", max_gateways=2, min_members=3)
    around.comes(1, "gateway")
    around.finder.found(at(9))
    around.comes(2, "gateway")
    around.finder.found(at(8))
    around.finder.found_member(at(7))
    assert around.finder.lacking == 1
    around.comes(3, "processor")
    around.finder.found_member(at(6))
    assert around.finder.lacking == 0
    assert around.tried == [at(9), at(7)]


@pytest.mark.trio
async def test_it_asks_for_members_until_there_are_enough(
    tmp_path: Path, autojump_clock: Any
) -> None:
    around = Around(tmp_path, "processor", min_members=3)
    told = (at(5, 4001), at(5, 4002), at(6), at(7), at(8))
    one = Telling(1, "gateway", members=told, gateways=(at(2), at(1)))
    around.channels[one.peer] = one
    around.wanted = [Wanted(at(6), peer_of(6), "connecting", "")]
    await around.looks()
    assert around.tried == [at(2), at(5, 4001), at(5, 4002), at(7)], "two more, at all they told"
    for number in (5, 7):
        around.channels[peer_of(number)] = Telling(number, "processor")
    one.asked.clear()
    await around.looks(30)
    assert GATEWAYS in one.asked
    assert MEMBERS not in one.asked


@pytest.mark.trio
async def test_without_members_that_tell_it_tries_those_of_an_earlier_life(
    tmp_path: Path, autojump_clock: Any
) -> None:
    known = KnownPeers(None, 64)
    for number in range(1, 9):
        known.hear(peer_of(number), [at(number)])
    around = Around(tmp_path, "processor", known=known, min_members=3)
    await around.looks()
    assert len(around.tried) == 3
    assert set(around.tried) < set(known.heard)


@pytest.mark.trio
@pytest.mark.parametrize("told", [b"\x01", b"\xc1", [1, 2], NoPeer("It went."), {"a": "b"}])
async def test_rubbish_and_silence_are_passed_over(
    tmp_path: Path, autojump_clock: Any, told: Any
) -> None:
    around = Around(tmp_path, "processor")
    one = Telling(1, "gateway", members=told, gateways=told)
    around.channels[one.peer] = one
    await around.looks(25)
    assert len(one.asked) >= 4, "and it is asked again"
    assert not around.tried


@pytest.mark.trio
async def test_it_looks_at_once_when_a_peer_is_lost_and_else_now_and_then(
    tmp_path: Path, autojump_clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(random, "uniform", lambda low, high: high)
    around = Around(tmp_path, "processor", min_members=0)
    one, two = Telling(1, "gateway"), Telling(2, "gateway")
    around.channels = {one.peer: one, two.peer: two}
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(around.finder.run, NO_HOST)
        await trio.sleep(1)
        assert len(one.asked) == 1
        around.finder.ended(two, "it went")  # type: ignore[arg-type]  # a fake
        await wait_all_tasks_blocked()
        assert len(one.asked) == 2
        assert trio.current_time() - began < 1.1
        await trio.sleep(around.settings.finding_seconds - 0.1)
        assert len(one.asked) == 2
        await trio.sleep(0.2)
        assert len(one.asked) == 3
        nursery.cancel_scope.cancel()


# -- what it says --------------------------------------------------------------------------------


@pytest.mark.trio
async def test_it_keeps_to_the_addresses_of_its_token_and_says_what_is_not_there(
    tmp_path: Path, autojump_clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    around = Around(tmp_path, "processor")
    assert around.membership.record is not None
    around.membership.record = replace(around.membership.record, addresses=(at(1),))
    around.wanted = [Wanted(at(1), peer_of(1), "connecting", "Nothing listens there.")]
    with caplog.at_level("INFO", "aiplat.node.finding"):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(around.finder.run, NO_HOST)
            await trio.sleep(1)
            assert around.kept == [at(1)]
            assert around.finder.searching == (
                "No gateway of the network lab is reached yet: 1 address is tried again and "
                "again. The last try: Nothing listens there."
            )
            await trio.sleep(60)
            around.comes(1, "gateway")
            await wait_all_tasks_blocked()
            assert around.finder.searching == ""
            nursery.cancel_scope.cancel()
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2, "once, and not at each look"
    assert "No gateway" in said[0]
    assert "was found" in said[1]


@pytest.mark.trio
@pytest.mark.parametrize(
    ("roles", "others", "is_tried", "words"),
    [
        (("processor",), (), False, "none of their addresses is known here"),
        (("processor",), ("processor",), False, "No gateway of the network lab"),
        (("client",), ("gateway",), True, ""),
        (("gateway",), (), True, "No other member of the network lab is reached yet: 1 address"),
        (("gateway",), (), False, ""),
        (("gateway",), ("processor",), True, ""),
    ],
)
async def test_each_says_what_it_cannot_do_without(
    tmp_path: Path, autojump_clock: Any, roles: tuple[Role, ...], others: tuple[str, ...],
    is_tried: bool, words: str,
) -> None:  # fmt: skip
    around = Around(tmp_path, *roles)
    around.wanted = [Wanted(at(9), peer_of(9), "connecting", "")] if is_tried else []
    for number, role in enumerate(others, 1):
        around.comes(number, role)
    await around.looks()
    assert words in around.finder.searching
    assert bool(words) == bool(around.finder.searching)


@pytest.mark.trio
async def test_who_left_searches_nothing(tmp_path: Path, autojump_clock: Any) -> None:
    around = Around(tmp_path, "processor")
    await around.looks()
    assert around.finder.searching
    around.membership.take(None)
    await around.looks()
    assert not around.finder.searching


@pytest.mark.trio
async def test_in_a_public_network_no_stranger_is_asked_or_counts(
    autojump_clock: trio.testing.MockClock, tmp_path: Path
) -> None:
    around = Around(tmp_path, "processor", public=True, min_members=2)
    tells = {"gateways": [at(7)], "members": [at(8)]}
    stranger, client = Telling(1, "client", **tells), Telling(2, "client", **tells)
    client.hello = replace(client.hello, certificate=CERTIFICATE)
    for channel in (stranger, client):
        around.channels[channel.peer] = channel
    await around.looks()
    assert around.tried == []
    assert around.finder.lacking == 2
    gateway = Telling(3, "gateway", **tells)
    gateway.hello = replace(gateway.hello, certificate=CERTIFICATE)
    around.channels[gateway.peer] = gateway
    await around.looks()
    assert around.tried == [at(7), at(8)]
    assert around.finder.lacking == 1


def test_of_many_addresses_of_a_peer_few_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    around = Around(tmp_path, "processor")
    read: list[str] = []

    def parse(text: str, *, beyond: bool) -> Any:
        read.append(text)
        return parse_target(text, beyond=beyond)

    monkeypatch.setattr(finder_module, "parse_target", parse)
    own = tuple(at(1, 4000 + port) for port in range(32))
    others = tuple(at(2, 4000 + port) for port in range(32))
    channel = around.comes(1, "processor", told=(*others, *own))
    assert read == list(own[:MAX_READ])
    around.finder.told(channel, Addresses(own))  # type: ignore[arg-type]  # a fake
    assert len(read) == MAX_READ, "what was told before is not read again"
    assert around.known.heard == own[:MAX_OF_ONE]
