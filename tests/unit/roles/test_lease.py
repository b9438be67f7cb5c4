"""A processor's lease is its channel, renewed by the heartbeat: on a clock, over a real channel."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from aiplat.domain.answers import Failed
from aiplat.domain.ids import PeerId
from aiplat.protocol.messages import Announce
from aiplat.roles.dispatch import Dispatch
from aiplat.roles.gateway import Gateway
from tests.support.scripted import ScriptedProcessor, offer
from tests.unit.node.helpers import Side, channels, settle
from tests.unit.roles.test_gateway import House, running


def hears(gateway: Gateway, side: Side) -> None:
    """Let a gateway hear all that comes over a channel."""
    roles = Dispatch({"gateway": gateway}).on_channel(side.channel)
    side.handler.announced = roles.announced  # type: ignore[method-assign]  # in place of the notes
    side.handler.ended = roles.ended  # type: ignore[method-assign]  # the same


@pytest.mark.trio
async def test_a_lease_is_renewed_by_heartbeats_and_ends_with_them(
    autojump_clock: MockClock,
) -> None:
    house = House()
    async with channels() as (ours, theirs), running(house):
        hears(house.gateway, ours)
        theirs.channel.say(Announce(revision=1, models=(offer(slots=4),)))
        await settle()
        assert [m.slots for m in house.gateway.models()] == [4]
        await trio.sleep(600)
        assert [m.slots for m in house.gateway.models()] == [4], "it said nothing new for long"
        began = trio.current_time()
        theirs.pipe.stall()  # it freezes: it takes all, and says nothing
        while len(house.gateway.processors):
            await trio.sleep(0.05)
        assert trio.current_time() - began <= 3.1
        assert house.gateway.models() == ()


@pytest.mark.trio
async def test_at_its_end_requests_move_and_what_it_says_later_is_void(
    autojump_clock: MockClock,
) -> None:
    house = House()
    async with channels() as (ours, theirs), running(house):
        hears(house.gateway, ours)
        theirs.channel.say(Announce(revision=7, models=(offer(slots=4),)))
        await settle()
        moves, told = house.asks(), house.asks()
        await settle()
        assert len(theirs.handler.requests) == 2
        theirs.handler.requests[1].start()
        theirs.handler.requests[1].say(1, text="Pa")
        await settle()
        other = ScriptedProcessor()
        house.gateway.add_processor(PeerId("other"), other)
        house.announces("other", offer())
        theirs.pipe.stall()
        await trio.sleep(3.2)
        assert isinstance(told.end, Failed), "its first token was said: it is told"
        assert told.end.code == "processor_lost"
        assert told.end.recoverable
        [work] = other.work
        theirs.pipe.flow()
        theirs.channel.say(Announce(revision=8, models=(offer("late"),)))
        await trio.sleep(1)
        assert [m.name for m in house.gateway.models()] == ["tiny"]
        work.starts().says("Paris", 1).finishes()
        assert moves.text == "Paris"
