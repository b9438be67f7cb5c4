"""How many answers share a channel: what leaves together, and who waits for whom."""

from __future__ import annotations

from typing import Any

import pytest

from aiplat.domain.answers import Delta, Finished
from aiplat.node.settings import NodeSettings
from tests.unit.node.helpers import channels, settle

BULK_CREDIT = 1024 * 1024


@pytest.mark.trio
async def test_tokens_that_are_ready_together_leave_in_one_frame() -> None:
    async with channels() as (left, right):
        sink = left.ask()
        await settle()
        [serving] = right.handler.requests
        serving.start()
        await settle()
        right.pipe.stall()
        for number in range(100):
            serving.say(number, text="w")
        serving.finish(100)
        right.pipe.flow()
        await settle()
        assert sink.ids == list(range(100))
        assert isinstance(sink.end, Finished)
        assert sum(isinstance(event, Delta) for event in sink.events) < 5


@pytest.mark.trio
async def test_a_small_answer_waits_for_one_frame_of_each_other_not_for_all_they_have() -> None:
    async with channels(NodeSettings(write_bytes=16 * 1024)) as (left, right):
        bulks = [left.ask(number, credit=BULK_CREDIT) for number in (1, 2)]
        small = left.ask(3)
        await settle()
        *big, little = right.handler.requests
        right.pipe.stall()
        for serving in big:
            serving.start()
            for _ in range(60):
                serving.say(text="x" * 4000)
        little.start()
        little.finish(0)
        right.pipe.flow()
        while small.end is None:
            await settle(1)
        # Three of some thirty each: what had left the line before, and one frame in turn.
        assert all(len(bulk.text) < 60_000 for bulk in bulks)
        await settle(400)
        assert [len(bulk.text) for bulk in bulks] == [240_000, 240_000]


@pytest.mark.trio
async def test_what_waits_to_be_said_counts_against_the_outbox(autojump_clock: Any) -> None:
    """A peer that grants much and reads nothing ends its channel, not this node's memory."""
    async with channels(NodeSettings(outbox_bytes=256 * 1024)) as (left, right):
        for number in range(1, 5):
            left.ask(number, credit=BULK_CREDIT)
        await settle()
        right.pipe.stall()
        for serving in right.handler.requests:
            serving.start()
            for _ in range(5):
                serving.say(text="x" * 4000)
        await settle()
        assert right.channel.is_ended
        assert "did not take 262144 bytes" in right.channel.reason
        assert right.count("aiplat_bound_hits_total", bound="outbox") == 1
        right.pipe.flow()


@pytest.mark.trio
async def test_a_close_says_what_was_delivered_before_it() -> None:
    async with channels() as (left, right):
        sink = left.ask()
        await settle()
        [serving] = right.handler.requests
        serving.start()
        serving.say(1, 2, text="hi")
        serving.finish(2)
        right.channel.close("bye", "The node stops.")
        await settle()
        assert sink.text == "hi"
        assert isinstance(sink.end, Finished)
