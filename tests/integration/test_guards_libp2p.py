"""Guards against what py-libp2p does by itself, on real hosts (docs/guards.md)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trio
from libp2p.kad_dht.kad_dht import DHTMode, KadDHT
from libp2p.network import swarm as libp2p_swarm
from libp2p.network.exceptions import SwarmException
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import PeerInfo
from msgspec.structs import replace
from multiaddr import Multiaddr  # type: ignore[import-untyped]  # it has no types

from aiplat.domain.errors import NoPeer
from aiplat.domain.ids import PeerId
from aiplat.node.addresses import Endpoint
from aiplat.node.finding.dht import DhtFinder, key_of
from aiplat.node.host import Host, bind_all, open_host
from aiplat.node.identity import Identity
from aiplat.node.membership.membership import Membership
from aiplat.node.pipe import StreamPipe
from aiplat.node.settings import NodeSettings
from aiplat.telemetry.metrics import Metrics
from tests.support.networks import Lab
from tests.unit.node.nodes import QUICK, Peer, running, until

HELD = "/held/1"
NOWHERE = "/ip4/192.0.2.1/tcp/4001"
"""An address that leads nowhere (RFC 5737)."""


@asynccontextmanager
async def a_host(settings: NodeSettings = QUICK, port: int = 0) -> AsyncIterator[tuple[Host, ID]]:
    identity = Identity.generate()
    sockets = await bind_all([Endpoint("127.0.0.1", port)])
    async with open_host(identity, settings, Metrics(), sockets) as host:
        yield host, ID.from_base58(identity.peer_id)


def place_of(host: Host) -> Multiaddr:
    return host.libp2p.get_addrs()[0].decapsulate("/p2p")


async def hold(pipe: StreamPipe, peer: PeerId, address: str) -> None:
    await trio.sleep_forever()


@pytest.mark.trio
async def test_a_stream_over_the_256th_has_a_deadline() -> None:
    """Guard 5: libp2p lets it wait without an error, and for ever."""
    many = replace(QUICK, max_streams_per_connection=1000, max_streams_per_protocol=1000)
    quick = replace(QUICK, handshake_seconds=1.0)
    with trio.fail_after(60):
        async with a_host(many) as (far, far_id), a_host(quick) as (near, _):
            far.handle(HELD, hold)
            peer = PeerId(far_id.to_base58())
            near.libp2p.get_peerstore().add_addrs(far_id, [place_of(far)], 60)
            await near.libp2p.get_network().dial_peer(far_id)
            held = [await near.stream(peer, HELD) for _ in range(256)]
            with pytest.raises(trio.TooSlowError):
                await near.stream(peer, HELD)
            await held.pop().reset()
            held.append(await near.stream(peer, HELD))


@pytest.mark.trio
async def test_streams_that_ended_leave_their_places() -> None:
    """Guard 5: also those that came to nothing, or the 257th request of a relay would wait."""
    with trio.fail_after(60):
        async with a_host() as (far, far_id), a_host() as (near, _):
            peer = PeerId(far_id.to_base58())
            near.libp2p.get_peerstore().add_addrs(far_id, [place_of(far)], 60)
            await near.libp2p.get_network().dial_peer(far_id)
            for _ in range(300):
                with pytest.raises(Exception, match="not supported"):
                    await near.stream(peer, "/nobody/speaks/this")
            far.handle(HELD, hold)
            await near.stream(peer, HELD)


@pytest.mark.trio
async def test_libp2ps_services_keep_no_refusal_either() -> None:
    """Guard 6: for 60 s after a failure the DHT would find nobody there."""
    with trio.fail_after(30):
        async with a_host() as (near, _):
            async with a_host() as (far, far_id):
                where = place_of(far)
            network = near.libp2p.get_network()
            near.libp2p.get_peerstore().add_addrs(far_id, [where], 60)
            with pytest.raises(SwarmException):
                await network.dial_peer(far_id)
            async with a_host() as (again, again_id):
                near.libp2p.get_peerstore().add_addrs(again_id, [where], 60)
                with pytest.raises(SwarmException):
                    await network.dial_peer(again_id)
                near.libp2p.get_peerstore().add_addrs(again_id, [place_of(again)], 60)
                assert await network.dial_peer(again_id)


@pytest.mark.trio
async def test_no_wait_for_a_second_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guard 9: libp2p's own dialing waits so long, whatever comes."""
    monkeypatch.setattr(libp2p_swarm, "_HAPPY_EYEBALLS_DELAY", 60.0)
    with trio.fail_after(10):
        async with a_host() as (far, far_id), a_host() as (near, _):
            near.libp2p.get_peerstore().add_addrs(far_id, [place_of(far)], 60)
            assert await near.libp2p.get_network().dial_peer(far_id)
            await near.libp2p.connect(PeerInfo(far_id, [place_of(far)]))
        a, b = Peer(), Peer()
        async with running(a, b):
            await b.node.reach(a.address)


@pytest.mark.trio
async def test_an_address_on_loopback_is_dialed_beside_others() -> None:
    """Guard 10: libp2p drops it when the peer announces another, and the peer is not reached."""
    with trio.fail_after(10):
        async with a_host() as (far, far_id), a_host() as (near, _):
            known = [Multiaddr(NOWHERE), place_of(far)]
            near.libp2p.get_peerstore().add_addrs(far_id, known, 60)
            assert await near.libp2p.get_network().dial_peer(far_id)


# -- the DHT -------------------------------------------------------------------------------------


class FakeDht:
    """Notes what a node asks of the DHT; gives what it was given."""

    def __init__(self, *found: PeerInfo) -> None:
        self.provided: list[str] = []
        self.cached_when_asked: list[int] = []
        self.found = found
        self.provider_store = SimpleNamespace(providers={b"key": "from 48 hours ago"})

    async def provide(self, key: str) -> None:
        await trio.lowlevel.checkpoint()
        self.provided.append(key)

    async def find_providers(self, key: str, count: int) -> list[PeerInfo]:
        await trio.lowlevel.checkpoint()
        self.cached_when_asked.append(len(self.provider_store.providers))
        return list(self.found)


def finder(membership: Membership, found: list[str], *roles: Any) -> DhtFinder:
    return DhtFinder(NodeSettings(), membership, roles, dict, found.append)


@pytest.mark.trio
async def test_a_lookup_asks_the_network_and_not_the_cache(tmp_path: Path) -> None:
    """Guard 7: the cache keeps a provider for 48 hours; and gives one several times."""
    lab = Lab(tmp_path)
    peer = Identity.generate().peer_id
    info = PeerInfo(ID.from_base58(peer), [Multiaddr("/ip4/192.0.2.1/tcp/1")])
    dht, found = FakeDht(info, info, info), list[str]()
    for _ in range(2):
        dht.provider_store.providers["again"] = "what the last lookup found"
        await finder(lab.membership, found, "processor")._look(dht, lab.record.network)  # type: ignore[arg-type]  # what it asks of it
    assert dht.cached_when_asked == [0, 0]
    assert found == [f"/ip4/192.0.2.1/tcp/1/p2p/{peer}"] * 2


@pytest.mark.trio
async def test_the_cache_is_where_the_guard_empties_it() -> None:
    """Guard 7: in the real one; under another name it would be emptied in vain."""
    async with a_host() as (host, peer_id):
        dht = KadDHT(host.libp2p, DHTMode.SERVER)
        dht.provider_store.add_provider(b"key", PeerInfo(peer_id, [place_of(host)]))
        assert dht.provider_store.get_providers(b"key")
        dht.provider_store.providers.clear()
        assert not dht.provider_store.get_providers(b"key")


@pytest.mark.trio
async def test_roles_are_announced_and_not_models(tmp_path: Path) -> None:
    """Guard 8: over 10 in 10 s a member, the DHT drops them without a word."""
    lab = Lab(tmp_path)
    dht = FakeDht()
    roles = ("client", "gateway", "processor")
    await finder(lab.membership, [], *roles)._provide(dht, lab.record.network)  # type: ignore[arg-type]  # what it asks of it
    assert dht.provided == [key_of(lab.record.network, r) for r in ("gateway", "processor")]


@pytest.mark.trio
async def test_they_are_announced_again_only_to_who_is_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guard 8: each pass of the loop would be another announcement."""
    lab = Lab(tmp_path)
    said: list[str] = []
    provide = KadDHT.provide

    async def spy(self: KadDHT, key: str) -> bool:
        said.append(key)
        return await provide(self, key)

    monkeypatch.setattr(KadDHT, "provide", spy)
    settings = replace(
        QUICK, listen=("/ip4/127.0.0.1/tcp/0",), mdns=False, finding_seconds=0.05,
        reconnect_min_seconds=0.01,
    )  # fmt: skip
    identity, membership = lab.member("processor")
    a = Peer(settings, identity=lab.identity, membership=lab.membership, roles=("gateway",))
    b = Peer(settings, identity=identity, membership=membership, roles=("processor",))
    async with running(a, b):
        await b.node.reach(a.address)
        await until(lambda: b.node.dht.lookups >= 10, 20)
        assert len(said) <= 4  # two nodes, a role each; one more for whose addresses came late


@pytest.mark.trio
async def test_a_provider_that_died_is_dialed_in_vain_and_harms_nothing(tmp_path: Path) -> None:
    """Guard 7: it is still listed; only a channel says that it lives."""
    lab = Lab(tmp_path)
    member = Peer(replace(QUICK, mdns=False), membership=lab.membership, identity=lab.identity)
    dead = Identity.generate().peer_id
    async with running(member):
        info = PeerInfo(ID.from_base58(dead), [Multiaddr("/ip4/127.0.0.1/tcp/1")])
        await member.node.dht._look(FakeDht(info), lab.record.network)  # type: ignore[arg-type]  # what it asks of it
        [wanted] = member.node.wanted
        assert wanted.peer_id == dead
        await until(lambda: "connection refused" in member.node.wanted[0].note)
        with pytest.raises(NoPeer):
            await member.node.reach(wanted.address)
        assert dead not in member.node.channels
