"""The end of a circuit: a socket's manners over a stream."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing
from libp2p.io.exceptions import ConnectionClosedError
from libp2p.stream_muxer.exceptions import MuxedStreamEOF

from aiplat.domain.ids import PeerId
from aiplat.node.nat.circuit import Circuit

RELAY = PeerId("12D3KooWRelayRelayRelayRelay")


class FakePipe:
    """A stream to a relay that says what a test puts in."""

    def __init__(self, *chunks: bytes) -> None:
        self.chunks = list(chunks)
        self.ends = False
        self.written: list[bytes] = []
        self.resets = 0
        self.slow = False

    async def read(self) -> bytes:
        await trio.lowlevel.checkpoint()
        if self.chunks:
            return self.chunks.pop(0)
        if self.ends:
            raise MuxedStreamEOF
        await trio.sleep_forever()
        raise AssertionError

    async def write(self, data: bytes) -> None:
        await trio.lowlevel.checkpoint()
        if self.slow:
            await trio.sleep(0.05)
        self.written.append(data)

    async def reset(self) -> None:
        await trio.lowlevel.checkpoint()
        self.resets += 1


def circuit(pipe: Any, early: bytes = b"", write_bytes: int = 10) -> Circuit:
    return Circuit(pipe, RELAY, early, write_bytes)


@pytest.mark.trio
async def test_it_reads_as_a_socket_does() -> None:
    pipe = FakePipe(b"world")
    pipe.ends = True
    one = circuit(pipe, b"hello ")
    assert await one.read(2) == b"he"
    assert await one.read(100) == b"llo "
    assert await one.read() == b"world"
    assert await one.read(1) == b""
    assert await one.read(1) == b""


@pytest.mark.trio
async def test_it_writes_in_pieces_that_no_cancel_cuts() -> None:
    pipe = FakePipe()
    pipe.slow = True
    one = circuit(pipe)
    with trio.move_on_after(0.01) as scope:
        await one.write(b"x" * 25)
    assert scope.cancelled_caught
    assert pipe.written == [b"x" * 10]  # whole, though the cancel came in the midst of it
    pipe.slow = False
    await one.write(b"y" * 25)
    assert [len(data) for data in pipe.written[1:]] == [10, 10, 5]


@pytest.mark.trio
async def test_an_abort_wakes_who_reads_and_tells_the_relay() -> None:
    pipe = FakePipe()
    one = circuit(pipe)
    heard: list[bytes] = []

    async def read() -> None:
        heard.append(await one.read(10))

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(one.keep)
            nursery.start_soon(read)
            await trio.testing.wait_all_tasks_blocked()
            one.abort()
    assert heard == [b""]
    assert pipe.resets == 1
    with pytest.raises(ConnectionClosedError):
        await one.write(b"more")


@pytest.mark.trio
async def test_a_cancel_of_its_keeper_tells_the_relay() -> None:
    pipe = FakePipe()
    one = circuit(pipe)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(one.keep)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert pipe.resets == 1
    assert await one.read(1) == b""
