"""Guards against what py-libp2p does by itself, on real hosts (docs/guards.md)."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
import trio
from libp2p.kad_dht.kad_dht import KadDHT
from libp2p.kad_dht.provider_store import ProviderStore
from libp2p.network import swarm as libp2p_swarm
from libp2p.network.exceptions import SwarmException
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import PeerInfo
from msgspec.structs import replace
from multiaddr import Multiaddr  # type: ignore[import-untyped]  # it has no types

from aiplat.domain.ids import PeerId
from aiplat.node.addresses import Endpoint
from aiplat.node.finding.dht import key_of
from aiplat.node.host import Host, bind_all, open_host
from aiplat.node.identity import Identity
from aiplat.node.pipe import StreamPipe
from aiplat.node.settings import NodeSettings
from aiplat.telemetry.metrics import Metrics
from tests.support.networks import Lab
from tests.unit.node.nodes import QUICK, Peer, running

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
    with trio.fail_after(180):
        async with a_host(many) as (far, far_id), a_host(QUICK) as (near, _):
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
    with trio.fail_after(180):
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
    with trio.fail_after(50):
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
    with trio.fail_after(60):
        async with a_host() as (far, far_id), a_host() as (near, _):
            known = [Multiaddr(NOWHERE), place_of(far)]
            near.libp2p.get_peerstore().add_addrs(far_id, known, 60)
            assert await near.libp2p.get_network().dial_peer(far_id)


@pytest.mark.trio
async def test_a_host_closes_its_connections_at_once() -> None:
    """Guard 12: libp2p closes one after the other, and rests 0.2 s at each."""
    took = [math.inf]
    with trio.fail_after(180):
        while min(took) >= 1.0 and len(took) < 6:  # the machine may be busy
            async with AsyncExitStack() as stack:
                others = [await stack.enter_async_context(a_host()) for _ in range(16)]
                async with a_host() as (near, _):
                    for far, far_id in others:
                        near.libp2p.get_peerstore().add_addrs(far_id, [place_of(far)], 60)
                        await near.libp2p.get_network().dial_peer(far_id)
                    began = trio.current_time()
                took.append(trio.current_time() - began)
    assert min(took) < 1.0, took


# -- the DHT -------------------------------------------------------------------------------------


@asynccontextmanager
async def two_members(folder: Path) -> AsyncIterator[tuple[Peer, Peer]]:
    """A gateway and a processor of one network, which look in the DHT without a pause."""
    lab = Lab(folder)
    settings = replace(
        QUICK, listen=("/ip4/127.0.0.1/tcp/0",), mdns=False, finding_seconds=0.05,
        reconnect_min_seconds=0.01,
    )  # fmt: skip
    identity, membership = lab.member("client", "processor")
    a = Peer(settings, identity=lab.identity, membership=lab.membership, roles=("gateway",))
    b = Peer(settings, identity=identity, membership=membership, roles=("client", "processor"))
    async with running(a, b):
        await b.node.reach(a.address)
        yield a, b


async def look(peer: Peer, times: int) -> None:
    """Let a node look so many times more."""
    enough = peer.node.dht.lookups + times
    while peer.node.dht.lookups < enough:
        peer.node.dht._news.set()
        await trio.sleep(0.01)


@pytest.mark.trio
async def test_a_lookup_asks_the_network_and_not_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guard 7: libp2p keeps for 48 hours what a lookup found, and answers the next with it."""
    cached: list[int] = []
    find = ProviderStore.find_providers

    async def spy(self: ProviderStore, key: bytes, count: int = 20) -> list[PeerInfo]:
        cached.append(len(self.get_providers(key)))
        return await find(self, key, count)

    monkeypatch.setattr(ProviderStore, "find_providers", spy)
    async with two_members(tmp_path) as (_, b):
        await look(b, 10)
    assert len(cached) >= 10
    assert not any(cached)


@pytest.mark.trio
async def test_a_provider_that_is_given_several_times_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guard 7: it would be dialed as often."""
    peer_id = Identity.generate().peer_id
    info = PeerInfo(ID.from_base58(peer_id), [Multiaddr(NOWHERE)])

    async def five(self: ProviderStore, key: bytes, count: int = 20) -> list[PeerInfo]:
        await trio.lowlevel.checkpoint()
        return [info] * 5

    monkeypatch.setattr(ProviderStore, "find_providers", five)
    async with two_members(tmp_path) as (_, b):
        await look(b, 1)
        found: list[str] = []
        b.node.dht._found = found.append
        before = b.node.dht.lookups
        await look(b, 6)
        dead = [address for address in found if peer_id in address]
        assert 1 <= len(dead) <= b.node.dht.lookups - before + 1


@pytest.mark.trio
async def test_roles_are_announced_once_and_not_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guard 8: over 10 in 10 s of one member, the DHT drops them without a word."""
    said: list[str] = []
    provide = KadDHT.provide

    async def spy(self: KadDHT, key: str) -> bool:
        said.append(key)
        return await provide(self, key)

    monkeypatch.setattr(KadDHT, "provide", spy)
    async with two_members(tmp_path) as (a, b):
        await look(b, 15)
        network = a.node.membership.network
        assert network is not None
        assert set(said) == {key_of(network, "gateway"), key_of(network, "processor")}
        assert len(said) <= 4  # two nodes, a role each, and again for whom comes with an address
