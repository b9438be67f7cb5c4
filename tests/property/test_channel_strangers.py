"""What a stranger may send at each stage of a channel: true frames, false ones, and rubbish."""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import cycle

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


BIG = st.one_of(st.integers(-1, 40), st.integers(-(2**63), 2**64 - 1))
SMALL = st.integers(0, 40)
FAILED = Failed.of(EngineFailed("it says so"))
IDS = st.lists(SMALL, max_size=4).map(tuple)
USAGES = st.builds(Usage, *[st.integers(0, 4)] * 3, st.booleans())

FIRST_HELLOS = st.builds(Hello, major=st.integers(0, 2), roles=st.just(("client",)))
ABOUT_THE_CHANNEL = st.one_of(
    st.builds(Announce, revision=SMALL),
    st.builds(Drain, SMALL),
    st.builds(Ping, SMALL),
    st.builds(Pong, SMALL),
)
BEFORE_STARTED = st.one_of(
    *[st.just(STARTED)] * 8, st.builds(Queued, SMALL, SMALL, st.text(max_size=9)), st.just(FAILED)
)
AFTER_STARTED = st.one_of(
    *[st.builds(Delta, IDS, st.text(max_size=9)).filter(lambda delta: delta.cost > 0)] * 6,
    st.builds(Finished, st.sampled_from(["stop", "cancelled"]), USAGES),
)
OPENINGS = st.one_of(st.builds(submission, st.integers(0, 9)), st.builds(Call, st.text(max_size=9)))
ABOUT_ONE = st.one_of(st.builds(Ack, st.just(0), SMALL), st.just(Cancel()))
WRONG = st.one_of(
    BEFORE_STARTED,
    AFTER_STARTED,
    ABOUT_ONE,
    st.just(hello()),
    st.just(Reply()),
    st.builds(Hello, max_requests=BIG, incarnation=BIG, major=st.integers(0, 2)),
    st.builds(Announce, revision=BIG),
    st.builds(Drain, BIG),
    st.builds(Ping, BIG),
    st.builds(Revocations, st.binary(max_size=40)),
    st.builds(Addresses, st.lists(st.text(max_size=20), max_size=3).map(tuple)),
    st.builds(Goodbye, st.text(max_size=9), st.text(max_size=40)),
    st.builds(Queued, BIG, BIG),
    st.builds(Delta, st.just((-1, 10_000))),
    st.builds(Delta, st.just(()), st.just("x" * 30)),
    st.builds(Finished, st.just("stop"), st.builds(Usage, BIG, BIG, BIG, st.booleans())),
    st.builds(Ack, BIG, BIG),
    st.builds(submission, st.integers(0, 9), credit=BIG, to=st.sampled_from(["gateway", "x"])),
)


KINDS = st.sampled_from([*["right"] * 60, *["wrong"] * 4, "number", "broken", "false", "rubbish"])


class Stranger:
    """Draws frames that are mostly what the wire allows just then, by keeping count of it."""

    def __init__(self, draw: st.DrawFn, we_dialed: bool) -> None:
        self._draw = draw
        self._asked = dict.fromkeys([1, 3, 5, 7] if we_dialed else [2, 4, 6, 8], False)
        self._first = self._next = 2 if we_dialed else 1
        self._most = self._first + 2 * draw(st.integers(3, 20))

    def frame(self) -> bytes:
        """One frame: right, wrong, of a wrong number, broken, around rubbish; or rubbish."""
        kind = self._draw(KINDS)
        if kind == "rubbish":
            return self._draw(st.binary(max_size=40))
        if kind == "false":
            body = self._draw(st.binary(max_size=40))
            tag = self._draw(st.one_of(st.sampled_from(sorted(TAGS)), st.integers(0, 255)))
            return struct.pack("!IBI", 5 + len(body), tag, self._draw(NUMBERS)) + body
        message, number = self._right()
        if kind == "wrong":
            message = self._draw(WRONG)
        frame = CODEC.encode(message, self._draw(NUMBERS) if kind == "number" else number)
        if kind == "broken":
            broken, at = bytearray(frame), self._draw(st.integers(0, len(frame) - 1))
            broken[at] ^= self._draw(st.integers(1, 255))
            frame = bytes(broken)[: self._draw(st.integers(1, len(frame)))]
        return frame

    def _right(self) -> tuple[msgspec.Struct, int]:
        """A message with a number that is right for it."""
        kind = self._draw(st.sampled_from(["channel", *["answer"] * 7, "open", "open", "about"]))
        if kind == "about" and self._next > self._first:
            opened = range(self._first, self._next, 2)
            return self._draw(ABOUT_ONE), self._draw(st.sampled_from(opened))
        if kind == "answer" and self._asked:
            return self._answer(self._draw(st.sampled_from(sorted(self._asked))))
        if kind == "open" and self._next < self._most:
            self._next += 2
            return self._draw(OPENINGS), self._next - 2
        return self._draw(ABOUT_THE_CHANNEL), 0

    def _answer(self, number: int) -> tuple[msgspec.Struct, int]:
        message = self._draw(AFTER_STARTED if self._asked[number] else BEFORE_STARTED)
        if isinstance(message, Finished | Failed):
            del self._asked[number]
        else:
            self._asked[number] |= message == STARTED
        return message, number


@st.composite
def speeches(draw: st.DrawFn) -> tuple[bool, list[bytes]]:
    """Whether we dialed, and what the stranger says: frames, cut anew into what comes together."""
    we_dialed = draw(st.booleans())
    stranger = Stranger(draw, we_dialed)
    said = b"".join(stranger.frame() for _ in range(draw(st.integers(8, 40))))
    return we_dialed, _chop(said, draw(st.lists(st.integers(1, 200), min_size=1)))


def _chop(data: bytes, sizes: list[int]) -> list[bytes]:
    """Cut it into pieces of these sizes, again and again. One piece would hide the most: what is
    right before a fault in the same bytes is lost with it."""
    pieces = []
    for size in cycle(sizes):
        if not data:
            break
        pieces.append(data[:size])
        data = data[size:]
    return pieces


FIRST_WORDS = st.one_of(st.just(b""), st.one_of(FIRST_HELLOS, ABOUT_THE_CHANNEL).map(CODEC.encode))


@given(speeches(), FIRST_WORDS, st.booleans())
def test_before_a_hello_it_is_a_channel_or_a_clause(
    speech: tuple[bool, list[bytes]], first: bytes, it_ends: bool
) -> None:
    async def main() -> None:
        we_dialed, said = speech
        ours, _ = pair()
        machine = ChannelMachine(initiator=we_dialed, hello=hello(), max_frame=4096)
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(speak, ours, [first, *said], it_ends)
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
    speech: tuple[bool, list[bytes]], it_takes: bool, we_answer: bool
) -> None:
    async def main() -> None:
        we_dialed, said = speech
        async with with_a_stranger(we_dialed) as side, trio.open_nursery() as nursery:
            served: list[Teller] = []

            def serve(incoming: Incoming) -> None:
                assert not side.channel.is_ended
                served.append(Teller(incoming, ANSWER))
                incoming.attach(served[-1])

            side.handler.on_submitted = serve
            sinks = [StrictSink(100) for _ in range(4)]
            for number, sink in enumerate(sinks):
                sink.asking = side.channel.submit(submission(number, credit=100), sink)
            calls: list[Reply | AiplatError] = []
            nursery.start_soon(call, side.channel, calls)
            if not it_takes:
                side.pipe.stall()
            for piece in said:
                side.pipe.arrive(piece)
                await settle(6)
                for teller in served if we_answer else ():
                    teller.tell()
                for sink in sinks:
                    sink.take()
                assert side.channel._link._outbox.size <= TIGHT.outbox_bytes + 4096
                assert len(side.channel._requests) <= 4 + 4
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
