"""The bounds on what a peer may do, on real sockets: each costs itself alone (docs/guards.md)."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from socket import SO_RCVBUF, SO_SNDBUF, SOL_SOCKET
from typing import Any

import msgspec
import pytest
import trio
from libp2p.custom_types import TProtocol
from libp2p.identity.identify_push.identify_push import ID_PUSH
from libp2p.io.trio import TrioTCPStream
from libp2p.network.connection.raw_connection import RawConnection
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import info_from_p2p_addr
from libp2p.protocol_muxer.multiselect_communicator import MultiselectCommunicator
from libp2p.stream_muxer.yamux.yamux import (
    FLAG_SYN,
    TYPE_DATA,
    TYPE_WINDOW_UPDATE,
    YAMUX_HEADER_FORMAT,
)
from msgspec.structs import replace
from multiaddr import Multiaddr  # type: ignore[import-untyped]  # it has no types

from aiplat.domain.answers import Finished
from aiplat.domain.errors import NoPeer
from aiplat.domain.ids import PeerId
from aiplat.domain.usage import Usage
from aiplat.node.host import Host
from aiplat.node.nat.autonat import DIAL_ME, ask
from aiplat.node.nat.reach import DialMe
from aiplat.node.nat.words import HOP
from aiplat.node.pipe import StreamPipe, socket_of
from aiplat.node.settings import NodeSettings
from aiplat.node.swarm import Guarded
from aiplat.protocol.messages import CODEC, PROTOCOL_ID, Addresses, Call, Cancel, Hello, Ping, Reply
from tests.unit.node.helpers import Sink, submission
from tests.unit.node.nodes import QUICK, Peer, listening, running, stranger, until

ELSEWHERE = "127.0.0.2"
"""Another source of connections than the tests' own nodes, which are at 127.0.0.1."""

HELD = TProtocol("/held/1")
DHT = TProtocol("/dht/1")
"""One of ours, and one of libp2p's own, whose handlers keep their streams and read nothing."""


async def dial(peer: Peer, source: str = ELSEWHERE) -> trio.SocketStream:
    """A TCP connection to a node."""
    return await trio.open_tcp_stream("127.0.0.1", peer.port, local_address=source)


async def connect(host: Any, peer: Peer, source: str = ELSEWHERE) -> Any:
    """Let a stranger connect to a node; gives the connection."""
    stream = await dial(peer, source)
    host.sockets.append(stream.socket)
    raw = RawConnection(TrioTCPStream(stream), True)
    peer_id = info_from_p2p_addr(Multiaddr(peer.address)).peer_id
    return await host.get_network().upgrade_outbound_raw_conn(raw, peer_id)


def swarm_of(peer: Peer) -> Guarded:
    assert peer.node._host is not None
    return peer.node._host._swarm


def hits(peer: Peer, bound: str) -> float:
    return peer.count("aiplat_bound_hits_total", bound=bound)


def strangers(peer: Peer) -> int:
    """Connections of a node whose peers have no channel."""
    inbound = swarm_of(peer).inbound
    return sum(not inbound._is_proven(one) for one in inbound._all())


async def hold(*_: object) -> None:
    """A handler that keeps its stream, and reads nothing."""
    await trio.sleep_forever()


async def check_well(a: Peer, b: Peer, seconds: float = 60.0) -> None:
    """A small request of b's to a is answered, soon."""
    sink = Sink()
    with trio.fail_after(seconds):
        b.node.channels[a.node.peer_id].submit(submission(), sink)
        handler = next(h for c, h in a.handlers if c.peer == b.node.peer_id)
        await until(lambda: handler.requests)
        serving = handler.requests.pop()
        serving.start()
        serving.finish(0)
        await until(lambda: sink.end)


async def ended(stream: trio.SocketStream) -> None:
    """Wait until a node ended a connection."""
    with trio.fail_after(60), contextlib.suppress(trio.BrokenResourceError):
        while await stream.receive_some(4096):
            pass


@asynccontextmanager
async def house(**bounds: Any) -> AsyncIterator[tuple[Peer, Peer, Any]]:
    """A node with these bounds, another with a channel to it, and a stranger."""
    a, b, host = Peer(replace(QUICK, **bounds)), Peer(), stranger()
    async with running(a, b, seconds=600), listening(host):
        await b.node.reach(a.address)
        await until(lambda: a.handlers)
        assert a.node._host is not None
        a.node._host.handle(HELD, hold)
        a.node._host.libp2p.set_stream_handler(DHT, hold)
        yield a, b, host
        await check_well(a, b)


# -- connections ---------------------------------------------------------------------------------


@pytest.mark.trio
@pytest.mark.parametrize("stage", ["tcp", "multistream", "noise proposed", "noise done"])
async def test_a_handshake_has_a_deadline_at_each_stage(stage: str) -> None:
    async with house(handshake_seconds=4.0) as (a, _, host):
        stream = await dial(a)
        if stage in ("multistream", "noise proposed"):
            await stream.send_all(b"\x13/multistream/1.0.0\n")
        if stage == "noise proposed":
            await stream.send_all(b"\x07/noise\n")
        if stage == "noise done":
            upgrader = host.get_network().upgrader
            raw = RawConnection(TrioTCPStream(stream), True)
            await upgrader.upgrade_security(raw, True, ID.from_base58(a.node.peer_id))
        await until(lambda: len(swarm_of(a).inbound._half_open) == 1)
        await ended(stream)
        await until(lambda: len(swarm_of(a).inbound._half_open) == 0)
        await stream.aclose()


@pytest.mark.trio
async def test_who_takes_every_place_for_a_handshake_makes_room_for_others() -> None:
    async with house(max_half_open=4) as (a, _, __):
        silent = [await dial(a) for _ in range(4)]
        await until(lambda: len(swarm_of(a).inbound._half_open) == 4)
        for _ in range(3):
            c = Peer()
            async with running(c):
                await c.node.reach(a.address)
            await until(lambda: len(a.node.channels) == 1)
        assert hits(a, "half_open") >= 1
        await ended(silent[0])  # the oldest
        for stream in silent:
            await stream.aclose()


@pytest.mark.trio
async def test_connections_of_one_peer_are_bounded() -> None:
    async with house(max_connections_per_peer=3) as (a, _, host):
        made = [await connect(host, a) for _ in range(6)]
        await until(lambda: hits(a, "connections_per_peer") == 3)
        await until(lambda: sum(c.is_closed for c in made) == 3)
        assert strangers(a) == 3
        other = stranger()
        async with listening(other):
            assert not (await connect(other, a)).is_closed


@pytest.mark.trio
async def test_connections_without_a_channel_are_bounded_by_where_they_come_from() -> None:
    others = [stranger(), stranger()]
    async with (
        house(max_unproven_per_source=3) as (a, _, host),
        listening(others[0]), listening(others[1]),
    ):  # fmt: skip
        for one in (host, *others):
            await connect(one, a)
        await until(lambda: strangers(a) == 3)
        stream = await dial(a)
        await ended(stream)
        await stream.aclose()
        assert hits(a, "unproven_per_source") == 1
        c = Peer()
        async with running(c):  # from 127.0.0.1
            await c.node.reach(a.address)
            await until(lambda: len(a.node.channels) == 2)


@pytest.mark.trio
async def test_peers_with_a_channel_do_not_count_against_their_source(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Many members behind one NAT are no strangers."""
    monkeypatch.setattr("aiplat.node.nat.service.MAX_ASKED", 0)  # who is dialed back connects too
    async with house(max_unproven_per_source=6) as (a, _, __):
        others = [Peer() for _ in range(10)]
        async with running(*others):
            for other in others:
                await other.node.reach(a.address)
            await until(lambda: len(a.node.channels) == 11)
        await until(lambda: len(a.node.channels) == 1)
        assert hits(a, "unproven_per_source") == 0


@pytest.mark.trio
async def test_a_stranger_does_not_stay_for_ever_by_holding_a_stream() -> None:
    async with house(unproven_seconds=4.0) as (a, b, host):
        connection = await connect(host, a)
        await host.new_stream(ID.from_base58(a.node.peer_id), [HELD])
        await until(lambda: connection.is_closed)
        assert hits(a, "unproven_seconds") == 1
        assert not b.node.channels[a.node.peer_id].is_ended


@pytest.mark.trio
async def test_a_stranger_that_reads_nothing_cannot_hold_its_connection() -> None:
    """A word of farewell to it would hang; it is cut off without."""
    async with house(unproven_seconds=4.0, idle_seconds=4.0) as (a, _, host):
        connection = await connect(host, a)
        await until(lambda: strangers(a) == 1)
        [theirs] = swarm_of(a).get_connections(host.get_id())
        socket = socket_of(theirs.muxed_conn)
        assert socket is not None
        socket.setsockopt(SOL_SOCKET, SO_SNDBUF, 4096)
        host.sockets[0].setsockopt(SOL_SOCKET, SO_RCVBUF, 4096)
        stop_reading(connection)
        with trio.move_on_after(20), contextlib.suppress(Exception):
            while True:  # each is answered, until the socket is full
                await connection.muxed_conn._write_frame(syn(1001) * 1000)
        await until(lambda: strangers(a) == 0)
        await until(lambda: len(swarm_of(a).get_connections()) == 1)


@pytest.mark.trio
async def test_connections_in_a_minute_are_bounded() -> None:
    async with house(connects_per_minute=5) as (a, _, __):
        for _ in range(9):
            stream = await dial(a)
            await stream.aclose()
        await until(lambda: hits(a, "connects_per_minute") == 4)
        c = Peer()
        async with running(c):
            await c.node.reach(a.address)  # another source
        await until(lambda: len(a.node.channels) == 1)


@pytest.mark.trio
async def test_connections_that_lead_to_a_channel_are_forgiven(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("aiplat.node.nat.service.MAX_ASKED", 0)  # who is dialed back connects too
    async with house(connects_per_minute=3) as (a, _, __):
        for _ in range(6):
            c = Peer()
            async with running(c):
                await c.node.reach(a.address)
                await until(lambda: len(a.node.channels) == 2)
            await until(lambda: len(a.node.channels) == 1)
        assert hits(a, "connects_per_minute") == 0


@pytest.mark.trio
async def test_a_full_node_makes_room_where_nobody_proved_himself() -> None:
    async with house(max_connections=2, handshake_seconds=3.0) as (a, _, host):
        connection = await connect(host, a)
        await host.new_stream(ID.from_base58(a.node.peer_id), [HELD])
        await until(lambda: strangers(a) == 1)
        c = Peer()
        async with running(c):
            c.node.keep(a.address)  # turned away, and tried again
            await until(lambda: len(a.node.channels) == 2)
            assert connection.is_closed
        await until(lambda: len(a.node.channels) == 1)
        assert hits(a, "connections") >= 1


@pytest.mark.slow
@pytest.mark.trio
async def test_ten_thousand_connections_in_a_row() -> None:
    async with house(connects_per_minute=300) as (a, b, _):
        for number in range(10_000):
            with contextlib.suppress(OSError):
                stream = await dial(a)
                stream.socket.close()
            if number % 1000 == 0:
                await check_well(a, b)
        assert hits(a, "connects_per_minute") > 5000
        await until(lambda: len(swarm_of(a).inbound._half_open) == 0)
        assert len(swarm_of(a).get_connections()) == 1


# -- streams and bytes ---------------------------------------------------------------------------


def syn(number: int, size: int = 0) -> bytes:
    """The frame that opens a stream of yamux, with so many bytes in it."""
    kind = TYPE_DATA if size else TYPE_WINDOW_UPDATE
    return struct.pack(YAMUX_HEADER_FORMAT, 0, kind, FLAG_SYN, number, size) + bytes(size)


def stop_reading(connection: Any) -> None:
    """Let a stranger's connection read nothing more."""
    connection.muxed_conn.secured_conn.read = hold


@pytest.mark.trio
async def test_ten_thousand_streams_in_a_row_cost_the_connection() -> None:
    async with house(opens_per_minute=200) as (a, b, host):
        connection = await connect(host, a)
        with contextlib.suppress(Exception):  # it is cut off on the way
            for number in range(1001, 21_001, 2):
                await connection.muxed_conn._write_frame(syn(number))
                if number % 500 == 1:
                    await check_well(a, b)
        await until(lambda: len(swarm_of(a).get_connections()) == 1)
        assert hits(a, "opens_per_minute") >= 1
        assert hits(a, "streams") >= 1


@pytest.mark.trio
async def test_streams_one_after_the_other_are_bounded_by_the_minute() -> None:
    async with house(opens_per_minute=20) as (a, _, host):
        connection = await connect(host, a)
        with contextlib.suppress(Exception):
            for _ in range(100):
                await (await connection.new_stream()).reset()
        await until(lambda: connection.is_closed)
        assert hits(a, "opens_per_minute") >= 1
        assert hits(a, "streams") == 0


@pytest.mark.trio
async def test_what_waits_unread_on_all_streams_together_is_bounded() -> None:
    """Each stream is within its window of 256 KiB; 32 of them are not."""
    async with house() as (a, _, host):
        connection = await connect(host, a)
        node_id = ID.from_base58(a.node.peer_id)
        with contextlib.suppress(Exception):  # it is cut off on the way
            for _ in range(32):
                stream = await host.new_stream(node_id, [HELD])
                await stream.write(bytes(128 * 1024))
        await until(lambda: hits(a, "unread_bytes") == 1)
        await until(lambda: len(swarm_of(a).get_connections()) == 1)
        assert connection.is_closed


@pytest.mark.trio
async def test_what_came_on_a_stream_that_is_refused_is_dropped() -> None:
    """libp2p keeps it for a minute."""
    async with house(max_streams_per_connection=2) as (a, _, host):
        connection = await connect(host, a)
        await until(lambda: strangers(a) == 1)
        [theirs] = swarm_of(a).get_connections(host.get_id())
        for _ in range(2):
            await host.new_stream(ID.from_base58(a.node.peer_id), [HELD])
        for number in range(1001, 1101, 2):
            await connection.muxed_conn._write_frame(syn(number, 10_000))
        await until(lambda: hits(a, "streams") >= 40)
        buffers = theirs.muxed_conn.stream_buffers  # type: ignore[attr-defined]  # it is yamux's
        await until(lambda: sum(map(len, buffers.values())) <= 3 * 10_000)
        await until(lambda: len(buffers) <= 3)


@pytest.mark.trio
@pytest.mark.parametrize(
    ("protocol", "bounds", "bound"),
    [
        (HELD, {"max_streams_per_protocol": 3}, "streams_per_protocol"),
        (TProtocol(PROTOCOL_ID), {"max_streams_per_protocol": 3}, "streams_per_protocol"),
        (DHT, {"max_libp2p_streams": 3}, "libp2p_streams"),
    ],
)
async def test_streams_of_one_protocol_are_bounded_over_all_connections(
    protocol: TProtocol, bounds: dict[str, int], bound: str
) -> None:
    async with house(**bounds) as (a, _, host):
        for _ in range(2):
            connection = await connect(host, a)
            for _ in range(3):
                stream = await connection.new_stream()
                with contextlib.suppress(Exception):  # refused at once
                    await host.multiselect_client.select_one_of(
                        [protocol], MultiselectCommunicator(stream), 5
                    )
        await until(lambda: hits(a, bound) == 3)


@pytest.mark.trio
async def test_libp2ps_own_protocols_have_a_deadline() -> None:
    """A handler of the DHT's waits for ever, and there are twelve places for all peers."""
    async with house(libp2p_stream_seconds=2.0) as (a, _, host):
        await connect(host, a)
        stream = await host.new_stream(ID.from_base58(a.node.peer_id), [DHT])
        with trio.fail_after(60), contextlib.suppress(Exception):
            await stream.read(1)
        assert hits(a, "libp2p_stream_seconds") == 1


@pytest.mark.trio
async def test_nobody_writes_to_the_peerstore_unasked() -> None:
    async with house() as (a, _, __):
        assert ID_PUSH not in a.node._host.libp2p.multiselect.handlers  # type: ignore[union-attr]  # it is there


# -- a channel -----------------------------------------------------------------------------------


async def open_channel(host: Any, a: Peer, **hello: Any) -> tuple[Any, Any]:
    """Let a stranger have a channel; gives its connection and its stream."""
    connection = await connect(host, a)
    before = len(a.handlers)
    stream = await host.new_stream(ID.from_base58(a.node.peer_id), [TProtocol(PROTOCOL_ID)])
    await stream.write(CODEC.encode(Hello(roles=("client", "gateway"), incarnation=1, **hello)))
    await until(lambda: len(a.handlers) > before)
    return connection, stream


@pytest.mark.trio
async def test_a_reader_that_never_reads_loses_its_channel_alone() -> None:
    """It says something each moment, so it is not silent; but it takes nothing."""
    async with house(outbox_bytes=64 * 1024) as (a, b, host):
        connection, stream = await open_channel(host, a)
        [channel] = [c for c, _ in a.handlers if c.peer != b.node.peer_id]
        stop_reading(connection)
        news = Addresses(("a" * 500,) * 64)
        for nonce in range(100):
            await stream.write(CODEC.encode(Ping(nonce)))
            channel.say(news)
            assert channel._link._outbox.size <= 65 * 1024
            await check_well(a, b)
            if channel.is_ended:
                break
        await until(lambda: channel.is_ended)
        assert hits(a, "outbox") == 1
        assert "did not take" in channel.reason
        await until(lambda: len(swarm_of(a).get_connections()) == 1)


@pytest.mark.trio
async def test_requests_at_once_are_bounded_however_soon_they_are_cancelled() -> None:
    async with house() as (a, _, host):
        _, stream = await open_channel(host, a)
        pairs = [
            CODEC.encode(what, number)
            for number in range(1, 2 * 400, 2)
            for what in (submission(), Cancel())
        ]
        await stream.write(b"".join(pairs)[:60_000])
        await until(lambda: a.count("aiplat_protocol_violations_total") == 1)
        assert "more than 256 requests at once" in a.handlers[1][0].reason


@pytest.mark.trio
async def test_endless_submit_and_cancel_hold_back_nobody() -> None:
    """They are cheap, at most 256 at once: a small call of another waits for one read of them."""
    async with house() as (a, b, host):
        _, stream = await open_channel(host, a)
        handler = a.handlers[1][1]
        handler.on_submitted = lambda incoming: incoming.attach(Quits(incoming))
        took: list[float] = []
        number = 1
        for _ in range(50):
            pairs = []
            for _ in range(100):
                pairs += [CODEC.encode(submission(), number), CODEC.encode(Cancel(), number)]
                number += 2
            await stream.write(b"".join(pairs))
            began = trio.current_time()
            await check_well(a, b)
            took.append(trio.current_time() - began)
            await heard(stream, 100)
        assert not a.handlers[1][0].is_ended
        assert a.handlers[1][0].active == 0
        assert sorted(took)[len(took) // 2] < 1.0, took  # one may meet a machine that is busy


class Quits:
    """Who serves a request, and ends it when it is told to (`Asking`)."""

    def __init__(self, incoming: Any) -> None:
        self._incoming = incoming

    def accept(self, tokens: int, credit: int) -> None: ...

    def cancel(self) -> None:
        self._incoming.deliver(Finished("cancelled", Usage(0, 0)))


async def heard(stream: Any, ends: int) -> None:
    """Read a stranger's channel until so many answers ended."""
    data = b""
    while data.count(b"cancelled") < ends:
        data += await stream.read(65_536)


def test_one_source_cannot_take_every_connection_by_default() -> None:
    settings = NodeSettings()
    assert settings.max_unproven_per_source < settings.max_connections
    assert settings.max_half_open < settings.max_connections


@pytest.mark.trio
async def test_calls_at_once_are_bounded_and_each_has_a_deadline() -> None:
    async with house(call_seconds=4.0, silence_seconds=60.0) as (a, _, host):
        connection, stream = await open_channel(host, a)
        channel: Any
        handler: Any
        channel, handler = a.handlers[1]
        handler.called = hold
        await stream.write(b"".join(CODEC.encode(Call("slow"), n) for n in range(1, 129, 2)))
        await until(lambda: len(channel._machine._called) == 64)
        await until(lambda: not channel._machine._called)  # each was answered, as late
        assert not channel.is_ended
        await stream.write(b"".join(CODEC.encode(Call("slow"), n) for n in range(129, 259, 2)))
        await until(lambda: channel.is_ended)
        assert "more than 64 calls at once" in channel.reason
        await until(lambda: connection.is_closed)


@pytest.mark.trio
async def test_a_peer_is_dialed_back_once_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else one peer could keep a node dialing without end."""
    probing = 0

    async def probe(self: Host, endpoint: object, peer: PeerId) -> None:
        nonlocal probing
        probing += 1
        await trio.sleep_forever()

    async with house(nat_probe_seconds=3.0) as (a, b, _):
        channel = b.node.channels[a.node.peer_id]
        await until(
            lambda: b.node.nat.reach.state == "direct" and not a.node.nat._dial_back._dialing
        )
        monkeypatch.setattr(Host, "probe", probe)
        call = Call(DIAL_ME, msgspec.Raw(msgspec.msgpack.encode(DialMe((1,)))))
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(channel.call, call, 60.0)
        assert hits(a, "nat_probes") == 4
        assert probing == 1


# -- what cannot be read -------------------------------------------------------------------------

NO_TEXT = b"\x81\xa2ip\xa2\xff\xfe"
"""A text that is none: what decoding it raises is not of msgspec's kinds."""


@pytest.mark.trio
@pytest.mark.parametrize("body", [b"\x81\xa5ports\xa2\xff\xfe", b"\xc0"], ids=["bytes", "nil"])
async def test_a_call_that_cannot_be_read_is_refused_as_one(body: bytes) -> None:
    """Not as a fault of this node, whose log a stranger could fill."""
    async with house() as (a, b, _):
        channel = b.node.channels[a.node.peer_id]
        reply = await channel.call(Call(DIAL_ME, msgspec.Raw(body)), 60.0)
        assert reply.failed is not None
        assert reply.failed.code == "invalid_request"


@pytest.mark.trio
async def test_an_answer_that_cannot_be_read_is_none() -> None:
    async with house() as (a, b, _):
        a.handlers[0][1].reply = lambda call: Reply(msgspec.Raw(NO_TEXT))
        a.node._services.clear()  # the handler of the test answers in their place
        assert await ask(b.node.channels[a.node.peer_id], (1,), 60.0) is None


@pytest.mark.trio
async def test_a_relay_whose_answer_cannot_be_read_is_said_to_be_one() -> None:
    async def mumble(pipe: StreamPipe, peer: PeerId, address: str) -> None:
        body = b"\x81\xa7refused\xa2\xff\xfe"
        await pipe.write(len(body).to_bytes(2, "big") + body)
        await trio.sleep_forever()

    async with house() as (a, b, _):
        a.node._host.handle(HOP, mumble)  # type: ignore[union-attr]  # it is there
        nowhere = Peer().node.peer_id
        with pytest.raises(NoPeer, match="what it said cannot be read"):
            await b.node.reach(f"{a.address}/p2p-circuit/p2p/{nowhere}")
