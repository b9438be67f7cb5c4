"""What a stranger may send at each stage of a channel: true frames, false ones, and rubbish."""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from aiplat.domain.answers import Delta, Failed, Finished, Queued
from aiplat.domain.errors import AiplatError, EngineFailed
from aiplat.domain.usage import Usage
from aiplat.node.channel import Channel
from aiplat.node.handshake import HandshakeFailed, accept, offer
from aiplat.node.incoming import Incoming
from aiplat.node.settings import NodeSettings
from aiplat.protocol.channel import ChannelMachine
from aiplat.protocol.messages import (
    CODEC,
    TAGS,
    Ack,
    Addresses,
    Announce,
    Call,
    Cancel,
    Drain,
    Goodbye,
    Hello,
    Ping,
    Pong,
    Reply,
    Revocations,
)
from aiplat.telemetry.metrics import Metrics
from tests.support.pipes import MemoryPipe, pair
from tests.support.strict import Answer, StrictSink, Teller, no_exceptions
from tests.unit.node.helpers import LEFT, STARTED, Side, hello, settle, submission

TIGHT = NodeSettings(outbox_bytes=64 * 1024, max_frame_bytes=4096, max_requests_per_channel=4)
SECONDS = 5.0
NUMBERS = st.one_of(st.integers(0, 9), st.integers(0, 2**32 - 1))


def said_by_anyone() -> st.SearchStrategy[msgspec.Struct]:
    """Messages that the codec makes, sane or not, whoever may say them and whenever."""
    numbers = st.integers(-1, 40)
    big = st.one_of(numbers, st.integers(-(2**63), 2**64 - 1))
    usage = st.builds(Usage, numbers, numbers, numbers, st.booleans())
    return st.one_of(
        st.just(hello()),
        st.just(STARTED),
        st.builds(Hello, max_requests=big, incarnation=big, major=st.integers(0, 2)),
        st.builds(submission, st.integers(0, 9), credit=big, to=st.sampled_from(["gateway", "x"])),
        st.builds(submission, st.integers(0, 9)),
        st.builds(Queued, big, big, st.text(max_size=9)),
        st.builds(Delta, st.lists(numbers, max_size=4).map(tuple), st.text(max_size=9)),
        st.builds(Finished, st.sampled_from(["stop", "cancelled"]), usage),
        st.just(Failed.of(EngineFailed("it says so"))),
        st.builds(Ack, numbers, big),
        st.just(Cancel()),
        st.builds(Announce, revision=big),
        st.builds(Drain, big),
        st.builds(Revocations, st.binary(max_size=40)),
        st.builds(Addresses, st.lists(st.text(max_size=20), max_size=3).map(tuple)),
        st.builds(Call, st.text(max_size=9)),
        st.just(Reply()),
        st.builds(Ping, big),
        st.builds(Pong, st.integers(0, 4)),
        st.builds(Goodbye, st.text(max_size=9), st.text(max_size=40)),
    )


@st.composite
def frames(draw: st.DrawFn) -> bytes:
    """A true frame, perhaps broken; a frame around rubbish; or rubbish."""
    kind = draw(st.sampled_from(["true", "true", "true", "true", "broken", "false", "rubbish"]))
    if kind == "rubbish":
        return draw(st.binary(max_size=40))
    if kind == "false":
        body = draw(st.binary(max_size=40))
        tag = draw(st.one_of(st.sampled_from(sorted(TAGS)), st.integers(0, 255)))
        return struct.pack("!IBI", 5 + len(body), tag, draw(NUMBERS)) + body
    frame = CODEC.encode(draw(said_by_anyone()), draw(NUMBERS))
    if kind == "broken":
        broken, at = bytearray(frame), draw(st.integers(0, len(frame) - 1))
        broken[at] ^= draw(st.integers(1, 255))
        frame = bytes(broken)[: draw(st.integers(1, len(frame)))]
    return frame


def speeches() -> st.SearchStrategy[list[bytes]]:
    """What a stranger says: frames, cut anew into what arrives together."""
    return st.builds(
        _chop, st.lists(frames(), max_size=30).map(b"".join), st.lists(st.integers(1, 60))
    )


def _chop(data: bytes, sizes: list[int]) -> list[bytes]:
    pieces = []
    for size in sizes:
        pieces.append(data[:size])
        data = data[size:]
    return [piece for piece in (*pieces, data) if piece]


@given(speeches(), st.booleans(), st.booleans())
def test_before_a_hello_it_is_a_channel_or_a_clause(
    said: list[bytes], we_dialed: bool, it_ends: bool
) -> None:
    async def main() -> None:
        ours, _ = pair()
        machine = ChannelMachine(initiator=we_dialed, hello=hello(), max_frame=4096)
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(speak, ours, said, it_ends)
            clause = await shake(ours, machine, we_dialed)
            assert clause or (machine.remote is not None and machine.remote.major == 1)
            assert trio.current_time() - began <= SECONDS + 1
            nursery.cancel_scope.cancel()

    with no_exceptions():
        trio.run(main, clock=MockClock(autojump_threshold=0))


async def shake(pipe: MemoryPipe, machine: ChannelMachine, we_dialed: bool) -> str:
    """Do our part of a handshake; gives why there is no channel, or nothing."""

    async def anyone(_: Hello) -> Goodbye | None:
        return None

    try:
        if we_dialed:
            early = await offer(pipe, machine, SECONDS)
        else:
            early = await accept(pipe, machine, SECONDS, anyone)
    except HandshakeFailed as fault:
        return fault.clause
    assert not any(isinstance(item.message, Hello) for item in early)
    return ""


async def speak(pipe: MemoryPipe, said: list[bytes], it_ends: bool) -> None:
    """Let what a stranger says arrive, piece by piece."""
    for piece in said:
        pipe.arrive(piece)
        await settle(6)
    if it_ends:
        pipe.end()


@asynccontextmanager
async def with_a_stranger(we_dialed: bool) -> AsyncIterator[Side]:
    """Our side of a channel whose other end has said Hello and is up to anything."""
    ours, _ = pair()
    machine = ChannelMachine(
        initiator=we_dialed, hello=hello(max_requests=4), max_frame=TIGHT.max_frame_bytes
    )
    machine.hello()
    machine.receive(CODEC.encode(hello()))
    metrics = Metrics()
    channel = Channel(
        ours, machine, peer=LEFT, roles=("gateway", "processor"), dialed=we_dialed, address="",
        settings=TIGHT, metrics=metrics,
    )  # fmt: skip
    side = Side(channel, ours, metrics)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(side.live)
        await settle()
        yield side
        nursery.cancel_scope.cancel()


ANSWER = Answer("?", 1000, ((1, "a"), (2, "bc"), (0, "d")), "stop")


@given(speeches(), st.booleans(), st.booleans())
def test_after_the_hellos_it_costs_the_stranger_its_own_channel(
    said: list[bytes], we_dialed: bool, it_takes: bool
) -> None:
    async def main() -> None:
        async with with_a_stranger(we_dialed) as side, trio.open_nursery() as nursery:
            served: list[Teller] = []

            def serve(incoming: Incoming) -> None:
                served.append(Teller(incoming, ANSWER))
                incoming.attach(served[-1])

            side.handler.on_submitted = serve
            sinks = [StrictSink(100) for _ in range(2)]
            for number, sink in enumerate(sinks):
                sink.asking = side.channel.submit(submission(number, credit=100), sink)
            calls: list[Reply | AiplatError] = []
            nursery.start_soon(call, side.channel, calls)
            if not it_takes:
                side.pipe.stall()
            for piece in said:
                side.pipe.arrive(piece)
                await settle(6)
                for teller in served:
                    teller.tell()
                for sink in sinks:
                    sink.take()
                assert side.channel._link._outbox.size <= TIGHT.outbox_bytes + 4096
                assert len(side.channel._requests) <= 4 + 2
                assert len(side.channel._machine._reader) <= TIGHT.max_frame_bytes + 4
            await trio.sleep(4)
            assert side.channel.is_ended, "it says nothing any more"
            assert side.channel.reason
            assert side.handler.reasons == [side.channel.reason]
            assert side.channel.active == 0
            assert side.count("aiplat_channels_lost_total", reason="fault") == 0
            for sink in sinks:
                assert sink.faults == []
                assert sink.end is not None
            await settle()
            assert len(calls) == 1
            if it_takes:
                check_last_words(side)

    with no_exceptions():
        trio.run(main, clock=MockClock(autojump_threshold=0))


async def call(channel: Channel, results: list[Reply | AiplatError]) -> None:
    """Ask a small question; keep what came of it."""
    try:
        results.append(await channel.call(Call("models"), 60))
    except AiplatError as error:
        results.append(error)


def check_last_words(side: Side) -> None:
    """A stranger that broke the rules, and listens, was told so."""
    if side.count("aiplat_channels_lost_total", reason="violation"):
        assert side.count("aiplat_protocol_violations_total") == 1
        assert side.channel.reason.startswith("it broke the protocol: ")
        assert "protocol_error" in str(side.pipe.writes[-1])
