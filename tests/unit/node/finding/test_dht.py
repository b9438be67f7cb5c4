"""The DHT's records and dials: the dead are not handed on, and not dialed again and again."""

from __future__ import annotations

import itertools
import random
from types import SimpleNamespace
from typing import Any

import pytest
import trio
from libp2p.kad_dht.provider_store import ProviderStore
from libp2p.network.exceptions import SwarmException
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import PeerInfo
from multiaddr import Multiaddr  # type: ignore[import-untyped]  # it has no types

from aiplat.domain.ids import PeerId
from aiplat.node.finding.dht import RECORD_SECONDS, DhtFinder, key_of
from aiplat.node.finding.dialing import PatientHost
from aiplat.node.identity import Identity
from aiplat.node.membership.membership import Membership
from aiplat.node.settings import NodeSettings
from tests.support.networks import Clock

NETWORK = bytes(32)
KEY = bytes.fromhex(key_of(NETWORK, "gateway"))


def id_of(number: int) -> ID:
    return ID.from_base58(Identity(number.to_bytes(32, "big")).peer_id)


def info(number: int) -> PeerInfo:
    return PeerInfo(id_of(number), [Multiaddr(f"/ip4/10.0.0.{number}/tcp/4001")])


class FakeHost:
    """A host that reaches only some peers."""

    def __init__(self) -> None:
        self.there: set[ID] = set()
        self.connected: set[ID] = set()
        self.dials: list[tuple[float, ID]] = []

    def get_id(self) -> ID:
        return id_of(99)

    def get_network(self) -> Any:
        return self

    def get_connections(self, peer: ID) -> list[Any]:
        return [SimpleNamespace(is_closed=False)] if peer in self.connected else []

    async def new_stream(self, peer: ID, protocols: object) -> Any:
        self.dials.append((trio.current_time(), peer))
        await trio.lowlevel.checkpoint()
        if peer not in self.there:
            raise SwarmException("nobody there")
        return "a stream"


class FakeDht:
    """What the finder uses of a `KadDHT`; lookups find what the test says."""

    def __init__(self) -> None:
        self.host = FakeHost()
        self.peer_routing = SimpleNamespace(find_closest_peers_network=self._closest)
        self.provider_store = ProviderStore(self.host, self.peer_routing)  # type: ignore[arg-type]  # a fake

    async def _closest(self, key: bytes) -> list[ID]:
        return [id_of(50)]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The time of day, also libp2p's."""
    clock = Clock()
    monkeypatch.setattr("libp2p.kad_dht.provider_store.time", SimpleNamespace(time=clock))
    return clock


def finder(clock: Clock) -> tuple[DhtFinder, list[str]]:
    found: list[str] = []
    membership = Membership(None, PeerId("us"), clock)
    return (
        DhtFinder(NodeSettings(), membership, ("processor",), dict, found.append, clock=clock),
        found,
    )


def test_keys_differ_by_network_and_role() -> None:
    keys = {
        key_of(network, role)
        for network in (NETWORK, b"\1" * 32)
        for role in ("gateway", "processor")
    }
    assert len(keys) == 4
    assert all(key.startswith("1220") and len(key) == 68 for key in keys)


def test_a_record_that_is_not_told_anew_is_handed_on_no_more(clock: Clock) -> None:
    dht: Any = FakeDht()
    finds, _ = finder(clock)
    dht.provider_store.add_provider(KEY, info(1))
    clock.now += RECORD_SECONDS / 2
    dht.provider_store.add_provider(KEY, info(2))
    clock.now += RECORD_SECONDS / 2 + 1
    finds._drop_old(dht)
    assert [one.peer_id for one in dht.provider_store.get_providers(KEY)] == [id_of(2)]
    clock.now += RECORD_SECONDS
    finds._drop_old(dht)
    assert KEY not in dht.provider_store.providers


@pytest.mark.trio
async def test_what_a_lookup_hears_is_used_and_not_handed_on(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else two nodes would tell each other of a dead one for ever."""
    dht: Any = FakeDht()
    finds, found = finder(clock)
    dht.provider_store.add_provider(KEY, info(1))  # told by itself

    async def others_tell(self: ProviderStore, peer: ID, key: bytes) -> Any:
        await trio.lowlevel.checkpoint()
        return [info(1), info(2)], []

    monkeypatch.setattr(ProviderStore, "_get_providers_from_peer_with_closers", others_tell)
    await finds._look(dht, NETWORK)
    assert sorted(found) == [f"/ip4/10.0.0.{n}/tcp/4001/p2p/{id_of(n).to_base58()}" for n in (1, 2)]
    assert [one.peer_id for one in dht.provider_store.get_providers(KEY)] == [id_of(1)]


# -- patience ------------------------------------------------------------------------------------


async def tries(host: PatientHost, peer: ID) -> None:
    with pytest.raises(SwarmException):
        await host.new_stream(peer, [])


@pytest.mark.trio
async def test_who_is_not_reached_is_dialed_ever_more_seldom(autojump_clock: Any) -> None:
    fake = FakeHost()
    host = PatientHost(fake, 10.0, 100.0)  # type: ignore[arg-type]  # a fake
    for _ in range(600):
        await tries(host, id_of(1))
        await trio.sleep(1)
    when = [round(at - fake.dials[0][0]) for at, _ in fake.dials]
    gaps = [after - before for before, after in itertools.pairwise(when)]
    assert gaps[:4] == [10, 20, 40, 80]
    assert set(gaps[4:]) == {100}


@pytest.mark.trio
async def test_who_is_connected_or_back_is_not_kept_waiting(autojump_clock: Any) -> None:
    fake = FakeHost()
    host = PatientHost(fake, 10.0, 100.0)  # type: ignore[arg-type]  # a fake
    peer = id_of(1)
    await tries(host, peer)
    fake.connected.add(peer)  # it came by itself
    fake.there.add(peer)
    assert str(await host.new_stream(peer, [])) == "a stream"
    fake.connected.clear()
    assert str(await host.new_stream(peer, [])) == "a stream", "and rests no more"
    fake.there.clear()
    fake.connected.add(peer)
    await tries(host, peer)  # it is there, and has no stream for us
    fake.there.add(peer)
    assert str(await host.new_stream(peer, [])) == "a stream"


def test_all_else_is_the_hosts_own() -> None:
    fake = FakeHost()
    host = PatientHost(fake, 10.0, 100.0)  # type: ignore[arg-type]  # a fake
    assert host.get_id() == id_of(99)


# -- how often -----------------------------------------------------------------------------------


class Rounds:
    """A finder whose rounds are counted, and nothing else: of a gateway, so that it has one."""

    def __init__(self) -> None:
        self.lacking = 0
        self.finder = DhtFinder(
            NodeSettings(), Membership(), ("gateway",), dict, lambda address: None,
            lacking=lambda: self.lacking,
        )  # fmt: skip
        self.at: list[float] = []

    async def run(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(random, "uniform", lambda low, high: high)
        while True:
            self.at.append(trio.current_time())
            await self.finder._rest()

    def pauses(self) -> list[float]:
        return [round(after - before, 2) for before, after in itertools.pairwise(self.at)]


@pytest.mark.trio
async def test_who_lacks_nobody_looks_ever_more_seldom(
    autojump_clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds = Rounds()
    with trio.move_on_after(3000):
        await rounds.run(monkeypatch)
    assert rounds.pauses() == [60, 120, 240, 480, 600, 600, 600]


@pytest.mark.trio
async def test_who_lacks_members_looks_again_and_again(
    autojump_clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds = Rounds()
    rounds.lacking = 2
    with trio.move_on_after(400):
        await rounds.run(monkeypatch)
    assert rounds.pauses() == [60] * 6


@pytest.mark.trio
@pytest.mark.parametrize("change", ["comes", "goes", "moves"])
async def test_a_crowd_that_comes_is_no_reason_for_a_round_each_but_to_lack_one_is(
    change: str, autojump_clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds = Rounds()
    channel: Any = SimpleNamespace(peer=PeerId("new"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(rounds.run, monkeypatch)
        await trio.sleep(500)  # in the pause of 480 s from 420 on
        for _ in range(50):
            rounds.finder.opened(channel)
            await trio.sleep(0.5)
        if change == "goes":
            rounds.lacking = 1
            rounds.finder.ended(channel, "it went")
        elif change == "moves":
            rounds.finder.moved()
        await trio.sleep(2)
        nursery.cancel_scope.cancel()
    soon = [at for at in rounds.at if at > 420]
    assert len(soon) == (0 if change == "comes" else 1)


@pytest.mark.trio
async def test_whom_members_tell_of_in_a_moment_is_not_looked_for(
    autojump_clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds = Rounds()
    channel: Any = SimpleNamespace(peer=PeerId("new"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(rounds.run, monkeypatch)
        await trio.sleep(500)
        for lacking in (3, 2, 0):
            rounds.lacking = lacking
            rounds.finder.opened(channel)
            await trio.sleep(0.3)
        await trio.sleep(300)
        assert rounds.at[-1] == 420
        rounds.lacking = 1
        rounds.finder.ended(channel, "it went")
        await trio.sleep(2)
        nursery.cancel_scope.cancel()
    assert rounds.at[-1] == pytest.approx(801.9)
