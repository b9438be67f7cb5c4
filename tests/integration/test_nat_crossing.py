"""A socket that leaves from the port that its node listens on, and where it goes.

That two of them meet takes two NATs: tests/integration/test_nat_namespaces.py.
"""

from __future__ import annotations

import socket

import pytest
import trio

from aiplat.node.addresses import Endpoint
from aiplat.node.nat.crossing import Connects, _bound, cross

MANY = Connects(1000, lambda: None)


async def listener() -> trio.SocketListener:
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    return listener


def place(listener: trio.SocketListener) -> Endpoint:
    ip, port = listener.socket.getsockname()
    return Endpoint(ip, port)


@pytest.mark.trio
async def test_it_leaves_from_the_port_that_is_listened_on() -> None:
    ours, theirs = await listener(), await listener()
    async with ours, theirs:
        stream = await cross([ours], [place(theirs)], 5.0, MANY)
        assert stream is not None
        accepted = await theirs.accept()
        async with stream, accepted:
            assert accepted.socket.getpeername()[1] == place(ours).port
            await stream.send_all(b"hello")
            assert await accepted.receive_some(5) == b"hello"


@pytest.mark.trio
async def test_it_gives_up_where_nobody_comes() -> None:
    ours, theirs = await listener(), await listener()
    there = place(theirs)
    await theirs.aclose()
    async with ours:
        assert await cross([ours], [there], 0.2, MANY) is None


@pytest.mark.trio
async def test_no_second_node_listens_on_the_port_meanwhile() -> None:
    ours = await listener()
    async with ours:
        bound = _bound([ours], Endpoint("127.0.0.1", 9))
        assert bound is not None
        assert ours.socket.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT) == 0
        with pytest.raises(OSError, match="in use"):
            await trio.open_tcp_listeners(place(ours).port, host="127.0.0.1")
        bound.close()


@pytest.mark.trio
async def test_it_connects_only_so_often() -> None:
    ours, theirs = await listener(), await listener()
    there, spent = place(theirs), []
    await theirs.aclose()
    async with ours:
        with trio.fail_after(60):
            connects = Connects(3, lambda: spent.append(True))
            assert await cross([ours], [there, there], 60.0, connects) is None
        assert spent == [True]
