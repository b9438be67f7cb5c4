"""A failure before the first token is tried elsewhere; after it, it is told. And why this peer."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from aiplat.domain.answers import Delta, Failed, Finished, Started
from aiplat.domain.errors import (
    ContextLengthExceeded,
    EngineFailed,
    InvalidRequest,
    NoProcessor,
    Overloaded,
    ProcessorLost,
    ShuttingDown,
)
from aiplat.domain.ids import PeerId
from tests.support.dialogue import submission
from tests.support.scripted import Kept, ScriptedProcessor, Work, offer
from tests.unit.roles.test_gateway import HERE, House, running


def lost() -> Failed:
    return Failed.of(ProcessorLost("it died"))


def _newest(work: Work) -> bool:
    """Whether a work is not that of a try that is over."""
    return not getattr(work.sink, "is_over", False)


def who_has_it(*processors: ScriptedProcessor) -> tuple[ScriptedProcessor, Work]:
    [found] = [p for p in processors if p.work]
    return found, found.work[-1]


@pytest.mark.trio
async def test_a_failure_before_the_first_token_is_tried_elsewhere(
    autojump_clock: MockClock,
) -> None:
    house = House()
    a, b = house.processor("a"), house.processor("b")
    async with running(house):
        sink = house.asks()
        first, work = who_has_it(a, b)
        work.starts().sink.deliver(lost())
        await wait_all_tasks_blocked()
        other = b if first is a else a
        [again] = other.work
        again.starts().says("Paris", 7).finishes()
        assert [type(event) for event in sink.events] == [Started, Delta, Finished]
        assert isinstance(sink.events[0], Started)
        assert sink.events[0].processor == ("b" if other is b else "a")
        assert sink.events[0].attempts == 2
        work.sink.deliver(lost())  # what the first still says is void
        assert sink.text == "Paris"
        assert house.count("aiplat_route_attempts_total", outcome="retried") == 1


@pytest.mark.trio
async def test_after_the_first_token_it_is_told() -> None:
    house = House()
    processor, other = house.processor("a"), house.processor("b")
    async with running(house):
        sink = house.asks()
        _, work = who_has_it(processor, other)
        work.starts().says("Pa", 7).sink.deliver(lost())
        assert isinstance(sink.end, Failed)
        assert sink.end.code == "processor_lost"
        assert len(processor.work) + len(other.work) == 1


@pytest.mark.trio
async def test_what_is_the_requests_own_fault_is_tried_nowhere_else() -> None:
    house = House()
    a, b = house.processor("a"), house.processor("b")
    sink = house.asks()
    _, work = who_has_it(a, b)
    work.sink.deliver(Failed.of(ContextLengthExceeded.of(9, 9, 9)))
    assert isinstance(sink.end, Failed)
    assert len(a.work) + len(b.work) == 1


@pytest.mark.trio
async def test_what_one_machine_s_memory_lacks_another_may_have_and_nobody_rests(
    autojump_clock: MockClock,
) -> None:
    house = House()
    a, b = house.processor("a"), house.processor("b")
    async with running(house):
        sink = house.asks()
        first, work = who_has_it(a, b)
        work.sink.deliver(Failed.of(ContextLengthExceeded.of_cache(900, 20, 512)))
        await wait_all_tasks_blocked()
        [again] = (b if first is a else a).work
        again.starts().says("Paris", 7).finishes()
        assert sink.text == "Paris"
        before = len(first.work)
        for _ in range(2):
            house.asks()
        assert len(first.work) == before + 1, "it is chosen as before"


@pytest.mark.trio
async def test_two_tries_are_all(autojump_clock: MockClock) -> None:
    house = House()
    all_of_them = [house.processor(name) for name in "abc"]
    async with running(house):
        sink = house.asks()
        for _ in range(2):
            work = max((w for p in all_of_them for w in p.work), key=_newest)
            work.sink.deliver(Failed.of(EngineFailed("it broke")))
            await wait_all_tasks_blocked()
        assert isinstance(sink.end, Failed)
        assert sum(len(p.work) for p in all_of_them) == 2


@pytest.mark.trio
async def test_with_nobody_else_the_failure_is_told_at_once() -> None:
    house = House()
    processor = house.processor("only")
    sink = house.asks()
    processor.work[0].sink.deliver(lost())
    assert isinstance(sink.end, Failed)
    assert "it died" in sink.end.message


@pytest.mark.trio
async def test_no_first_token_in_time_is_tried_elsewhere_and_the_first_is_told_to_stop(
    autojump_clock: MockClock,
) -> None:
    house = House(first_token_seconds=5.0)
    a, b = house.processor("a"), house.processor("b")
    async with running(house):
        sink = house.asks()
        first, work = who_has_it(a, b)
        await trio.sleep(5.2)
        assert work.cancelled
        other = b if first is a else a
        other.work[0].starts().says("x", 1).finishes()
        assert isinstance(sink.end, Finished)


@pytest.mark.trio
async def test_a_cancel_is_no_reason_to_try_elsewhere() -> None:
    house = House()
    a, b = house.processor("a"), house.processor("b")
    sink = Kept()
    asking = house.gateway.submit(submission(), sink)
    asking.cancel()
    _, work = who_has_it(a, b)
    work.sink.deliver(lost())
    assert isinstance(sink.end, Failed)
    assert len(a.work) + len(b.work) == 1


@pytest.mark.trio
async def test_who_failed_rests_but_who_had_no_room_does_not(autojump_clock: MockClock) -> None:
    house = House(rest_seconds=10.0)
    a, b = house.processor("a"), house.processor("b")
    async with running(house):
        house.asks()
        first, work = who_has_it(a, b)
        other = b if first is a else a
        work.sink.deliver(lost())
        await wait_all_tasks_blocked()
        for _ in range(2):
            house.asks()
        assert (len(first.work), len(other.work)) == (1, 3)
        await trio.sleep(10.1)
        house.asks()
        assert len(first.work) == 2, "the trial"
        first.work[-1].sink.deliver(Failed.of(Overloaded("full")))
        assert house.gateway.processors.get(PeerId("a" if first is a else "b"))


# -- privacy -------------------------------------------------------------------------------------


@pytest.mark.trio
async def test_what_is_private_to_the_machine_never_leaves_it(autojump_clock: MockClock) -> None:
    house = House()
    far = house.processor("far", offer(slots=64))
    with pytest.raises(NoProcessor, match="private to its machine, and has no processor here"):
        house.asks(privacy="machine")
    near = house.processor(HERE, offer(slots=1))
    async with running(house):
        sinks = [house.asks(privacy="machine") for _ in range(4)]
        await wait_all_tasks_blocked()
        assert (len(near.work), len(far.work)) == (2, 0), "it waits rather than leave"
        near.work[0].sink.deliver(lost())
        await wait_all_tasks_blocked()
        assert isinstance(sinks[0].end, Failed), "and is not tried elsewhere"
        assert not far.work
        with pytest.raises(NoProcessor, match="came from another machine"):
            house.gateway.submit(submission(privacy="machine"), Kept(), PeerId("client"))
        assert not far.work


# -- draining, measuring, explaining -------------------------------------------------------------


@pytest.mark.trio
async def test_a_gateway_that_drains_sends_back_what_waits_for_others() -> None:
    house = House()
    house.processor("p", offer(slots=1))
    mine, theirs = Kept(), Kept()
    for _ in range(2):
        house.asks()
    house.gateway.submit(submission(), mine)
    house.gateway.submit(submission(), theirs, PeerId("client"))
    house.gateway.drain()
    assert isinstance(theirs.end, Failed)
    assert theirs.end.code == "shutting_down"
    assert theirs.end.recoverable
    assert not mine.events, "its own faces have nowhere else to go: it waits out the grace"
    with pytest.raises(ShuttingDown):
        house.asks()


@pytest.mark.trio
async def test_a_processor_that_a_person_drains_gets_nothing_new() -> None:
    house = House()
    a, b = house.processor("a"), house.processor("b")
    house.gateway.drain_processor(PeerId("a"))
    for _ in range(2):
        house.asks()
    assert (len(a.work), len(b.work)) == (0, 2)


@pytest.mark.trio
async def test_the_speed_is_measured_and_counts_more_than_what_is_announced(
    autojump_clock: MockClock,
) -> None:
    house = House()
    boaster = house.processor("boaster", offer(tokens_per_second=1e6))
    async with running(house):
        house.asks()
        [work] = boaster.work
        work.starts()
        for n in range(11):
            work.says("x", n)
            await trio.sleep(0.1)
        work.finishes()
        processor = house.gateway.processors.get(PeerId("boaster"))
        assert processor is not None
        assert processor.measured["tiny"] == pytest.approx(10.0)
        house.processor("honest", offer(tokens_per_second=50.0))
        house.asks()
        kept = house.gateway.reasons
        [last] = list(kept._kept)[-1:]
        [choice] = kept.explain(last).choices
        assert choice.processor == "honest"


@pytest.mark.trio
async def test_why_this_peer_is_told(autojump_clock: MockClock) -> None:
    house = House()
    a, b = house.processor("a"), house.processor("b", offer(slots=8))
    async with running(house):
        request = submission()
        sink = Kept()
        house.gateway.submit(request, sink, PeerId("client"))
        first, work = who_has_it(a, b)
        work.sink.deliver(lost())
        await wait_all_tasks_blocked()
        other = b if first is a else a
        other.work[0].starts().says("x", 1).finishes()
        told = house.gateway.explain(request.id, PeerId("client"))
        assert (told.state, told.outcome, told.gateway) == ("finished", "stop", HERE)
        one, two = told.choices
        assert "it died" in one.outcome
        assert {w.processor for w in one.weighed} == {"a", "b"}
        assert two.processor == ("b" if other is b else "a")
        [refused] = [w.refused for w in two.weighed if not w.chosen]
        assert refused == "it was tried, and failed"
        assert house.gateway.explain(request.id).request == request.id, "its own faces may"
        with pytest.raises(InvalidRequest, match="knows no request"):
            house.gateway.explain(request.id, PeerId("another client"))


@pytest.mark.trio
async def test_only_the_last_requests_are_kept() -> None:
    house = House(explain_requests=2)
    house.processor("p", offer(slots=8))
    requests = [submission(id=f"req-{n:024x}") for n in range(3)]
    for request in requests:
        house.gateway.submit(request, Kept())
    assert [house.gateway.find(r.id) for r in requests] == ["", *(r.id for r in requests[1:])]
    with pytest.raises(InvalidRequest, match="of the last 2 that it let in"):
        house.gateway.explain(requests[0].id)


@pytest.mark.trio
async def test_of_many_processors_the_best_and_the_chosen_are_kept() -> None:
    house = House(explain_processors=4)
    for n in range(20):
        busy = Overloaded("full") if n in (3, 5, 7, 9, 11) else None
        house.processor(f"p{n:02}", offer(slots=64, running=0 if busy else n), refusal=busy)
    house.gateway.drain_processor(PeerId("p00"))
    request = submission()
    house.gateway.submit(request, Kept())
    [choice] = house.gateway.explain(request.id).choices
    assert choice.processor == "p01"
    assert len(choice.weighed) == 4
    assert [w.processor for w in choice.weighed if w.chosen] == ["p01"], "whoever was before it"
    assert all(w.refused == "full" for w in choice.weighed if not w.chosen)
    assert "(15 more were looked at)" in choice.reason
