"""The watch on an engine's process, on a clock that is set by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
import trio
from trio.testing import MockClock, memory_stream_one_way_pair, wait_all_tasks_blocked

from aiplat.engine.life import Died, Life
from aiplat.engine.messages import ENGINE_CODEC, Numbers
from aiplat.engine.settings import EngineSettings
from aiplat.protocol.messages import Pong


class Watched:
    """A life whose process is the test; `died` says why it ended."""

    def __init__(self, take: Any = lambda number, message: None) -> None:
        stdin, self.heard = memory_stream_one_way_pair()
        self.says, stdout = memory_stream_one_way_pair()
        process = SimpleNamespace(
            stdin=stdin, stdout=stdout, returncode=None, wait=trio.sleep_forever
        )
        child: Any = SimpleNamespace(process=process)
        self.life = Life(
            child, EngineSettings(silence_seconds=3.0), ENGINE_CODEC, take, lambda: False
        )
        self.life.ready = True
        self.died = ""

    async def run(self) -> None:
        try:
            await self.life.run()
        except Died as died:
            self.died = str(died)

    async def says_something(self, message: msgspec.Struct | None = None) -> None:
        await self.says.send_all(ENGINE_CODEC.encode(message or Pong(1), 0))
        await wait_all_tasks_blocked()


async def pass_seconds(clock: MockClock, seconds: float) -> None:
    clock.jump(seconds)
    await wait_all_tasks_blocked()


@pytest.mark.trio
async def test_a_silent_engine_is_given_up(mock_clock: MockClock) -> None:
    watched = Watched()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watched.run)
        await wait_all_tasks_blocked()
        for _ in range(8):
            await watched.says_something()
            await pass_seconds(mock_clock, 0.75)
        assert watched.died == ""
        for _ in range(5):
            await pass_seconds(mock_clock, 0.75)
        assert watched.died == "did not answer for 3 s"


@pytest.mark.trio
async def test_seconds_in_which_the_node_stood_still_are_not_the_engines(
    mock_clock: MockClock,
) -> None:
    """A laptop that slept, or a node that was stopped, must not load its model anew."""
    watched = Watched()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watched.run)
        await wait_all_tasks_blocked()
        await watched.says_something()
        await pass_seconds(mock_clock, 3600)
        assert watched.died == ""
        await watched.says_something()
        await pass_seconds(mock_clock, 0.75)
        assert watched.died == ""
        nursery.cancel_scope.cancel()


@pytest.mark.trio
async def test_a_fault_of_ours_ends_the_engine_and_not_the_node(mock_clock: MockClock) -> None:
    def take(number: int, message: msgspec.Struct) -> None:
        raise OverflowError("can't serialize integers > 64 bits")

    watched = Watched(take)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watched.run)
        await wait_all_tasks_blocked()
        await watched.says_something(Numbers(0, 0, 0.0, 0.0, 0))
    assert "fault of this node" in watched.died
