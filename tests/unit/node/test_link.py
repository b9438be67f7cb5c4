"""The life of one pipe: what came is taken by slices, with a turn for the writer between."""

from __future__ import annotations

import pytest
import trio

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
