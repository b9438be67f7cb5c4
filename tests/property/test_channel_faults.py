"""Two channels with a proxy between them that chops, delays, cuts and mangles their bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import trio
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from trio.testing import MockClock, wait_all_tasks_blocked

from aiplat.domain.answers import Failed, Finished, Submission
from aiplat.domain.errors import GatewayLost, Overloaded, ProcessorLost
from aiplat.node.incoming import Incoming
from aiplat.node.settings import NodeSettings
from tests.support.fault_proxy import ALL, GENTLE, HARSH, MANGLING, Fault, MemoryProxy, faults
from tests.support.strict import Answer, StrictSink, Teller, answers, no_exceptions
from tests.unit.node.helpers import Side, Sink, channels, settle, submission

LOST = ("processor_lost", "gateway_lost")
ROOMY = NodeSettings(write_bytes=1024, bulk_bytes=256)
"""Frames over 256 bytes let smaller ones go first, and those over 1 KiB take several writes."""

TIGHT = replace(ROOMY, outbox_bytes=64 * 1024, max_frame_bytes=16 * 1024, frame_seconds=10.0)


class Do(NamedTuple):
    """Something that is done about one of the requests, by its place in the list.

    Arguments:
        times: how often; to ``tell`` is to deliver one event.
    """

    what: Literal["ask", "tell", "take", "cancel"]
    which: int
    times: int = 1


Steps = Sequence[Fault | Do]


class Talk(NamedTuple):
    """A request as the test follows it, from both ends."""

    answer: Answer
    asker: Side
    sink: StrictSink

    def check(self) -> None:
        """What holds always: no rule broken, and nothing heard but the beginning of what was
        said, each token once."""
        assert self.sink.faults == []
        assert self.sink.ids == list(range(len(self.sink.ids)))
        assert self.answer.text.startswith(self.sink.text)
        if isinstance(self.sink.end, Finished) and self.sink.end.reason == "stop":
            assert len(self.sink.ids) == self.answer.tokens
            assert self.sink.text == self.answer.text
            assert self.answer.end == "stop"


class Stage:
    """Two sides with a proxy between them, and the requests that they have of each other."""

    def __init__(self, sides: tuple[Side, Side], said: Sequence[Answer], window: int) -> None:
        self.sides = sides
        self.proxy = MemoryProxy(sides[0].pipe, sides[1].pipe, window)
        self.mangled = False
        self.talks: dict[int, Talk] = {}
        self.tellers: dict[str, Teller] = {}
        self.said = said
        for side in sides:
            side.handler.on_submitted = self._submitted

    def _submitted(self, incoming: Incoming) -> None:
        which = int(incoming.submission.id.removeprefix("req-"), 16) % len(self.said)
        if not self.mangled:
            assert incoming.submission == self._submission(which)
        teller = self.tellers[incoming.submission.id] = Teller(incoming, self.said[which])
        incoming.attach(teller)

    def do(self, step: Fault | Do) -> None:
        """Take one step; one about a request that is not there does nothing."""
        if isinstance(step, Fault):
            self.mangled |= self.proxy.do(step)
            return
        which = step.which % len(self.said)
        if step.what == "ask":
            self._ask(which)
        elif which in self.talks:
            for _ in range(step.times):
                self._go_on(step.what, which)

    def _ask(self, which: int) -> None:
        if which in self.talks:
            return
        side, answer = self.sides[which % 2], self.said[which]
        sink = StrictSink(answer.credit)
        try:
            sink.asking = side.channel.submit(self._submission(which), sink)
        except (ProcessorLost, GatewayLost, Overloaded):
            return
        self.talks[which] = Talk(answer, side, sink)

    def _submission(self, which: int) -> Submission:
        answer = self.said[which]
        return submission(which, text=answer.prompt, credit=answer.credit)

    def _go_on(self, what: str, which: int) -> None:
        teller = self.tellers.get(submission(which).id)
        if what == "take":
            self.talks[which].sink.take()
        elif what == "cancel":
            self.talks[which].sink.cancel()
        elif teller is not None:
            teller.tell()

    def finish(self) -> None:
        """Say what there is still to say, and take what came."""
        for teller in self.tellers.values():
            while teller.tell():
                pass
        for talk in self.talks.values():
            talk.sink.take()

    def check_bounds(self, settings: NodeSettings) -> None:
        """No buffer is over its bound, by more than the one frame that hit it."""
        most = settings.outbox_bytes + settings.max_frame_bytes
        for side in self.sides:
            assert side.channel._link._outbox.size <= most
            assert side.channel._requests._waiting <= most
        for wire in (self.proxy.there, self.proxy.back):
            if not self.mangled:
                assert len(wire.waiting) <= 4096 + settings.write_bytes

    def check_ends(self) -> None:
        """Each request ended once, and neither end of a channel has anything left of one."""
        for talk in self.talks.values():
            assert talk.sink.faults == []
            assert talk.sink.end is not None
        for side in self.sides:
            assert side.channel.active == 0
            assert side.count("aiplat_channels_lost_total", reason="fault") == 0
            if side.channel.is_ended:
                [reason] = side.handler.reasons
                assert reason == side.channel.reason != ""


def steps(faults: st.SearchStrategy[Fault]) -> st.SearchStrategy[list[Fault | Do]]:
    """Plans: requests that come and go, and faults between them."""
    which = st.integers(0, 5)
    told = st.builds(Do, st.just("tell"), which, st.integers(1, 6))
    done = st.builds(Do, st.sampled_from(["ask", "take", "take", "cancel"]), which, st.just(1))
    return st.lists(st.one_of(told, told, done, faults, faults), min_size=12, max_size=60)


async def play(stage: Stage, plan: Steps, settings: NodeSettings) -> None:
    """Take each step when everything that follows from the last one has happened.

    Half of the requests have arrived before the first step: most plans get somewhere.
    """
    early = [Do("ask", which) for which in range(0, len(stage.said), 2)]
    for step in (*early, Fault("pass", size=ALL), Fault("pass", back=True, size=ALL), *plan):
        stage.do(step)
        await wait_all_tasks_blocked()
        stage.check_bounds(settings)


async def until_over(stage: Stage, seconds: int) -> None:
    """Let all bytes through, and go on until every request has ended, or that time is over."""
    stage.proxy.free()
    for _ in range(seconds * 10):
        stage.finish()
        if all(talk.sink.end for talk in stage.talks.values()):
            break
        await trio.sleep(0.1)
    await wait_all_tasks_blocked()


async def neighbour(left: Side, right: Side) -> Sink:
    """A request over another channel of the same process; it has begun."""
    sink = left.ask()
    await settle()
    right.handler.requests[0].start()
    right.handler.requests[0].say(1, text="un")
    return sink


def check_untouched(left: Side, right: Side, sink: Sink) -> None:
    """What goes on beside a fault does not hear of it."""
    assert not left.channel.is_ended
    assert not right.channel.is_ended
    assert sink.text == "untouched"
    assert isinstance(sink.end, Finished)


@given(st.lists(answers(600), min_size=1, max_size=6), steps(faults(*GENTLE)))
def test_chopped_and_delayed_everything_comes_whole(said: list[Answer], plan: Steps) -> None:
    async def main() -> None:
        async with channels(ROOMY) as sides:
            stage = Stage(sides, said, window=4096)
            await play(stage, plan, ROOMY)
            cancelled = {step.which % len(said) for step in plan if step[0] == "cancel"}
            await until_over(stage, 30)
            stage.check_ends()
            for which, talk in stage.talks.items():
                talk.check()
                if which in cancelled:
                    continue
                assert isinstance(talk.sink.end, Finished if talk.answer.end == "stop" else Failed)
                assert len(talk.sink.ids) == talk.answer.tokens
                assert talk.sink.text == talk.answer.text
            assert not any(side.channel.is_ended for side in sides)

    with no_exceptions():
        trio.run(main, clock=MockClock(autojump_threshold=0))


@given(st.lists(answers(4000), min_size=1, max_size=6), steps(faults(*GENTLE * 8, *HARSH)))
def test_cut_or_reset_anywhere_each_request_ends_once(said: list[Answer], plan: Steps) -> None:
    async def main() -> None:
        async with channels(TIGHT) as sides, channels() as others:
            stage = Stage(sides, said, window=4096)
            beside = await neighbour(*others)
            await play(stage, plan, TIGHT)
            stage.do(Fault("cut"))
            others[1].handler.requests[0].say(2, text="touched")
            others[1].handler.requests[0].finish(2)
            await until_over(stage, 5)
            stage.check_ends()
            for talk in stage.talks.values():
                talk.check()
                if isinstance(talk.sink.end, Failed) and talk.answer.end == "stop":
                    assert talk.sink.end.code in LOST
                    assert talk.asker.channel.reason in talk.sink.end.message
            assert all(side.channel.is_ended for side in sides)
            check_untouched(*others, beside)

    with no_exceptions():
        trio.run(main, clock=MockClock(autojump_threshold=0))


@given(st.lists(answers(200), min_size=1, max_size=6), steps(faults(*GENTLE, *MANGLING)))
def test_whatever_is_mangled_costs_this_channel_at_most(said: list[Answer], plan: Steps) -> None:
    async def main() -> None:
        async with channels(TIGHT) as sides, channels() as others:
            stage = Stage(sides, said, window=4096)
            beside = await neighbour(*others)
            await play(stage, plan, TIGHT)
            others[1].handler.requests[0].say(2, text="touched")
            others[1].handler.requests[0].finish(2)
            await until_over(stage, 5)
            await trio.sleep(TIGHT.frame_seconds + 5)
            for side in sides:  # nobody waits for the rest of a frame for ever
                assert side.channel.is_ended or not side.channel._machine.is_in_frame
            if not stage.mangled:
                assert not any(side.channel.is_ended for side in sides)
            for side in sides:
                side.channel.close("bye", "the test is over")
            await trio.sleep(2)
            stage.check_ends()
            for talk in stage.talks.values():
                end = talk.sink.end
                if isinstance(end, Finished):  # the count at its end holds
                    assert end.usage.completion_tokens == len(talk.sink.ids)
            check_untouched(*others, beside)

    with no_exceptions():
        trio.run(main, clock=MockClock(autojump_threshold=0))


LONG = st.lists(st.integers(1, 4000), min_size=1, max_size=20).map(
    lambda lengths: Answer("?", 100_000, tuple((1, "x" * length) for length in lengths), "stop")
)


@given(st.lists(LONG, min_size=1, max_size=6))
def test_what_a_reader_does_not_take_is_bounded(said: list[Answer]) -> None:
    """Whatever is delivered while nothing passes: it waits up to the bound, or costs the channel,
    whose two ends both say so."""

    async def main() -> None:
        async with channels(TIGHT) as sides:
            stage = Stage(sides, said, window=4096)
            await play(stage, [], TIGHT)
            for teller in stage.tellers.values():
                while teller.tell():
                    stage.check_bounds(TIGHT)
            await wait_all_tasks_blocked()
            over = any(side.channel.is_ended for side in sides)
            await until_over(stage, 30)
            if over:
                reasons = " ".join(side.channel.reason for side in sides)
                assert "it did not take 65536 bytes that wait for it, the bound" in reasons
                assert all(side.channel.is_ended for side in sides)
            stage.check_ends()
            for talk in stage.talks.values():
                talk.check()
                lost = isinstance(talk.sink.end, Failed) and talk.sink.end.code in LOST
                assert over or not lost

    with no_exceptions():
        trio.run(main, clock=MockClock(autojump_threshold=0))
