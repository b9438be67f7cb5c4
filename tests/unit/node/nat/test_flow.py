"""The rate of a circuit, on a clock that stands still while anything runs."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

from aiplat.node.nat.relay import Flow
from aiplat.node.settings import MIB, NodeSettings


class Source:
    """A stream that says so many chunks, and ends."""

    def __init__(self, *chunks: bytes) -> None:
        self._chunks = list(chunks)

    async def read(self) -> bytes:
        await trio.lowlevel.checkpoint()
        return self._chunks.pop(0) if self._chunks else b""


class Sink:
    """A stream that takes all at once."""

    def __init__(self) -> None:
        self.taken = 0

    async def write(self, data: bytes) -> None:
        await trio.lowlevel.checkpoint()
        self.taken += len(data)


async def seconds_for(settings: NodeSettings, size: int) -> float:
    source: Any = Source(*[bytes(256 * 1024)] * (size // (256 * 1024)))
    sink: Any = Sink()
    began = trio.current_time()
    await Flow(settings).pump(source, sink, b"", trio.Event())
    assert sink.taken == size
    return trio.current_time() - began


@pytest.mark.trio
async def test_a_circuit_has_a_rate_unless_it_is_told_otherwise(
    autojump_clock: trio.testing.MockClock,
) -> None:
    took = await seconds_for(NodeSettings(), 128 * MIB)
    assert 1.9 < took < 2.1
    assert await seconds_for(NodeSettings(relay_bytes_per_second=0), 128 * MIB) == 0


@pytest.mark.trio
async def test_what_was_not_used_of_a_rate_is_lost(autojump_clock: trio.testing.MockClock) -> None:
    """Else a circuit that was silent for an hour may send an hour's bytes at once."""
    settings = NodeSettings(relay_bytes_per_second=MIB)
    assert 0.9 < await seconds_for(settings, MIB) < 1.1

    class Late(Source):
        async def read(self) -> bytes:
            if len(self._chunks) == 4:
                await trio.sleep(3600)
            return await super().read()

    source: Any = Late(*[bytes(256 * 1024)] * 8)
    sink: Any = Sink()
    began = trio.current_time()
    await Flow(settings).pump(source, sink, b"", trio.Event())
    assert 3601.8 < trio.current_time() - began < 3602.1
