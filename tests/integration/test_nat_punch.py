"""Ways past a relay: who has a node punch, where it connects then, and how often.

That two of them meet takes two NATs: test_nat_namespaces.py.
"""

from __future__ import annotations

import socket
from pathlib import Path

import msgspec
import pytest
import trio
from msgspec.structs import replace

from aiplat.domain.ids import PeerId
from aiplat.node.addresses import Endpoint, relay_in
from aiplat.node.channel import Channel
from aiplat.node.host import Host
from aiplat.node.membership.membership import Membership
from aiplat.node.nat import holepunch, observed
from aiplat.node.nat.crossing import Connects
from aiplat.node.nat.holepunch import PUNCH, SYNC, Punch, Punched
from aiplat.node.settings import NodeSettings
from aiplat.protocol.messages import Call, Reply
from tests.support.networks import Lab
from tests.support.relaying import answer_a_request, handler_of, hide, through
from tests.unit.node.helpers import Sink, submission
from tests.unit.node.nodes import QUICK, Peer, running, until

IN_A_NETWORK = replace(QUICK, listen=("/ip4/127.0.0.1/tcp/0",), mdns=False, min_members=0)
BOUNDS = ("punches", "punches_per_minute", "punch_connects")
OTHER = "198.51.100.7"
"""Of a third party; of a range that is nobody's (RFC 5737)."""


def house(folder: Path, **bounds: int) -> tuple[Peer, Peer, Peer]:
    """Two members, and a third that relays for them. Nobody looks for another."""
    lab = Lab(folder)
    settings = replace(IN_A_NETWORK, **bounds)
    relay = Peer(settings, identity=lab.identity, membership=lab.membership, roles=("client",))
    return a_member(lab, settings), a_member(lab, settings), relay


def a_member(lab: Lab, settings: NodeSettings) -> Peer:
    identity, membership = lab.member("processor")
    return Peer(settings, identity=identity, membership=membership, roles=("processor",))


def a_stranger(lab: Lab) -> Peer:
    """One without a certificate, which a public network takes as a client."""
    membership = Membership(None, clock=lab.clock)
    membership.take(replace(lab.record, certificate=b""))
    return Peer(IN_A_NETWORK, membership=membership, roles=("client",))


async def relayed(a: Peer, b: Peer, r: Peer) -> Channel:
    """A channel from one to the other through the third."""
    await b.node.reach(r.address)
    return await a.node.reach(through(r, b))


def punch(*places: tuple[str, int], come: bool = False) -> Call:
    return Call(PUNCH, msgspec.Raw(msgspec.msgpack.encode(Punch(places, come=come))))


def told(reply: Reply) -> Punched:
    assert reply.failed is None
    return msgspec.msgpack.decode(reply.body, type=Punched)


def said(node: Peer, ip: str) -> None:
    """Let a node have heard from its relays that all others are at this ip."""
    node.node.nat._circuits.observed.ips = lambda relay, peer: frozenset({ip})  # type: ignore[method-assign]  # a fake


def hits(peer: Peer) -> dict[str, float]:
    counts = {b: peer.count("aiplat_bound_hits_total", bound=b) for b in BOUNDS}
    return {bound: count for bound, count in counts.items() if count}


@pytest.fixture(autouse=True)
def nobody_leads(monkeypatch: pytest.MonkeyPatch) -> None:
    """By itself: the tests do, with words of their own."""
    monkeypatch.setattr(holepunch, "PAUSES", ())


@pytest.fixture
def crossings(monkeypatch: pytest.MonkeyPatch) -> list[list[Endpoint]]:
    """Where nodes began to connect to; none of it ends by itself, and no packet leaves."""
    begun: list[list[Endpoint]] = []

    async def cross(_: object, places: list[Endpoint], *more: object) -> None:
        begun.append(places)
        await trio.sleep_forever()

    monkeypatch.setattr(holepunch, "cross", cross)
    return begun


@pytest.mark.trio
async def test_a_relay_tells_each_end_where_it_sees_the_other(tmp_path: Path) -> None:
    a, b, r = house(tmp_path)
    async with running(a, b, r):
        channel = await relayed(a, b, r)
        mine, theirs = a.node.nat._circuits.observed, b.node.nat._circuits.observed
        assert mine.ips(r.node.peer_id, b.node.peer_id) == {"127.0.0.1"}
        await until(lambda: theirs.ips(r.node.peer_id, a.node.peer_id) == {"127.0.0.1"})
        channel.close("bye", "done")
        await until(lambda: not theirs._seen and not mine._seen)


@pytest.mark.trio
async def test_no_third_party_is_connected_to(
    tmp_path: Path, crossings: list[list[Endpoint]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a peer names as its own: its relay says where it is."""
    connected: list[Endpoint] = []

    async def connect(self: Host, endpoint: Endpoint, peer: PeerId) -> None:
        connected.append(endpoint)

    a, b, r = house(tmp_path)
    async with running(a, b, r):
        channel = await relayed(a, b, r)
        monkeypatch.setattr(Host, "connect", connect)
        said(b, "203.0.113.9")
        assert told(await channel.call(punch((OTHER, 22)), 60.0)).places == ()
        refused = await channel.call(Call(SYNC), 60.0)
        assert refused.failed is not None
        assert not told(await channel.call(punch((OTHER, 22), come=True), 60.0)).came
        assert not crossings
        assert not connected
        # Its own are connected to, without the others that it names beside them.
        places = ((OTHER, 22), ("203.0.113.9", 4001))
        assert told(await channel.call(punch(*places, come=True), 60.0)).came
        await channel.call(punch(*places), 60.0)
        await channel.call(Call(SYNC), 60.0)
        await until(lambda: crossings)
        assert connected == crossings[0] == [Endpoint("203.0.113.9", 4001)]


@pytest.mark.trio
async def test_who_leads_connects_to_no_third_party(
    tmp_path: Path, crossings: list[list[Endpoint]], monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b, r = house(tmp_path)
    async with running(a, b, r):
        channel = await relayed(a, b, r)
        said(b, "203.0.113.9")
        said(a, "203.0.113.9")
        lead = a.node.nat._punch
        monkeypatch.setattr(lead, "_places", lambda: ((("203.0.113.9", 1),), False))
        monkeypatch.setattr(b.node.nat._punch, "_places", lambda: (((OTHER, 22),), False))
        assert a.node._host is not None
        assert not await lead._try(a.node._host, channel)
        assert not crossings


@pytest.mark.trio
async def test_a_peer_has_one_crossing_at_a_time(
    tmp_path: Path, crossings: list[list[Endpoint]]
) -> None:
    a, b, r = house(tmp_path, punches_per_minute=20)
    async with running(a, b, r):
        channel = await relayed(a, b, r)
        said(b, OTHER)
        for _ in range(20):
            told(await channel.call(punch((OTHER, 22)), 60.0))
            await channel.call(Call(SYNC), 60.0)
        await until(lambda: crossings)
        assert len(crossings) == 1
        assert hits(b) == {"punches": 19}
        await answer_a_request(a, b)


@pytest.mark.trio
async def test_crossings_are_bounded_for_the_node(
    tmp_path: Path, crossings: list[list[Endpoint]]
) -> None:
    lab = Lab(tmp_path)
    settings = replace(IN_A_NETWORK, punches=1)
    r = Peer(settings, identity=lab.identity, membership=lab.membership, roles=("client",))
    a, b, c = (a_member(lab, settings) for _ in range(3))
    async with running(a, b, c, r):
        said(b, OTHER)
        for channel in (await relayed(a, b, r), await relayed(c, b, r)):
            told(await channel.call(punch((OTHER, 22)), 60.0))
            await channel.call(Call(SYNC), 60.0)
        await until(lambda: crossings)
        assert len(crossings) == 1
        assert hits(b) == {"punches": 1}


@pytest.mark.trio
async def test_a_peer_asks_so_often_in_a_minute(
    tmp_path: Path, crossings: list[list[Endpoint]]
) -> None:
    a, b, r = house(tmp_path, punches_per_minute=3)
    async with running(a, b, r):
        channel = await relayed(a, b, r)
        said(b, OTHER)
        replies = [await channel.call(punch((OTHER, 22)), 60.0) for _ in range(5)]
        codes = [reply.failed.code for reply in replies if reply.failed is not None]
        assert codes == ["rate_limit_exceeded"] * 2
        assert hits(b) == {"punches_per_minute": 2}


@pytest.mark.trio
async def test_a_node_comes_to_a_peer_once_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    came: list[Endpoint] = []

    async def connect(self: Host, endpoint: Endpoint, peer: PeerId) -> None:
        came.append(endpoint)
        await trio.sleep_forever()

    a, b, r = house(tmp_path, nat_probe_seconds=6)
    async with running(a, b, r):
        channel = await relayed(a, b, r)
        monkeypatch.setattr(Host, "connect", connect)
        said(b, OTHER)
        ask = punch((OTHER, 1), (OTHER, 2), come=True)
        codes: list[str] = []

        async def call() -> None:
            reply = await channel.call(ask, 60.0)
            codes.append("" if reply.failed is None else reply.failed.code)

        with trio.fail_after(11.5):  # the places share nat_probe_seconds
            async with trio.open_nursery() as nursery:
                for _ in range(3):
                    nursery.start_soon(call)
        assert sorted(codes) == ["", "overloaded", "overloaded"]
        assert came == [Endpoint(OTHER, 1), Endpoint(OTHER, 2)]
        assert hits(b) == {"punches": 2}


@pytest.mark.trio
async def test_a_place_for_a_crossing_is_given_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def cross(*_: object) -> None:
        raise OSError("no way")

    monkeypatch.setattr(holepunch, "cross", cross)
    a, b, r = house(tmp_path)
    async with running(a, b, r):
        channel = await relayed(a, b, r)
        said(b, OTHER)
        for _ in range(3):
            told(await channel.call(punch((OTHER, 22)), 60.0))
            assert (await channel.call(Call(SYNC), 60.0)).failed is None
            await until(lambda: not len(b.node.nat._punch._punches))


@pytest.mark.trio
async def test_one_crossing_connects_so_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To a closed port, which says so at once: without the bound it was 50 times a second."""
    monkeypatch.setattr(observed, "_is_harmless", lambda ip, relay_ip: True)  # loopback, here
    connects: list[Connects] = []
    take = Connects.take

    def spy(self: Connects) -> bool:
        connects.append(self)
        return take(self)

    monkeypatch.setattr(Connects, "take", spy)
    a, b, r = house(tmp_path, punch_connects=5)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        place = closed.getsockname()
        async with running(a, b, r):
            channel = await relayed(a, b, r)
            said(b, "127.0.0.1")
            told(await channel.call(punch(place), 60.0))
            await channel.call(Call(SYNC), 60.0)
            await until(lambda: hits(b) == {"punch_connects": 1})
            await until(lambda: not len(b.node.nat._punch._punches))
            assert len(connects) == 6


@pytest.mark.trio
@pytest.mark.parametrize("where", ["no network", "public network"])
async def test_only_members_have_a_node_punch(
    where: str, tmp_path: Path, crossings: list[list[Endpoint]]
) -> None:
    """Nobody does where no network is; a stranger does not, though it may be a client."""
    a, b, r = Peer(), Peer(), Peer()
    if where == "public network":
        lab = Lab(tmp_path, public=True)
        identity, membership = lab.member("gateway")
        b = Peer(IN_A_NETWORK, identity=identity, membership=membership, roles=("gateway",))
        r = Peer(IN_A_NETWORK, identity=lab.identity, membership=lab.membership, roles=("client",))
        a = a_stranger(lab)
        # As if it had got the circuit from a relay of another version.
        r.node.nat.relay._trusts = lambda channel: True
    async with running(a, b, r):
        channel = await relayed(a, b, r)
        said(b, OTHER)
        for call in (punch((OTHER, 22)), Call(SYNC), punch((OTHER, 22), come=True)):
            reply = await channel.call(call, 60.0)
            assert reply.failed is not None
            assert reply.failed.code == "invalid_request"
        assert not crossings


@pytest.mark.trio
async def test_a_strangers_word_where_a_peer_is_counts_for_nothing(
    tmp_path: Path, crossings: list[list[Endpoint]]
) -> None:
    """It relays between two members of a public network, of which one leads."""
    lab = Lab(tmp_path, public=True)
    a, b, r = a_member(lab, IN_A_NETWORK), a_member(lab, IN_A_NETWORK), a_stranger(lab)
    b.node.nat._circuits._trusts = lambda channel: True  # as if it had taken the circuit
    async with running(a, b, r):
        channel = await relayed(a, b, r)
        said(b, OTHER)
        reply = await channel.call(punch((OTHER, 22)), 60.0)
        assert reply.failed is not None
        assert reply.failed.code == "invalid_request"


@pytest.mark.trio
@pytest.mark.parametrize("tries", [(0.01,) * 300, ()], ids=["soon", "later"])
async def test_a_better_connection_waits_for_the_requests_of_the_relayed_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tries: tuple[float, ...]
) -> None:
    """Then it takes its place, and the relay carries nothing more."""
    monkeypatch.setattr(holepunch, "PAUSES", tries)
    monkeypatch.setattr(holepunch, "LATER_SECONDS", 0.01)
    monkeypatch.setattr(observed, "_is_harmless", lambda ip, relay_ip: True)  # loopback, here
    a, b, r = house(tmp_path, punches_per_minute=1000)
    hide(b)
    async with running(a, b, r):
        await b.node.reach(r.address)
        relayed = await a.node.reach(through(r, b))
        sink = Sink()
        relayed.submit(submission(), sink)
        await until(lambda: handler_of(b, a).requests)
        serving = handler_of(b, a).requests[0]
        serving.start()
        await until(lambda: a.node.nat.reach.state == "direct")
        await trio.sleep(2 * holepunch.IDLE_SECONDS)
        assert not relayed.is_ended
        serving.say(1, text="whole")
        serving.finish(1)
        await until(lambda: sink.end)
        assert sink.text == "whole"
        await until(lambda: relayed.is_ended)
        await until(lambda: r.node.nat.relay.circuits == 0)
        await until(lambda: b.node.peer_id in a.node.channels)
        channel = a.node.channels[b.node.peer_id]
        assert channel.dialed
        assert relay_in(channel.address) is None
        await until(lambda: len([c for c, _ in b.handlers if c.peer == a.node.peer_id]) == 2)
        await answer_a_request(a, b)


@pytest.mark.trio
async def test_only_who_dialed_a_relayed_channel_asks_for_a_way_past_it(tmp_path: Path) -> None:
    a, b, _ = house(tmp_path)
    async with running(a, b):
        channel = await a.node.reach(b.address)
        body = msgspec.Raw(msgspec.msgpack.encode(holepunch.Punch((("198.51.100.1", 22),))))
        for call in (Call(holepunch.PUNCH, body), Call(holepunch.SYNC)):
            reply = await channel.call(call, 60.0)
            assert reply.failed is not None
            assert reply.failed.code == "invalid_request"
