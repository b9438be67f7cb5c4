"""Requests over a channel: order, credit, cancels, calls, and faults that stay where they are."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import trio

from aiplat.domain.answers import AnswerEvent, Delta, Failed, Finished, Started
from aiplat.domain.errors import (
    DeadlineExceeded,
    InvalidRequest,
    NotReady,
    Overloaded,
    RequestTooLarge,
)
from aiplat.domain.usage import Usage
from aiplat.node.channel import Incoming
from aiplat.node.settings import NodeSettings
from aiplat.protocol.messages import Addresses, Announce, Call, Drain, Reply, Revocations
from tests.unit.node.helpers import STARTED, Serving, Sink, channels, settle, submission


@pytest.mark.trio
@pytest.mark.parametrize("chop", [0, 1, 7])
async def test_an_answer_comes_whole_and_in_order(chop: int) -> None:
    async with channels(chop=chop) as (left, right):
        sink = left.ask(text="What is the capital of France?")
        await settle(800 if chop else 40)
        [serving] = right.handler.requests
        assert (
            serving.incoming.submission.work
            == submission(text="What is the capital of France?").work
        )
        serving.start()
        for token in range(20):
            serving.say(token, text=f"{token} ")
        serving.finish(20)
        await settle(3000 if chop else 40)
        assert isinstance(sink.events[0], Started)
        assert sink.ids == list(range(20))
        assert sink.text == "".join(f"{token} " for token in range(20))
        assert sink.end == Finished("stop", Usage(3, 20))


@pytest.mark.trio
async def test_both_sides_ask_at_once_and_many_requests_interleave() -> None:
    async with channels() as (left, right):
        sinks = {number: left.ask(number) for number in range(50)}
        back = right.ask(99)
        await settle()
        assert len(right.handler.requests) == 50
        for serving in right.handler.requests:
            serving.start()
        for token in range(5):
            for serving in reversed(right.handler.requests):
                serving.say(token)
        for serving in list(right.handler.requests):
            serving.finish(5)
        left.handler.requests[0].start()
        left.handler.requests[0].finish(0)
        await settle()
        assert all(sink.ids == [0, 1, 2, 3, 4] and sink.end for sink in sinks.values())
        assert isinstance(back.end, Finished)
        assert left.channel.active == right.channel.active == 0


@pytest.mark.trio
async def test_what_is_ready_together_leaves_in_one_write() -> None:
    async with channels() as (left, right):
        for number in range(30):
            left.ask(number)
        await settle()
        before = len(right.pipe.writes)
        for serving in right.handler.requests:
            serving.start()
            serving.say(1, 2, 3, text="abc")
            serving.finish(3)
        await settle()
        assert len(right.pipe.writes) == before + 1
        assert left.channel.active == 0


@pytest.mark.trio
async def test_a_reader_grants_credit_in_few_messages_never_one_a_token() -> None:
    async with channels() as (left, right):
        sink = left.ask(credit=4000)
        await settle()
        [serving] = right.handler.requests
        serving.start()
        assert sink.asking is not None
        for token in range(1, 1001):  # 8 of cost each: twice the window
            serving.say(token % 1000, text="x")
            await settle(12)
            sink.asking.accept(token, 8)
            await settle(12)
        assert len(sink.ids) == 1000
        assert serving.accepted == [(250, 2000), (500, 2000), (750, 2000), (1000, 2000)]


@pytest.mark.trio
async def test_beyond_the_credit_it_waits_in_order_and_is_joined() -> None:
    async with channels() as (left, right):
        sink = left.ask(credit=400)
        await settle()
        [serving] = right.handler.requests
        serving.start()
        for token in range(200):  # 8 each: 1600
            serving.say(token, text="x")
        serving.finish(200)
        await settle()
        assert sink.ids == list(range(50))  # 400 worth, and the end waits too
        assert sink.end is None
        assert sink.asking is not None
        deltas = len([event for event in sink.events if isinstance(event, Delta)])
        sink.asking.accept(50, 400)
        await settle()
        assert sink.ids == list(range(100))
        joined = len([event for event in sink.events if isinstance(event, Delta)]) - deltas
        assert joined <= 3
        sink.asking.accept(100, 800)
        await settle()
        assert sink.ids == list(range(200))
        assert sink.text == "x" * 200
        assert sink.end == Finished("stop", Usage(3, 200))


@pytest.mark.trio
async def test_a_delta_larger_than_the_window_is_cut_not_stuck() -> None:
    async with channels() as (left, right):
        sink = left.ask(credit=100)
        await settle()
        [serving] = right.handler.requests
        serving.start()
        serving.say(*range(50), text="y" * 50)  # 400
        serving.finish(50)
        assert sink.asking is not None
        told = 0
        for _ in range(20):
            await settle()
            fresh = [event for event in sink.events if isinstance(event, Delta)][told:]
            told += len(fresh)
            sink.asking.accept(len(sink.ids), sum(event.cost for event in fresh))
        assert sink.ids == list(range(50))
        assert sink.text == "y" * 50
        assert isinstance(sink.end, Finished)


@pytest.mark.trio
async def test_a_cancel_is_said_once_with_what_was_taken_before_it() -> None:
    async with channels() as (left, right):
        sink = left.ask()
        await settle()
        [serving] = right.handler.requests
        serving.start()
        serving.say(1, 2, 3)
        await settle()
        assert sink.asking is not None
        sink.asking.accept(3, 12)
        sink.asking.cancel()
        sink.asking.cancel()
        await settle()
        assert serving.cancels == 1
        assert serving.accepted == [(3, 12)]
        serving.finish(3, "cancelled")
        await settle()
        assert sink.end == Finished("cancelled", Usage(3, 3))
        sink.asking.cancel()
        sink.asking.accept(3, 50_000)
        writes = len(left.pipe.writes)
        await settle()
        assert len(left.pipe.writes) == writes  # after the end nothing is said


@pytest.mark.trio
async def test_a_cancel_drops_what_waits_for_credit_and_the_counts_still_agree() -> None:
    """Else the end would wait for credit that nobody grants, or count tokens never said."""
    async with channels() as (left, right):
        sink = left.ask(credit=400)
        await settle()
        [serving] = right.handler.requests
        serving.start()
        for token in range(200):
            serving.say(token)
        await settle()
        assert sink.asking is not None
        sink.asking.cancel()
        await settle()
        serving.say(200)
        serving.finish(201, "cancelled")
        await settle()
        assert len(sink.ids) == 100
        assert sink.end == Finished("cancelled", Usage(3, 100))
        assert not left.channel.is_ended


@pytest.mark.trio
async def test_a_cancel_may_come_before_anyone_serves() -> None:
    async with channels() as (left, right):
        waiting: list[Incoming] = []
        right.handler.on_submitted = waiting.append
        sink = left.ask()
        assert sink.asking is not None
        sink.asking.cancel()
        await settle()
        serving = Serving(waiting[0])
        waiting[0].attach(serving)
        assert serving.cancels == 1


@pytest.mark.trio
async def test_the_peers_bound_of_requests_is_kept() -> None:
    async with channels(NodeSettings(max_requests_per_channel=2)) as (left, right):
        left.ask(1)
        left.ask(2)
        with pytest.raises(Overloaded, match="2 requests") as refusal:
            left.ask(3)
        assert refusal.value.retry_after
        assert refusal.value.recoverable
        assert left.count("aiplat_bound_hits_total", bound="channel_requests") == 1
        await settle()
        right.handler.requests[0].start()
        right.handler.requests[0].finish(0)
        await settle()
        left.ask(3)
        await settle()
        assert len(right.handler.requests) == 3


@pytest.mark.trio
async def test_a_prompt_over_the_frames_bound_is_refused_with_both_numbers() -> None:
    async with channels(NodeSettings(max_frame_bytes=5000)) as (left, right):
        with pytest.raises(RequestTooLarge) as refusal:
            left.ask(text="x" * 6000)
        assert "of 61" in str(refusal.value)
        assert "of 5000 bytes" in str(refusal.value)
        sink = left.ask(text="short")
        await settle()
        right.handler.requests[0].incoming.refuse(NotReady("soon"))
        await settle()
        assert isinstance(sink.end, Failed)


@pytest.mark.trio
async def test_a_pile_of_prompts_is_refused_before_it_ends_the_channel() -> None:
    settings = NodeSettings(outbox_bytes=256 * 1024)
    async with channels(settings) as (left, right):
        left.pipe.stall()
        for number in range(5):
            left.ask(number, text="x" * 30_000)
        with pytest.raises(Overloaded):
            left.ask(5, text="x" * 30_000)
        left.pipe.flow()
        await settle(200)
        assert not left.channel.is_ended
        assert not right.channel.is_ended


@pytest.mark.trio
async def test_a_long_prompt_does_not_hold_back_another_answer() -> None:
    async with channels() as (left, right):
        back = right.ask(7)
        await settle()
        [serving] = left.handler.requests
        left.pipe.stall()
        left.ask(1, text="x" * 500_000)
        left.ask(2, text="x" * 500_000)
        serving.start()
        serving.finish(0)
        left.pipe.flow()
        while back.end is None:
            await settle(1)
        assert len(right.handler.requests) < 2  # it went between the two
        await settle(400)
        assert [r.incoming.submission.id[-1] for r in right.handler.requests] == ["1", "2"]


@pytest.mark.trio
async def test_a_refusal_travels_whole() -> None:
    async with channels() as (left, right):

        def refuse(_: Incoming) -> None:
            raise InvalidRequest("temperature must be from 0 to 2, but is 9.", param="temperature")

        right.handler.on_submitted = refuse
        sink = left.ask()
        await settle()
        assert isinstance(sink.end, Failed)
        error = sink.end.error()
        assert isinstance(error, InvalidRequest)
        assert error.param == "temperature"
        assert "but is 9" in str(error)


@pytest.mark.trio
async def test_a_handler_that_fails_fails_its_request_alone_and_tells_no_details() -> None:
    async with channels() as (left, right):
        calm = right.handler.on_submitted

        def explode(_: Incoming) -> None:
            raise KeyError("a secret")

        right.handler.on_submitted = explode
        sink = left.ask(1)
        await settle()
        assert isinstance(sink.end, Failed)
        assert sink.end.code == "internal"
        assert "secret" not in sink.end.message
        right.handler.on_submitted = calm
        left.ask(2)
        await settle()
        assert len(right.handler.requests) == 1
        assert not right.channel.is_ended


@pytest.mark.trio
async def test_a_sink_that_fails_fails_its_request_alone() -> None:
    class Broken(Sink):
        def deliver(self, event: AnswerEvent) -> None:
            super().deliver(event)
            raise RuntimeError("no room")

    async with channels() as (left, right):
        broken = Broken()
        left.channel.submit(submission(1), broken)
        well = left.ask(2)
        await settle()
        for serving in right.handler.requests:
            serving.start()
            serving.say(1)
        await settle()
        assert [type(event) for event in broken.events] == [Started, Failed]
        assert right.handler.requests[0].cancels == 1
        right.handler.requests[0].finish(1, "cancelled")
        right.handler.requests[1].finish(1)
        await settle()
        assert isinstance(well.end, Finished)
        assert len(broken.events) == 2
        assert left.channel.active == 0
        assert not left.channel.is_ended


@pytest.mark.trio
async def test_who_serves_and_fails_fails_its_request_alone() -> None:
    class Broken(Serving):
        def accept(self, tokens: int, credit: int) -> None:
            raise RuntimeError("lost count")

    async with channels() as (left, right):

        def attach(incoming: Incoming) -> None:
            serving = Broken(incoming)
            right.handler.requests.append(serving)
            incoming.attach(serving)

        right.handler.on_submitted = attach
        sink = left.ask(credit=8)
        await settle()
        right.handler.requests[0].start()
        right.handler.requests[0].say(1)
        await settle()
        assert sink.asking is not None
        sink.asking.accept(1, 4)
        await settle()
        assert isinstance(sink.end, Failed)
        assert sink.end.code == "internal"
        assert right.handler.requests[0].cancels == 1
        assert not right.channel.is_ended


@pytest.mark.trio
async def test_an_answer_out_of_turn_is_our_fault_and_the_request_fails() -> None:
    """What a role gets wrong must not look to the peer as a broken protocol."""
    async with channels() as (left, right):
        sink = left.ask()
        await settle()
        [serving] = right.handler.requests
        serving.say(1)  # before Started
        await settle()
        assert isinstance(sink.end, Failed)
        assert sink.end.code == "internal"
        assert serving.cancels == 1
        serving.start()
        serving.finish(1)
        await settle()
        assert len(sink.events) == 1
        assert not left.channel.is_ended
        assert not right.channel.is_ended


@pytest.mark.trio
async def test_a_delta_with_nothing_in_it_is_not_sent() -> None:
    async with channels() as (left, right):
        sink = left.ask()
        await settle()
        [serving] = right.handler.requests
        serving.start()
        serving.say()
        serving.finish(0)
        await settle()
        assert [type(event) for event in sink.events] == [Started, Finished]


@pytest.mark.trio
async def test_what_a_node_says_is_heard() -> None:
    async with channels() as (left, right):
        left.channel.say(Announce(revision=1))
        left.channel.say(Drain(5000, "it stops"))
        await settle()
        assert right.handler.heard == [Announce(revision=1), Drain(5000, "it stops")]


@pytest.mark.trio
async def test_a_handler_that_fails_at_an_announcement_harms_nothing() -> None:
    async with channels() as (left, right):
        right.handler.announced = None  # type: ignore[assignment]  # on purpose: it is broken
        left.channel.say(Announce(revision=1))
        left.ask()
        await settle()
        assert len(right.handler.requests) == 1


@pytest.mark.trio
async def test_calls_are_answered(autojump_clock: Any) -> None:
    async with channels() as (left, right):
        body = msgspec.Raw(msgspec.msgpack.encode({"a": 1}))
        reply = await left.channel.call(Call("echo", body), 1.0)
        assert msgspec.msgpack.decode(reply.body) == {"a": 1}

        def refuse(call: Call) -> Reply:
            raise NotReady("not yet")

        right.handler.reply = refuse
        reply = await left.channel.call(Call("echo"), 1.0)
        assert reply.failed is not None
        assert reply.failed.code == "not_ready"

        def explode(call: Call) -> Reply:
            raise ValueError("details")

        right.handler.reply = explode
        reply = await left.channel.call(Call("echo"), 1.0)
        assert reply.failed is not None
        assert reply.failed.code == "internal"
        assert "details" not in reply.failed.message


@pytest.mark.trio
async def test_a_call_has_a_deadline_and_a_bound(autojump_clock: Any) -> None:
    async with channels() as (left, right):

        async def never(call: Call) -> Reply:
            await trio.sleep_forever()
            raise AssertionError

        right.handler.called = never  # type: ignore[method-assign]  # in place of its own
        with pytest.raises(DeadlineExceeded, match="'models' within 2 s"):
            await left.channel.call(Call("models"), 2.0)
        async with trio.open_nursery() as nursery:
            for _ in range(63):
                nursery.start_soon(left.channel.call, Call("models"), 1000.0)
            await settle()
            with pytest.raises(Overloaded, match="64 calls"):
                await left.channel.call(Call("models"), 1.0)
            nursery.cancel_scope.cancel()


@pytest.mark.trio
async def test_credit_that_came_before_anyone_served_is_not_lost() -> None:
    async with channels() as (left, right):
        waiting: list[Incoming] = []
        right.handler.on_submitted = waiting.append
        sink = left.ask(credit=8)
        await settle()
        waiting[0].deliver(STARTED)
        waiting[0].deliver(Delta((1,)))
        await settle()
        assert sink.asking is not None
        sink.asking.accept(1, 4)
        await settle()
        serving = Serving(waiting[0])
        waiting[0].attach(serving)
        assert serving.accepted == [(1, 4)]


@pytest.mark.trio
async def test_a_slow_handler_does_not_stop_the_reading() -> None:
    """Guard 3: a reader that pauses is cut by libp2p after 5 s, and is not told."""
    async with channels() as (left, right):

        async def never(call: Call) -> Reply:
            await trio.sleep_forever()
            raise AssertionError

        right.handler.called = never  # type: ignore[method-assign]  # in place of its own
        async with trio.open_nursery() as nursery:
            nursery.start_soon(left.channel.call, Call("slow"), 1000.0)
            await settle()
            for number in range(100):
                left.ask(number, text="x" * 10_000)
            await settle(100)
            assert len(right.handler.requests) == 100
            nursery.cancel_scope.cancel()


@pytest.mark.trio
async def test_news_of_each_kind_is_bounded_by_the_minute(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with channels(NodeSettings(news_per_minute=2)) as (left, right):
        for _ in range(2):
            left.channel.say(Addresses(()))
            left.channel.say(Revocations(b"list"))
        await trio.sleep(61)
        for _ in range(2):
            left.channel.say(Revocations(b"list"))
        await trio.sleep(1)
        assert not right.channel.is_ended
        assert len(right.handler.heard) == 6
        left.channel.say(Revocations(b"list"))
        with trio.fail_after(10):
            reason = await right.channel.wait_ended()
        assert "it sent over 2 messages of the kind Revocations" in reason
        assert len(right.handler.heard) == 6
        assert right.count("aiplat_bound_hits_total", bound="news_per_minute") == 1
        assert "news_per_minute" in await left.channel.wait_ended()
