"""What strangers do to a node on its port: each costs only itself."""

from __future__ import annotations

import contextlib
import logging
import os
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.custom_types import TProtocol
from libp2p.host.exceptions import StreamFailure
from libp2p.network.exceptions import SwarmException
from libp2p.network.stream.exceptions import StreamEOF, StreamReset
from libp2p.security.insecure.transport import PLAINTEXT_PROTOCOL_ID, InsecureTransport
from libp2p.security.secio import transport as secio
from libp2p.stream_muxer.yamux.yamux import TYPE_DATA, YAMUX_HEADER_FORMAT

from aiplat.node.addresses import Endpoint, parse_target
from aiplat.node.host import bind_all, open_host
from aiplat.node.identity import Identity
from aiplat.node.muxing import MAX_BODY
from aiplat.node.pipe import socket_of
from aiplat.protocol.messages import CODEC, PROTOCOL_ID, Goodbye, Hello
from aiplat.telemetry.metrics import Metrics
from tests.unit.node.helpers import Sink, submission
from tests.unit.node.nodes import QUICK, Peer, connect, listening, running, stranger, until


async def check_well(peer: Peer, other: Peer) -> None:
    """The channel between two nodes carries a request."""
    sink = Sink()
    other.node.channels[peer.node.peer_id].submit(submission(), sink)
    handler = next(h for c, h in peer.handlers if c.peer == other.node.peer_id)
    await until(lambda: handler.requests)
    serving = handler.requests.pop()
    serving.start()
    serving.finish(0)
    await until(lambda: sink.end)


async def until_ended(stream: Any) -> None:
    """Read a stranger's stream until the node ends it."""
    with contextlib.suppress(StreamEOF, StreamReset):
        while True:
            await stream.read(4096)


@pytest.mark.trio
async def test_an_exception_in_a_stream_handler_ends_only_the_stream() -> None:
    """Guard 1: without it the whole host ends, and nobody is told."""

    async def explode(*_: object) -> None:
        raise RuntimeError("in a handler")

    sockets = await bind_all([Endpoint("127.0.0.1", 0)])
    identity = Identity.generate()
    with trio.fail_after(60):
        async with open_host(identity, QUICK, Metrics(), sockets) as host:
            host.serve(explode)
            a = stranger()
            async with listening(a):
                node_id = await connect(a, f"{next(iter(sockets))}/p2p/{identity.peer_id}")
                for _ in range(3):
                    with contextlib.suppress(StreamFailure):  # it may end before it is agreed on
                        await until_ended(await a.new_stream(node_id, [PROTOCOL_ID]))
                assert not host._swarm.get_manager().is_finished


@pytest.mark.trio
async def test_garbage_on_the_port_disturbs_nobody() -> None:
    a, b = Peer(), Peer()
    async with running(a, b):
        await b.node.reach(a.address)
        await until(lambda: a.node.channels)
        for junk in (
            os.urandom(4096),
            b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
            b"\xff" * 10_000,
            b"\x13/multistream/1.0.0\n" + b"\xff\xff\xff\xff\x7f" + os.urandom(50_000),
            b"\x13/multistream/1.0.0\n\x07/noise\n" + os.urandom(50_000),
            b"\x05\xff\xfe\xfd\xfc\n",
            b"",
        ):
            stream = await trio.open_tcp_stream("127.0.0.1", a.port)
            with trio.move_on_after(1):
                try:
                    await stream.send_all(junk)
                except trio.BrokenResourceError:
                    pass
            await trio.aclose_forcefully(stream)
            await check_well(a, b)
        assert len(a.handlers) == 1


@pytest.mark.trio
async def test_connections_that_say_nothing_are_bounded_and_ended() -> None:
    a, b = Peer(msgspec.structs.replace(QUICK, max_half_open=3)), Peer()
    async with running(a, b):
        silent = [await trio.open_tcp_stream("127.0.0.1", a.port) for _ in range(6)]
        await until(lambda: a.count("aiplat_bound_hits_total", bound="half_open") == 3)
        for stream in silent:
            with trio.fail_after(60):
                while await stream.receive_some(4096):
                    pass
            await stream.aclose()
        await b.node.reach(a.address)


@pytest.mark.trio
async def test_a_connection_that_ended_leaves_its_place_to_others() -> None:
    """libp2p's own listener holds it until the host stops: then the node would be deaf."""
    a = Peer(msgspec.structs.replace(QUICK, max_connections=2, linger_seconds=0.05))
    async with running(a):
        for _ in range(6):
            b = Peer()
            async with running(b):
                await b.node.reach(a.address)
            await until(lambda: not a.node.channels)
            await until(lambda: not a.node._host._swarm.get_connections())  # type: ignore[union-attr]  # it is there


@pytest.mark.trio
async def test_connections_are_bounded() -> None:
    a = Peer(msgspec.structs.replace(QUICK, max_connections=1))
    b, c = Peer(), Peer()
    async with running(a, b, c):
        await b.node.reach(a.address)
        with pytest.raises(Exception, match="is no aiplat node"):
            await c.node.reach(a.address)
        assert a.count("aiplat_bound_hits_total", bound="connections") == 1
        await until(lambda: a.node.channels)
        await check_well(a, b)


@pytest.mark.trio
@pytest.mark.parametrize("kind", ["plaintext", "secio"])
async def test_a_dialer_without_noise_is_refused(kind: str) -> None:
    """By default libp2p also offers SECIO, TLS and plain text."""
    keys = create_new_key_pair()
    transport = (
        {PLAINTEXT_PROTOCOL_ID: InsecureTransport(keys)}
        if kind == "plaintext"
        else {secio.ID: secio.Transport(keys)}
    )
    a, host = Peer(), stranger(sec_opt=transport)
    async with running(a), listening(host):
        with pytest.raises(SwarmException, match="failed to upgrade security"):
            await connect(host, a.address)
        assert not a.handlers


@pytest.mark.trio
async def test_a_stranger_may_connect_but_not_stay_for_nothing() -> None:
    a = Peer(msgspec.structs.replace(QUICK, idle_seconds=0.3))
    host = stranger()
    async with running(a), listening(host):
        node_id = await connect(host, a.address)
        await until(lambda: not host.get_network().get_connections(node_id))


@pytest.mark.trio
@pytest.mark.parametrize(
    "says",
    [b"", b"\xee" * 2000, CODEC.encode(Goodbye("bye"))],
    ids=["silence", "garbage", "goodbye"],
)
async def test_a_stranger_on_our_protocol_costs_only_itself(says: bytes) -> None:
    a = Peer()
    b, host = Peer(), stranger()
    async with running(a, b), listening(host):
        await b.node.reach(a.address)
        node_id = await connect(host, a.address)
        stream = await host.new_stream(node_id, [PROTOCOL_ID])
        if says:
            await stream.write(says)
        await until_ended(stream)
        await check_well(a, b)
        assert len(a.handlers) == 1


@pytest.mark.trio
async def test_a_peer_that_breaks_the_protocol_after_its_hello_costs_only_itself() -> None:
    a, b, host = Peer(), Peer(), stranger()
    async with running(a, b), listening(host):
        await b.node.reach(a.address)
        node_id = await connect(host, a.address)
        stream = await host.new_stream(node_id, [PROTOCOL_ID])
        await stream.write(CODEC.encode(Hello(roles=("client",), incarnation=1)))
        await until(lambda: len(a.handlers) == 2)
        await stream.write(b"\xff" * 100)
        await until(lambda: a.handlers[1][1].reasons)
        assert "broke the protocol" in a.handlers[1][1].reasons[0]
        assert a.count("aiplat_protocol_violations_total") == 1
        heard = b""
        while b"protocol_error" not in heard:
            heard += await stream.read(4096)
        await check_well(a, b)


@pytest.mark.trio
async def test_streams_on_one_connection_are_bounded() -> None:
    a = Peer(msgspec.structs.replace(QUICK, max_streams_per_connection=4))
    b, host = Peer(), stranger()
    async with running(a, b), listening(host):
        await b.node.reach(a.address)
        node_id = await connect(host, a.address)
        connection = host.get_network().get_connections(node_id)[0]
        for _ in range(12):
            await connection.new_stream()
        await until(lambda: a.count("aiplat_bound_hits_total", bound="streams") >= 8)
        await check_well(a, b)


@pytest.mark.trio
async def test_two_nodes_with_one_key_are_told() -> None:
    a = Peer()
    twin = Peer(identity=a.identity)
    async with running(a, twin):
        assert twin.node._host is not None
        target = a.node.addresses[0]
        twin.node._target = parse_target  # type: ignore[method-assign]  # in place of its own
        with pytest.raises(Exception, match="must not share one home"):
            await twin.node.reach(target)


@pytest.mark.trio
async def test_the_socket_below_a_channel_is_found() -> None:
    """Without it a write that hangs on a frozen peer could not be ended."""
    a, b = Peer(), Peer()
    async with running(a, b):
        await b.node.reach(a.address)
        for peer in (a, b):
            assert peer.node._host is not None
            await until(peer.node._host._swarm.get_connections)
            [connection] = peer.node._host._swarm.get_connections()
            assert socket_of(connection.muxed_conn) is not None


SCRIPT = """
import logging, os, sys, trio
logging.basicConfig(filename=sys.argv[1], level=logging.DEBUG)
from tests.unit.node.nodes import Peer, running, until
async def main():
    a, b = Peer(), Peer()
    async with running(a, b):
        await b.node.reach(a.address)
        stream = await trio.open_tcp_stream("127.0.0.1", a.port)
        await stream.send_all(b"\\x13/multistream/1.0.0\\n\\x07/noise\\n" + os.urandom(5000))
        await trio.aclose_forcefully(stream)
        await until(lambda: a.node.channels)
        logging.getLogger("libp2p.somewhere").warning("a warning of libp2p's")
trio.run(main)
"""


def test_libp2p_logs_where_logging_goes_and_not_to_stderr(tmp_path: Path) -> None:
    """Guard 11: at import libp2p leaves the tree of loggers, and one module adds a handler."""
    log = tmp_path / "log"
    done = subprocess.run(  # our own code
        [sys.executable, "-c", SCRIPT, str(log)], capture_output=True, text=True, timeout=180,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout == ""
    assert "a warning of libp2p's" in log.read_text()


@pytest.mark.trio
async def test_no_handler_is_added_to_the_root_logger() -> None:
    """Guard 11: `logging.debug`, which libp2p calls, would add one for stderr."""
    root = logging.getLogger()
    kept, root.handlers = root.handlers, []
    try:
        a, b = Peer(), Peer()
        async with running(a, b):
            await b.node.reach(a.address)
        assert root.handlers == []
        assert logging.getLogger("libp2p").handlers == []
    finally:
        root.handlers = kept


async def _reads_nothing(*_: object) -> None:
    await trio.sleep_forever()


@pytest.mark.trio
async def test_a_frame_of_yamux_is_bounded_before_it_is_read() -> None:
    """Only its head comes: without the bound 16 MiB would be waited for, and kept meanwhile."""
    a, b, host = Peer(), Peer(), stranger()
    async with running(a, b), listening(host):
        await b.node.reach(a.address)
        node_id = await connect(host, a.address)
        [connection] = host.get_network().get_connections(node_id)
        assert a.node._host is not None
        swarm = a.node._host._swarm
        a.node._host.handle("/unread/1", _reads_nothing)
        stream = (await host.new_stream(node_id, [TProtocol("/unread/1")])).muxed_stream
        size = MAX_BODY + 1
        header = struct.pack(YAMUX_HEADER_FORMAT, 0, TYPE_DATA, 0, stream.stream_id, size)
        await connection.muxed_conn._write_frame(header)
        await until(lambda: a.count("aiplat_bound_hits_total", bound="yamux_window") == 1)
        await until(lambda: len(swarm.get_connections()) == 1)
        await check_well(a, b)


@pytest.mark.trio
@pytest.mark.parametrize("frames", [[64 * 1024] * 6, [2 * 1024 * 1024]], ids=["window", "frame"])
async def test_who_sends_more_than_its_window_loses_its_connection(frames: list[int]) -> None:
    """Without the guard all of it is kept, for a stream that nobody reads."""
    a, b, host = Peer(), Peer(), stranger()
    async with running(a, b), listening(host):
        await b.node.reach(a.address)
        node_id = await connect(host, a.address)
        [connection] = host.get_network().get_connections(node_id)
        assert a.node._host is not None
        swarm = a.node._host._swarm
        a.node._host.handle("/unread/1", _reads_nothing)
        stream = (await host.new_stream(node_id, [TProtocol("/unread/1")])).muxed_stream
        with contextlib.suppress(Exception):  # it is cut off on the way
            for size in frames:
                header = struct.pack(YAMUX_HEADER_FORMAT, 0, TYPE_DATA, 0, stream.stream_id, size)
                await connection.muxed_conn._write_frame(header + bytes(size))
        await until(lambda: a.count("aiplat_bound_hits_total", bound="yamux_window") == 1)
        await until(lambda: len(swarm.get_connections()) == 1)
        await check_well(a, b)
