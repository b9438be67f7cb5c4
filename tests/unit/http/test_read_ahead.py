"""What is read ahead of a request's turn ends no connection whose peer is there."""

from __future__ import annotations

import math

import trio

from aiplat.http.streams import GuardedStream


async def test_who_gives_up_reading_ahead_leaves_the_connection_as_it_is() -> None:
    ours, theirs = trio.socket.socketpair()
    with trio.CancelScope() as scope:
        stream = GuardedStream(trio.SocketStream(ours), 60, scope, lambda bound: None)
        with trio.CancelScope() as turn:
            turn.cancel()
            await stream.read_ahead(100)
        assert scope.deadline == math.inf
        await theirs.send(b"more")
        assert await stream.read_ahead(100)
        theirs.close()
        assert not await stream.read_ahead(100)
        assert scope.deadline < math.inf
        assert await stream.receive_some() == b"more"
        await stream.aclose()
    assert not scope.cancelled_caught
