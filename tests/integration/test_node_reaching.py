"""Everything that can be wrong with a peer's address, each with its own sentence."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import msgspec
import pytest
import trio
from libp2p.network import swarm as libp2p_swarm

from aiplat.domain.errors import ConfigError, NoPeer, NotReady
from aiplat.node.identity import Identity
from tests.unit.node.nodes import QUICK, Peer, listening, running, stranger, until

SOMEBODY = Identity(b"\x05" * 32).peer_id


@asynccontextmanager
async def tcp_server(handler: Any) -> AsyncIterator[int]:
    """Something that listens; gives its port."""
    async with trio.open_nursery() as nursery:
        serve = partial(trio.serve_tcp, handler, 0, host="127.0.0.1")
        [listener] = await nursery.start(serve)
        yield listener.socket.getsockname()[1]
        nursery.cancel_scope.cancel()


async def why_not(address: str, settings: Any = QUICK) -> str:
    """The sentence for an address that cannot be reached."""
    a = Peer(settings)
    async with running(a):
        with pytest.raises(NoPeer) as refusal:
            await a.node.reach(address)
    return str(refusal.value)


def at(port: int) -> str:
    return f"/ip4/127.0.0.1/tcp/{port}/p2p/{SOMEBODY}"


@pytest.mark.trio
async def test_nobody_listens() -> None:
    text = await why_not(at(1))
    assert "connection refused" in text
    assert "/ip4/127.0.0.1/tcp/1" in text


@pytest.mark.trio
async def test_it_answers_but_speaks_no_libp2p() -> None:
    async def http(stream: trio.SocketStream) -> None:
        await stream.send_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with tcp_server(http) as port:
        assert "is no aiplat node" in await why_not(at(port))


@pytest.mark.trio
async def test_it_takes_the_connection_and_says_nothing() -> None:
    async def mute(stream: trio.SocketStream) -> None:
        await trio.sleep_forever()

    settings = msgspec.structs.replace(QUICK, connect_seconds=0.5)
    async with tcp_server(mute) as port:
        assert "did not answer within 0.5 s" in await why_not(at(port), settings)


@pytest.mark.trio
async def test_it_is_another_peer() -> None:
    b = Peer()
    async with running(b):
        text = await why_not(at(b.port))
        assert SOMEBODY in text
        assert b.node.peer_id in text


@pytest.mark.trio
async def test_it_is_libp2p_but_not_aiplat() -> None:
    async with listening(stranger()) as address:
        assert "is a libp2p host but no aiplat node" in await why_not(address)


@pytest.mark.trio
async def test_it_speaks_another_major_version() -> None:
    host = stranger()

    async def handler(stream: Any) -> None: ...

    host.set_stream_handler("/aiplat/2", handler)
    async with listening(host) as address:
        text = await why_not(address)
    assert "speaks major version 2 of the aiplat protocol, this node speaks 1" in text


@pytest.mark.trio
@pytest.mark.parametrize("says", [b"", b"garbage that is no frame at all, not even nearly"])
async def test_it_speaks_our_protocol_and_says_nothing_or_garbage(says: bytes) -> None:
    host = stranger()

    async def handler(stream: Any) -> None:
        if says:
            await stream.write(says)
        await trio.sleep_forever()

    host.set_stream_handler("/aiplat/1", handler)
    async with listening(host) as address:
        text = await why_not(address)
    assert "did not agree on a channel" in text
    assert ("no Hello within 5 s" in text) != bool(says)


@pytest.mark.trio
async def test_it_is_this_node_itself() -> None:
    a, twin = Peer(), Peer()
    twin = Peer(identity=a.identity)
    async with running(a, twin):
        with pytest.raises(NoPeer, match="of this node itself"):
            await a.node.reach(a.address)
        with pytest.raises(NoPeer, match="of this node itself"):
            a.node.keep(twin.address)


@pytest.mark.trio
async def test_before_it_runs_a_node_reaches_nobody() -> None:
    with pytest.raises(NotReady):
        await Peer().node.reach(at(1))


@pytest.mark.trio
async def test_a_port_in_use_is_said() -> None:
    """libp2p's own listener shares the port silently, and takes half of the connections."""
    a = Peer()
    async with running(a):
        taken = Peer(msgspec.structs.replace(QUICK, listen=(f"/ip4/127.0.0.1/tcp/{a.port}",)))
        with pytest.raises(ConfigError, match="port is in use"):
            await taken.node.run(taken.on_channel, lambda peer, hello: None)


@pytest.mark.trio
async def test_a_node_does_not_listen_beyond_loopback() -> None:
    wide = Peer(msgspec.structs.replace(QUICK, listen=("/ip4/0.0.0.0/tcp/0",)))
    with pytest.raises(ConfigError, match="in no network"):
        await wide.node.run(wide.on_channel, lambda peer, hello: None)


@pytest.mark.trio
async def test_after_a_failed_dial_a_peer_is_reached_as_soon_as_it_is_there() -> None:
    """Guard 6: libp2p refuses a peer for 60 s after a failure."""
    a, b = Peer(), Peer()
    async with running(b):
        port = b.port
    settings = msgspec.structs.replace(QUICK, listen=(f"/ip4/127.0.0.1/tcp/{port}",))
    again = Peer(settings, identity=b.identity)
    address = f"/ip4/127.0.0.1/tcp/{port}/p2p/{b.node.peer_id}"
    async with running(a) as nursery:
        with pytest.raises(NoPeer, match="connection refused"):
            await a.node.reach(address)
        await nursery.start(again.run)
        await a.node.reach(address)


@pytest.mark.trio
async def test_a_peer_that_moved_is_reached_at_its_new_place() -> None:
    """libp2p would try the older of two addresses, and no other."""
    a, b = Peer(), Peer()
    async with running(a) as nursery:
        await nursery.start(b.run)
        await a.node.reach(b.address)
        b.scope.cancel()
        await until(lambda: not a.node.channels)
        moved = Peer(identity=b.identity)
        await nursery.start(moved.run)
        assert (await a.node.reach(moved.address)).peer == b.node.peer_id


@pytest.mark.trio
async def test_connecting_takes_no_happy_eyeballs_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guard 9: libp2p's own dial waits 250 ms for a second address, whatever comes."""
    monkeypatch.setattr(libp2p_swarm, "_HAPPY_EYEBALLS_DELAY", 60.0)
    a, b = Peer(), Peer()
    async with running(a, b):
        with trio.fail_after(30):
            await a.node.reach(b.address)
