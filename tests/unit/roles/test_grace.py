"""What a gateway or processor still has when its grace ends: it moves, or is told why."""

from __future__ import annotations

import pytest
from trio.testing import MockClock, wait_all_tasks_blocked

from aiplat.domain.answers import Failed, Finished
from aiplat.domain.errors import ShuttingDown
from aiplat.domain.ids import PeerId
from aiplat.protocol.messages import Announce
from aiplat.roles.processor import Processor
from tests.support.scripted import Kept, ScriptedProcessor, offer
from tests.unit.roles.test_client_and_processor import FakeEngine
from tests.unit.roles.test_gateway import House, running

OVER = ShuttingDown("The node was stopped before the answer was whole. Ask again.", retry_after=5)


@pytest.mark.trio
async def test_a_processor_whose_grace_ends_hands_on_what_has_no_token_and_tells_the_rest(
    autojump_clock: MockClock,
) -> None:
    house, engine = House(rest_seconds=60.0), FakeEngine()
    ending = Processor(PeerId("ending"), [engine])
    house.gateway.add_processor(PeerId("ending"), ending)
    house.announces("ending", offer(slots=8))
    async with running(house):
        moves, told = house.asks(), house.asks()
        engine.work[1].starts().says("Pa", 1)
        other = house.processor("other")
        ending.drain()
        house.gateway.processor_announced(
            PeerId("ending"), Announce(revision=9, models=(offer(),), draining=True)
        )
        assert not told.events[2:], "a drain ends nothing"
        ending.fail_all(OVER)
        await wait_all_tasks_blocked()
        [work] = other.work
        work.starts().says("Paris", 1).finishes()
        assert (moves.text, type(moves.end)) == ("Paris", Finished)
        assert isinstance(told.end, Failed)
        assert (told.end.code, told.end.recoverable) == ("shutting_down", True)
        assert told.end.retry_after_ms == 5000
        assert told.end.usage is not None
        assert told.end.usage.completion_tokens == 1, "what was accepted counts"
        house.revision = 100
        house.announces("ending", offer(slots=64))
        house.asks()
        assert len(engine.work) == 2, "it drains still"
        processor = house.gateway.processors.get(PeerId("ending"))
        assert processor is not None
        assert not processor.rests("tiny", 0.0), "who is stopped has not failed"


@pytest.mark.trio
async def test_a_gateway_whose_grace_ends_tells_all_and_stops_their_processors(
    autojump_clock: MockClock,
) -> None:
    house = House()
    processor: ScriptedProcessor = house.processor("p", offer(slots=1))
    async with running(house):
        sinks: list[Kept] = [house.asks() for _ in range(3)]
        processor.work[0].starts().says("x", 1)
        house.gateway.drain()
        house.gateway.fail_all(OVER)
        for sink in sinks:
            assert isinstance(sink.end, Failed)
            assert (sink.end.code, sink.end.recoverable) == ("shutting_down", True)
        assert [work.cancelled for work in processor.work] == [True, True]
        assert not house.gateway.active
        await wait_all_tasks_blocked()
        assert len(processor.work) == 2, "nothing is placed any more"
