"""How channels end: always with a reason, told once to everyone whom it concerns."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from aiplat.domain.answers import Delta, Failed, Finished
from aiplat.domain.errors import DeadlineExceeded, GatewayLost, ProcessorLost
from aiplat.domain.ids import short
from aiplat.node.settings import NodeSettings
from aiplat.protocol.messages import CODEC, Announce, Call, Goodbye, Ping, Reply
from tests.unit.node.helpers import LEFT, RIGHT, Side, Sink, channels, settle


def lost(sink: Sink) -> Failed:
    """The one Failed that a sink heard."""
    [event] = [event for event in sink.events if isinstance(event, Failed)]
    assert sink.end is event
    return event


def check_ended(side: Side, reason: str) -> None:
    """The handler heard of the end once, for this reason."""
    assert side.channel.is_ended
    [heard] = side.handler.reasons
    assert reason in heard, heard
    assert side.channel.active == 0


@pytest.mark.trio
async def test_every_request_hears_of_the_end_once() -> None:
    """Guard 4: a clean end and a killed peer look the same; an end without a word is a loss."""
    async with channels() as (left, right):
        one, two = left.ask(1), left.ask(2, to="gateway")
        done = left.ask(3)
        mine = right.ask(4)
        await settle()
        right.handler.requests[2].start()
        right.handler.requests[2].finish(0)
        await settle()
        left.pipe.end()  # nothing more comes from the right
        await settle()
        check_ended(left, "its connection ended without a word")
        failed = lost(one)
        assert failed.code == "processor_lost"
        assert failed.recoverable
        assert short(RIGHT) in failed.message
        assert "without a word" in failed.message
        assert lost(two).code == "gateway_lost"
        assert len(done.events) == 2  # it had ended well
        assert left.handler.requests[0].cancels == 1
        assert left.count("aiplat_channels_lost_total", reason="eof") == 1
        await settle()
        check_ended(right, "ended without a word")
        assert short(LEFT) in lost(mine).message


@pytest.mark.trio
async def test_after_the_end_a_submit_is_refused_and_deliver_is_silent() -> None:
    async with channels() as (left, right):
        left.ask()
        await settle()
        [serving] = right.handler.requests
        right.channel.close("bye", "enough")
        await settle()
        with pytest.raises(ProcessorLost, match="said goodbye: enough"):
            left.ask(2)
        with pytest.raises(GatewayLost):
            left.ask(3, to="gateway")
        with pytest.raises(GatewayLost):
            await left.channel.call(Call("models"), 1.0)
        left.channel.say(Announce(revision=1))
        serving.start()
        serving.finish(0)
        await settle()
        assert len(right.handler.reasons) == 1


@pytest.mark.trio
async def test_a_goodbye_is_said_and_heard_after_what_was_said_before_it() -> None:
    async with channels() as (left, right):
        sink = left.ask()
        await settle()
        right.handler.requests[0].start()
        right.handler.requests[0].finish(0)
        right.channel.close("draining", "The node shuts down.")
        right.channel.close("bye", "again")
        await settle()
        assert len(sink.events) == 2
        assert not any(isinstance(e, Failed) for e in sink.events)
        check_ended(left, "it said goodbye: The node shuts down")
        check_ended(right, "this node closed it: The node shuts down")
        assert left.count("aiplat_channels_lost_total", reason="eof") == 0


@pytest.mark.trio
async def test_what_was_asked_ends_in_whole_sentences() -> None:
    """The words of a close are a sentence of their own, and stand in another one here."""
    async with channels() as (left, right):
        sink = left.ask(1)
        await settle()
        left.channel.close("refused", "The network's owner revoked the peer.")
        await settle()
        assert lost(sink).message.endswith(
            "was lost: this node closed it: The network's owner revoked the peer. Ask again."
        )
        check_ended(right, "it said goodbye: The network's owner revoked the peer")


@pytest.mark.trio
async def test_a_cancel_is_an_end_that_is_said() -> None:
    """Guard 2: the last words leave although everything around them is cancelled."""
    async with channels() as (left, right):
        sink, mine = left.ask(1), right.ask(2)
        await settle()
        left.scope.cancel()
        await settle()
        check_ended(left, "this node stops")
        assert lost(sink).code == "processor_lost"
        check_ended(right, "it said goodbye: The node stops")
        assert lost(mine).code == "processor_lost"


@pytest.mark.trio
async def test_a_write_is_never_cancelled_half_way(autojump_clock: Any) -> None:
    """Guard 2: fails when the writes are not shielded."""
    async with channels(NodeSettings(linger_seconds=0.5)) as (left, _):
        left.pipe.stall()
        left.ask(text="x" * 200_000)
        await settle()
    assert left.pipe.cancelled_writes == 0
    assert left.pipe.aborted


@pytest.mark.trio
async def test_no_write_is_over_60_kb() -> None:
    """Guard 2: a larger one holds the stream for long, and cannot be stopped."""
    async with channels() as (left, _):
        for number in range(5):
            left.ask(number, text="x" * 150_000)
        await settle(200)
        assert max(map(len, left.pipe.writes)) <= 60_000
        assert sum(map(len, left.pipe.writes)) > 750_000


@pytest.mark.trio
async def test_requests_are_told_at_once_while_a_write_hangs(autojump_clock: Any) -> None:
    """A frozen peer's window is full: the write waits, and nobody waits for the write."""
    async with channels() as (left, right):
        sink = left.ask()
        await settle()
        left.pipe.stall()
        right.pipe.stall()
        left.ask(2, text="x" * 100_000)
        await trio.sleep(3.1)
        assert "fell silent for 3.0 s" in lost(sink).message


@pytest.mark.trio
async def test_silence_ends_a_channel_and_heartbeats_keep_it(autojump_clock: Any) -> None:
    async with channels() as (left, right):
        await trio.sleep(60)
        assert not left.channel.is_ended
        assert not right.channel.is_ended
        assert left.channel.latency is not None
        sink = left.ask()
        right.pipe.stall()  # it freezes: takes everything, says nothing
        await trio.sleep(1.9)
        assert not left.channel.is_ended
        await trio.sleep(1.2)
        check_ended(left, "it fell silent for 3.0 s")
        assert "fell silent" in lost(sink).message
        assert left.count("aiplat_channels_lost_total", reason="silence") == 1


@pytest.mark.trio
@pytest.mark.parametrize("what", ["cancel", "call"])
async def test_who_lives_and_leaves_all_unanswered_loses_its_channel(
    what: str, autojump_clock: Any
) -> None:
    """It would keep the places of the channel for ever: 256 requests, 64 calls."""

    async def never(call: Call) -> Reply:
        await trio.sleep_forever()
        raise AssertionError

    async with channels(NodeSettings(call_seconds=1000.0)) as (left, right):
        right.handler.called = never  # type: ignore[method-assign]  # in place of its own
        sink = left.ask()
        await settle()
        if what == "cancel":
            assert sink.asking is not None
            sink.asking.cancel()
        else:
            with pytest.raises(DeadlineExceeded):
                await left.channel.call(Call("models"), 2.0)
        await trio.sleep(115)
        assert not left.channel.is_ended
        await trio.sleep(10)
        words = {"cancel": "did not end a cancelled request", "call": "did not answer a call"}
        check_ended(left, f"it {words[what]} within 120 s")
        assert left.count("aiplat_bound_hits_total", bound="answer_seconds") == 1
        check_ended(right, "it said goodbye: it did not")


@pytest.mark.trio
async def test_a_channel_without_numbers_left_makes_room_for_another() -> None:
    async with channels() as (left, right):
        left.channel._machine._next = 2**32 - 1  # it is the odd ones that are its
        last = left.ask(1)
        await settle()
        right.handler.requests[0].start()
        right.handler.requests[0].finish(0)
        await settle()
        assert isinstance(last.end, Finished)
        with pytest.raises(ProcessorLost, match="numbers are used up"):
            left.ask(2)
        await settle()
        check_ended(left, "this node closed it")
        check_ended(right, "numbers are used up")


@pytest.mark.trio
async def test_who_begins_a_frame_and_drips_it_is_no_live_peer(autojump_clock: Any) -> None:
    """Each byte ends the silence, and nothing whole is heard: it would hold all requests."""
    async with channels() as (left, right):
        sink = left.ask()
        await settle()
        right.pipe.stall()
        left.pipe.arrive((2**20).to_bytes(4, "big"))
        for _ in range(58):
            await trio.sleep(1)
            left.pipe.arrive(b"x")
        assert not left.channel.is_ended
        for _ in range(4):
            await trio.sleep(1)
            left.pipe.arrive(b"x")
        check_ended(left, "it began a frame that was not whole after 60 s")
        assert "not whole after 60 s" in lost(sink).message
        assert left.count("aiplat_bound_hits_total", bound="frame_seconds") == 1
        assert left.count("aiplat_channels_lost_total", reason="silence") == 1
        check_ended(right, "it said goodbye: it began a frame")


@pytest.mark.trio
async def test_our_own_standstill_is_not_held_against_the_peer(mock_clock: Any) -> None:
    async with channels() as (left, right):
        for _ in range(3):
            mock_clock.jump(1.0)
            await settle()
        mock_clock.jump(30.0)  # the whole process stood still
        await settle()
        assert not left.channel.is_ended
        assert not right.channel.is_ended


@pytest.mark.trio
@pytest.mark.parametrize(
    ("frame", "says"),
    [
        (b"\xff\xff\xff\xff garbage", "a frame says that it has"),
        (CODEC.encode(Delta((1,)), 77), "unknown request 77"),
        (b"\x00\x00\x00\x06\xee\x00\x00\x00\x00\xc0", "unknown tag"),
    ],
)
async def test_a_peer_that_breaks_the_protocol_loses_its_channel_and_is_told(
    frame: bytes, says: str
) -> None:
    async with channels() as (left, right):
        sink = right.ask()
        await settle()
        right.pipe.arrive(frame)
        await settle()
        check_ended(right, "it broke the protocol: ")
        assert says in right.handler.reasons[0].lower()
        assert lost(sink).code == "processor_lost"
        assert right.count("aiplat_protocol_violations_total") == 1
        check_ended(left, "it said goodbye")
        assert CODEC.encode(Goodbye("protocol_error", ""))[4:5] in right.pipe.writes[-1]


@pytest.mark.trio
async def test_a_peer_that_takes_nothing_ends_by_the_outboxs_bound(autojump_clock: Any) -> None:
    settings = NodeSettings(outbox_bytes=64 * 1024, silence_seconds=3000.0)
    async with channels(settings) as (left, right):
        sink = left.ask(credit=1024 * 1024)
        await settle()
        right.pipe.stall()
        [serving] = right.handler.requests
        serving.start()
        for _ in range(40):
            serving.say(text="x" * 4000)
        await settle()
        check_ended(right, "did not take 65536 bytes")
        assert serving.cancels == 1
        assert right.count("aiplat_bound_hits_total", bound="outbox") == 1
        right.pipe.flow()
        await settle()
        await trio.sleep(1)
        assert lost(sink).recoverable


@pytest.mark.trio
async def test_a_flood_of_pings_ends_by_the_same_bound(autojump_clock: Any) -> None:
    settings = NodeSettings(outbox_bytes=64 * 1024)
    async with channels(settings) as (_, right):
        right.pipe.stall()
        right.pipe.arrive(b"".join(CODEC.encode(Ping(n)) for n in range(20_000)))
        await settle()
        check_ended(right, "did not take 65536 bytes")


@pytest.mark.trio
async def test_a_handler_that_fails_at_the_end_harms_nothing() -> None:
    async with channels() as (left, right):
        left.handler.ended = None  # type: ignore[assignment]  # on purpose: it is broken
        sink = left.ask()
        await settle()
        right.channel.close("bye", "")
        await settle()
        assert lost(sink).recoverable
        assert left.channel.is_ended


@pytest.mark.trio
async def test_a_fault_of_our_own_is_told_as_one(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with channels() as (left, right):
        sink, mine = left.ask(1), right.ask(2)
        await settle()

        def fail(message: object) -> None:
            raise ZeroDivisionError

        monkeypatch.setattr(right.channel, "_about_the_channel", fail)
        left.channel.say(Announce(revision=1))
        await settle()
        check_ended(right, "this node failed at what it said")
        assert right.count("aiplat_channels_lost_total", reason="fault") == 1
        assert "failed at what" in lost(mine).message
        check_ended(left, "it said goodbye: The node failed")
        assert lost(sink).code == "processor_lost"
    assert "ZeroDivisionError" in caplog.text
