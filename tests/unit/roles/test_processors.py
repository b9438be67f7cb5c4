"""The table of processors: leases, drains, and what outlives a channel."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from aiplat.domain.answers import Failed, Queued
from aiplat.domain.errors import EngineFailed, ModelNotFound, ProcessorLost
from aiplat.domain.ids import PeerId
from aiplat.domain.models import ModelOffer
from aiplat.protocol.messages import Announce, Drain, Hello
from aiplat.roles import processors as table
from aiplat.roles.breaker import Breaker
from aiplat.roles.processors import Processors
from tests.support.dialogue import submission
from tests.support.fake_channel import FakeChannel
from tests.support.scripted import Kept, ScriptedProcessor, offer
from tests.unit.roles.test_gateway import House, running


class Time:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def comes(
    house: House, name: str, *offers: ModelOffer, revision: int = 1, life: int = 1
) -> FakeChannel:
    """A processor comes up behind a channel, and announces."""
    channel = FakeChannel(name, "processor")
    channel.hello = Hello(incarnation=life, roles=("processor",))
    house.gateway.opened(channel)  # type: ignore[arg-type]  # a fake
    announce = Announce(revision=revision, models=offers or (offer(),))
    house.gateway.announced(channel, announce)  # type: ignore[arg-type]  # a fake
    return channel


# -- leases ----------------------------------------------------------------------------------------


@pytest.mark.trio
async def test_a_channel_is_the_lease_its_end_removes_the_processor_at_once() -> None:
    house = House()
    channel = comes(house, "p")
    assert [m.processors for m in house.gateway.models()] == [1]
    house.gateway.ended(channel, "it was silent for 3 s")  # type: ignore[arg-type]  # a fake
    assert (len(house.gateway.processors), house.gateway.models()) == (0, ())
    assert house.count("aiplat_peers", role="processor", state="connected") == 0


@pytest.mark.trio
async def test_what_it_announces_replaces_all_that_it_said(autojump_clock: MockClock) -> None:
    house = House()
    channel = comes(house, "p", offer("old", slots=3), offer("both"))
    async with running(house):
        newer = Announce(revision=2, models=(offer("both", slots=9), offer("new")))
        house.gateway.announced(channel, newer)  # type: ignore[arg-type]  # a fake
        assert {m.name: m.slots for m in house.gateway.models()} == {"both": 9, "new": 2}
        late = Announce(revision=1, models=(offer("old"),))
        house.gateway.announced(channel, late)  # type: ignore[arg-type]  # a fake
        assert {m.name for m in house.gateway.models()} == {"both", "new"}


@pytest.mark.trio
async def test_a_model_whose_processor_went_is_waited_for_and_not_called_a_mistake(
    autojump_clock: MockClock,
) -> None:
    house = House(no_processor_seconds=2.0)
    comes(house, "other", offer("other"))
    house.gateway.ended(comes(house, "p", offer("mine")), "gone")  # type: ignore[arg-type]  # a fake
    async with running(house):
        waits, returns = house.asks(model="mine"), house.asks(model="mine")
        await trio.sleep(1)
        again = comes(house, "p", offer("mine", slots=1))
        await wait_all_tasks_blocked()
        assert len(again.behind.work) == 2, (waits.events, returns.events)
        with pytest.raises(ModelNotFound):
            house.asks(model="never-there")


def test_the_names_that_are_remembered_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "MAX_REMEMBERED", 10)
    known = Processors(Time())
    known.add(PeerId("p"), ScriptedProcessor(), lambda: 0.0)
    for n in range(100):
        known.announced(PeerId("p"), Announce(revision=n + 1, models=(offer(f"m{n}"),)))
    assert [known.was_here(f"m{n}") for n in (0, 89, 90, 99)] == [False, False, True, True]


@pytest.mark.trio
async def test_a_processor_that_renames_its_models_fills_no_memory() -> None:
    house = House()
    channel = comes(house, "p")
    processor = house.gateway.processors.get(PeerId("p"))
    assert processor is not None
    for n in range(50):
        name = f"m{n}"
        house.gateway.announced(channel, Announce(revision=n + 2, models=(offer(name),)))  # type: ignore[arg-type]  # a fake
        house.asks(model=name)
        processor.saw(name, 1.0)
        channel.behind.work[-1].starts().finishes()
    held = (processor.measured, processor.in_flight, processor.breakers)
    assert [len(table) for table in held] == [1, 1, 1]


# -- drains ----------------------------------------------------------------------------------------


@pytest.mark.trio
async def test_a_person_drains_it_whatever_it_announces_until_it_is_started_again() -> None:
    house = House()
    channel, other = comes(house, "p"), comes(house, "other", offer("other"))
    house.gateway.drain_processor(PeerId("p"))
    drained = {model.name: model for model in house.gateway.models()}["tiny"]
    assert (drained.state, drained.processors) == ("drained", 1)
    assert (
        drained.note
        == "who offers it takes nothing new: p was drained here, until it is started again"
    )
    house.gateway.announced(channel, Announce(revision=2, models=(offer(),)))  # type: ignore[arg-type]  # a fake
    house.asks(model="tiny")
    assert not channel.behind.work, "it announces at each change: that ends no drain"
    house.asks(model="other")
    assert len(other.behind.work) == 1
    house.gateway.ended(channel, "gone")  # type: ignore[arg-type]  # a fake
    anew = comes(house, "p", life=2)
    house.asks(model="tiny", id="req-" + "1" * 24)
    house.gateway._line.move_up()
    assert len(anew.behind.work) == 2


@pytest.mark.trio
@pytest.mark.parametrize("ends", ["another life", "a word"])
async def test_whom_a_person_drains_stays_so_over_another_channel(ends: str) -> None:
    """Its node fell silent, or found a direct way past a relay: it is the same life."""
    house = House()
    first = comes(house, "p", life=7)
    house.gateway.drain_processor(PeerId("p"))
    house.gateway.ended(first, "it fell silent")  # type: ignore[arg-type]  # a fake
    again = comes(house, "p", life=7)
    other = comes(house, "q")
    for _ in range(2):
        house.asks()
    assert (len(again.behind.work), len(other.behind.work)) == (0, 2)
    if ends == "a word":
        house.gateway.drain_processor(PeerId("p"), off=True)
    else:
        house.gateway.ended(again, "it stops")  # type: ignore[arg-type]  # a fake
        again = comes(house, "p", life=8)
    for _ in range(2):
        house.asks()
    assert len(again.behind.work) == 2


@pytest.mark.trio
@pytest.mark.parametrize("by", ["message", "announcement"])
async def test_it_drains_itself_by_either_word(by: str) -> None:
    house = House()
    channel, other = comes(house, "p"), comes(house, "q")
    if by == "message":
        house.gateway.drained(channel, Drain(1000))  # type: ignore[arg-type]  # a fake
    else:
        drains = Announce(revision=2, models=(offer(),), draining=True)
        house.gateway.announced(channel, drains)  # type: ignore[arg-type]  # a fake
    for _ in range(2):
        house.asks()
    assert (len(channel.behind.work), len(other.behind.work)) == (0, 2)
    if by == "message":
        house.gateway.drained(channel, Drain(0, off=True))  # type: ignore[arg-type]  # a fake
    else:
        takes = Announce(revision=3, models=(offer(),))
        house.gateway.announced(channel, takes)  # type: ignore[arg-type]  # a fake
    house.asks()
    assert len(channel.behind.work) == 1, "it takes requests again"


@pytest.mark.trio
async def test_without_a_name_the_model_of_one_that_drains_is_not_taken() -> None:
    house = House()
    comes(house, "a", offer("leaving"))
    stays = comes(house, "b", offer("staying"))
    house.gateway.drain_processor(PeerId("a"))
    house.asks()
    assert [w.submission.model for w in stays.behind.work] == ["staying"]


# -- who failed rests ------------------------------------------------------------------------------


@pytest.mark.trio
async def test_the_breaker_is_of_one_processor_and_one_model(autojump_clock: MockClock) -> None:
    house = House(rest_seconds=5.0)
    a = comes(house, "a", offer("x"), offer("y"))
    house.asks(model="x")
    a.behind.work[0].sink.deliver(Failed.of(EngineFailed("it broke")))
    b = comes(house, "b", offer("x"))
    house.asks(model="x"), house.asks(model="y")
    assert [w.submission.model for w in a.behind.work] == ["x", "y"]
    assert [w.submission.model for w in b.behind.work] == ["x"]


@pytest.mark.trio
async def test_after_a_rest_one_request_tries_it_and_the_others_wait(
    autojump_clock: MockClock,
) -> None:
    house = House(rest_seconds=5.0)
    processor = comes(house, "p", offer(slots=8)).behind
    async with running(house):
        house.asks()
        processor.work[0].sink.deliver(Failed.of(EngineFailed("it broke")))
        sinks = [house.asks() for _ in range(4)]
        await trio.sleep(4.8)
        assert len(processor.work) == 1
        await trio.sleep(0.4)
        assert len(processor.work) == 2, "the one trial, though there are slots for all"
        processor.work[1].starts()
        await trio.sleep(3)
        assert len(processor.work) == 2, "a promise to begin is no answer yet"
        processor.work[1].says("x", 1)
        house.asks()  # wakes it as well as the pause does
        await trio.sleep(0.2)
        assert len(processor.work) == 6
        assert not any(isinstance(event, Failed) for sink in sinks for event in sink.events)


@pytest.mark.trio
async def test_ten_that_fail_together_double_no_rest(autojump_clock: MockClock) -> None:
    house = House(rest_seconds=1.0)
    processor = comes(house, "p", offer(slots=10)).behind
    async with running(house):
        for _ in range(10):
            house.asks()
        for work in list(processor.work):
            work.sink.deliver(Failed.of(EngineFailed("its process died")))
        house.asks()
        await trio.sleep(1.2)
        assert len(processor.work) == 11


@pytest.mark.trio
async def test_a_stall_in_mid_answer_rests_it_too(autojump_clock: MockClock) -> None:
    house = House(next_token_seconds=2.0, rest_seconds=5.0)
    a = comes(house, "a")
    async with running(house):
        sink = house.asks()
        a.behind.work[0].starts().says("x", 1)
        await trio.sleep(2.2)
        assert isinstance(sink.end, Failed)
        b = comes(house, "b", offer(slots=1, running=1))  # the worse choice by far
        house.asks()
        assert (len(a.behind.work), len(b.behind.work)) == (1, 1)


@pytest.mark.trio
async def test_who_fails_goes_and_returns_is_still_tried_with_one(
    autojump_clock: MockClock,
) -> None:
    house = House(rest_seconds=5.0)
    channel = comes(house, "p")
    async with running(house):
        house.asks()
        channel.behind.work[0].sink.deliver(Failed.of(ProcessorLost("it fell silent")))
        house.gateway.ended(channel, "it fell silent")  # type: ignore[arg-type]  # a fake
        again = comes(house, "p").behind
        house.asks(), house.asks()
        await trio.sleep(4.5)
        assert not again.work
        await trio.sleep(0.7)
        assert len(again.work) == 1
        again.work[0].starts().says("x", 1)
        await trio.sleep(0.2)
        assert len(again.work) == 2


def test_what_rests_without_a_channel_is_forgotten_in_the_end() -> None:
    time = Time()
    known = Processors(time)
    for n in range(100):
        inference = ScriptedProcessor()
        known.add(PeerId(f"p{n}"), inference, lambda: 0.0)
        processor = known.get(PeerId(f"p{n}"))
        assert processor is not None
        breaker = processor.breakers["m"] = Breaker(1.0, 8.0)
        breaker.placed().failed(time.now)
        time.now += 1.0
        known.remove(PeerId(f"p{n}"), inference)
    assert len(known._resting) <= 10


# -- why it waits ----------------------------------------------------------------------------------


@pytest.mark.trio
async def test_a_request_hears_that_processors_rest_and_when_that_changes(
    autojump_clock: MockClock,
) -> None:
    house = House(rest_seconds=4.0)
    a, b = comes(house, "a", offer(slots=1)).behind, comes(house, "b", offer(slots=1)).behind
    async with running(house):
        for _ in range(4):
            house.asks()
        sink = house.asks()
        await wait_all_tasks_blocked()
        for work in a.work[:1]:
            work.starts().says("x", 1).sink.deliver(Failed.of(EngineFailed("it broke")))
        await trio.sleep(0.2)
        for work in b.work[:1]:
            work.starts().says("x", 1).sink.deliver(Failed.of(EngineFailed("it broke")))
        await trio.sleep(0.2)
    told = [event.reason for event in sink.events if isinstance(event, Queued)]
    assert told == [
        "all processors are busy",
        (
            "1 of 2 processors are busy, and the rest failed lately and pause before they are "
            "tried again"
        ),
        "all 2 processors failed lately, and pause before they are tried again",
    ]
    last = [event for event in sink.events if isinstance(event, Queued)][-1]
    assert 3500 <= last.expected_wait_ms <= 30_000


@pytest.mark.trio
async def test_the_end_of_the_wait_says_that_they_rest(autojump_clock: MockClock) -> None:
    house = House(rest_seconds=30.0, queue_seconds=2.0)
    processor = comes(house, "p").behind
    async with running(house):
        house.asks()
        processor.work[0].sink.deliver(Failed.of(EngineFailed("it broke")))
        sink = house.asks()
        await trio.sleep(0.2)
        [queued] = sink.events
        assert isinstance(queued, Queued)
        assert queued.reason == (
            "the only processor failed lately, and pauses before it is tried again"
        )
        assert 29_000 <= queued.expected_wait_ms <= 30_000
        await trio.sleep(2)
    assert isinstance(sink.end, Failed)
    assert sink.end.code == "deadline_exceeded"
    assert "Waited 2 s for a free processor" in sink.end.message
    assert "the only processor failed lately" in sink.end.message
    assert sink.end.retry_after_ms is not None
    assert 27_000 <= sink.end.retry_after_ms <= 28_100, "when the rest is over"


@pytest.mark.trio
async def test_who_was_tried_and_waits_again_says_what_failed(autojump_clock: MockClock) -> None:
    house = House(rest_seconds=30.0, queue_seconds=2.0)
    a, b = comes(house, "a").behind, comes(house, "b").behind
    async with running(house):
        for _ in range(2):
            house.asks()
        for work in a.work[:1] + b.work[:1]:
            work.starts().says("x", 1).sink.deliver(Failed.of(EngineFailed("the disk is full")))
        await trio.sleep(30.1)
        trials = [house.asks() for _ in range(2)]
        for work in a.work[1:] + b.work[1:]:
            work.sink.deliver(Failed.of(EngineFailed("the disk is full")))
        await trio.sleep(2.5)
    for sink in trials:
        assert isinstance(sink.end, Failed)
        assert sink.end.code == "deadline_exceeded"
        assert "It was tried once, and failed: the disk is full" in sink.end.message


@pytest.mark.trio
async def test_explain_says_who_rested() -> None:
    house = House(rest_seconds=9.0)
    a = comes(house, "a", offer(slots=64))
    house.asks()
    a.behind.work[0].sink.deliver(Failed.of(EngineFailed("it broke")))
    comes(house, "b")
    request = submission(id="req-" + "2" * 24)
    house.gateway.submit(request, Kept())
    [choice] = house.gateway.explain(request.id).choices
    assert {w.processor: w.refused[:31] for w in choice.weighed} == {
        "a": "it failed lately and rests for ", "b": "",
    }  # fmt: skip
