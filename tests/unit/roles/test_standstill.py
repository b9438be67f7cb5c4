"""A node that itself stood still holds that against nobody."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from aiplat.domain.answers import Failed
from aiplat.domain.errors import ProcessorLost
from aiplat.domain.ids import PeerId
from aiplat.roles.standstill import Ticks
from tests.support.dialogue import submission
from tests.unit.roles.test_client import Asker, gateway, watching
from tests.unit.roles.test_deadlines import Slow
from tests.unit.roles.test_gateway import running

FROZEN = 75.0
ASKED = {"deadline_ms": 600_000}


def freeze(clock: MockClock) -> None:
    """Let time pass in which no task runs, as in a process that is stopped."""
    clock.jump(FROZEN)


def test_how_late_a_look_is() -> None:
    ticks = Ticks(10.0, 0.5)
    assert ticks.late(10.5) == 0.0
    assert ticks.look(10.4) == 0.0
    assert ticks.late(12.9) == 2.0
    assert ticks.look(12.9) == 2.0
    assert ticks.look(13.4) == 0.0


@pytest.mark.trio
@pytest.mark.parametrize("tokens", [0, 1])
async def test_a_processor_is_not_late_for_what_the_gateway_slept(
    tokens: int, autojump_clock: MockClock
) -> None:
    house = Slow(first_token_seconds=60.0, next_token_seconds=60.0)
    async with running(house):
        sink = house.asks(**ASKED)
        house.work.starts()
        if tokens:
            house.work.says("Pa", 1)
        await trio.sleep(10)
        freeze(autojump_clock)
        await trio.sleep(49)
        assert not house.work.cancelled
        await trio.sleep(2)
        assert isinstance(sink.end, Failed), "what it took itself counts as ever"
    assert "Waited 60 s for the" in sink.end.message
    explained = house.gateway.explain(submission().id)
    assert explained.outcome.endswith(" (this gateway itself stood still for 75 s)")


@pytest.mark.trio
async def test_neither_a_queue_nor_a_cancel_is_over_for_it(autojump_clock: MockClock) -> None:
    house = Slow(queue_seconds=60.0, cancel_seconds=5.0)
    async with running(house):
        house.fill()
        waits = house.asks(**ASKED)
        cancelled = next(f for f in house.gateway.active if f.is_placed)
        cancelled.cancel()
        await trio.sleep(1)
        freeze(autojump_clock)
        await trio.sleep(3)
        assert not cancelled.ended
        assert not isinstance(waits.end, Failed)


@pytest.mark.trio
async def test_an_end_that_comes_before_the_next_look_is_told_so_too(
    autojump_clock: MockClock,
) -> None:
    house = Slow()
    async with running(house):
        house.asks(**ASKED)
        house.work.starts().says("Pa", 1)
        await trio.sleep(1)
        freeze(autojump_clock)
        house.work.sink.deliver(Failed.of(ProcessorLost("It hung up.")))
    explained = house.gateway.explain(submission().id)
    assert explained.outcome == "It hung up. (this gateway itself stood still for 75 s)"


@pytest.mark.trio
async def test_the_whole_deadline_holds_all_the_same_and_says_it(
    autojump_clock: MockClock,
) -> None:
    house = Slow()
    async with running(house):
        sink = house.asks(deadline_ms=70_000)
        await trio.sleep(1)
        freeze(autojump_clock)
        await trio.sleep(1)
        assert isinstance(sink.end, Failed)
    assert "had come from processor" in sink.end.message
    assert "(this gateway itself stood still for 75 s). Allow more" in sink.end.message
    processor = house.gateway.processors.get(PeerId("12D3KooWSlowSlowSlow"))
    assert processor is not None
    assert not processor.rests("tiny", trio.current_time())


@pytest.mark.trio
async def test_a_gateway_is_not_silent_for_what_the_client_slept(
    autojump_clock: MockClock,
) -> None:
    near = gateway("near")
    asker = Asker(near, silence_seconds=60.0)
    async with watching(asker.client):
        sink = asker.asks(**ASKED)
        await trio.sleep(10)
        freeze(autojump_clock)
        await trio.sleep(49)
        assert sink.events == []
        await trio.sleep(2)
        assert isinstance(sink.end, Failed)
