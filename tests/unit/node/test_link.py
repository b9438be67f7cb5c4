"""The life of one pipe: what came is taken by slices, with a turn for the writer between."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from aiplat.node.link import SLICE_BYTES, Ending, Link
from aiplat.node.settings import NodeSettings

SLICES = 10


class OnePipe:
    """Gives much in one read, then nothing; notes what was taken when the first write came."""

    def __init__(self) -> None:
        self.taken: list[int] = []
        self.taken_at_first_write = 0
        self._given = False
        self._over = trio.Event()

    async def read(self) -> bytes:
        if self._given:
            await self._over.wait()
            return b""
        self._given = True
        return bytes(SLICES * SLICE_BYTES)

    async def write(self, data: bytes) -> None:
        if not self.taken_at_first_write:
            self.taken_at_first_write = len(self.taken)
        await trio.lowlevel.checkpoint()

    async def finish(self) -> None:
        self._over.set()
        await trio.lowlevel.checkpoint()

    def abort(self) -> None:
        self._over.set()


@pytest.mark.trio
async def test_first_answers_leave_before_all_that_came_was_read() -> None:
    """All at once, the peer would idle while this node works, and the other way round."""
    pipe = OnePipe()

    def received(data: bytes) -> None:
        pipe.taken.append(len(data))
        link.put(b"answer", None)
        if len(pipe.taken) == SLICES:
            link.end(Ending("closed", "it is done"))

    link = Link(pipe, NodeSettings(), received, lambda nonce: None, lambda: b"")
    with trio.fail_after(10):
        await link.run(lambda ending: None)
    assert pipe.taken == [SLICE_BYTES] * SLICES
    assert 0 < pipe.taken_at_first_write <= 3


class GonePipe:
    """Its peer said so much and went: nothing more can be written, and what it said lies unread."""

    def __init__(self, *said: bytes, ends: bool = True) -> None:
        self._said = [*said, b""] if ends else list(said)
        self._failed = trio.Event()

    async def read(self) -> bytes:
        await self._failed.wait()
        await trio.lowlevel.checkpoint()
        if not self._said:
            await trio.sleep_forever()
        return self._said.pop(0)

    async def write(self, data: bytes) -> None:
        self._failed.set()
        raise ConnectionError

    async def finish(self) -> None:
        raise ConnectionError

    def abort(self) -> None:
        self._said = []


@pytest.mark.trio
@pytest.mark.parametrize(("ends", "kind"), [(True, "eof"), (False, "silence")])
async def test_what_a_peer_said_before_it_went_is_heard_when_a_write_fails_first(
    ends: bool, kind: str, autojump_clock: MockClock
) -> None:
    """The last tokens of an answer, to a node that was busy while its processor stopped."""
    pipe, heard, endings = GonePipe(b"token", b"goodbye", ends=ends), list[bytes](), list[Ending]()
    link = Link(pipe, NodeSettings(), heard.append, lambda nonce: None, lambda: b"")
    link.put(b"ack", None)
    await link.run(endings.append)
    assert heard == [b"token", b"goodbye"]
    assert [ending.kind for ending in endings] == [kind]
    assert trio.current_time() < NodeSettings().silence_seconds + 0.1
