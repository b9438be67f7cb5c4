"""The gateway against processors that do as they are told, on a clock that is set by hand."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from aiplat.domain.answers import AnswerEvent, Delta, Failed, Finished, Queued, Started
from aiplat.domain.chat import Generate, Message, Sampling
from aiplat.domain.errors import (
    ContextLengthExceeded,
    InvalidRequest,
    ModelNotFound,
    NoProcessor,
    Overloaded,
    ShuttingDown,
)
from aiplat.domain.ids import PeerId
from aiplat.domain.usage import Usage
from aiplat.protocol.messages import Announce
from aiplat.roles.gateway import Gateway
from aiplat.roles.settings import GatewaySettings
from aiplat.telemetry.labels import MAX_MODEL_LABELS
from aiplat.telemetry.metrics import Metrics
from tests.support.dialogue import started, submission
from tests.support.scripted import Kept, ScriptedProcessor, offer

HERE = PeerId("gateway-here")


class House:
    """A gateway, with processors added by name."""

    def __init__(self, **settings: object) -> None:
        self.metrics = Metrics()
        self.gateway = Gateway(HERE, GatewaySettings(**settings), self.metrics)  # type: ignore[arg-type]  # test data
        self.revision = 0

    def processor(self, name: str, *offers: object, refusal: object = None) -> ScriptedProcessor:
        processor = ScriptedProcessor(refusal)  # type: ignore[arg-type]  # test data
        self.gateway.add_processor(PeerId(name), processor)
        self.announces(name, *(offers or (offer(),)))
        return processor

    def announces(self, name: str, *offers: object) -> None:
        self.revision += 1
        models = Announce(revision=self.revision, models=offers)  # type: ignore[arg-type]  # test data
        self.gateway.processor_announced(PeerId(name), models)

    def asks(self, **changes: Any) -> Kept:
        sink = Kept()
        self.gateway.submit(submission(**changes), sink)
        return sink

    def count(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(name, labels) or 0.0


@asynccontextmanager
async def running(house: House) -> AsyncIterator[House]:
    async with trio.open_nursery() as nursery:
        await nursery.start(house.gateway.run)
        yield house
        nursery.cancel_scope.cancel()


@pytest.mark.trio
async def test_an_answer_is_carried_back_and_counted() -> None:
    house = House()
    processor = house.processor("p")
    sink = house.asks(model="tiny", credential="sk-secret")
    [work] = processor.work
    assert work.submission.to == "processor"
    assert work.submission.credential == "", "a processor needs no key"
    work.starts().says("Pa", 1, 2).says("ris", 3).finishes()
    assert sink.text == "Paris"
    assert isinstance(sink.events[0], Started)
    assert (sink.events[0].processor, sink.events[0].gateway) == ("p", HERE)
    assert isinstance(sink.end, Finished)
    assert sink.end.usage == Usage(3, 3)
    assert not house.gateway.active
    labels = {"gen_ai_request_model": "tiny", "gen_ai_token_type": "output"}
    assert house.count("gen_ai_client_token_usage_sum", **labels) == 3


@pytest.mark.trio
async def test_who_asks_for_much_holds_nobody_back() -> None:
    house = House()
    processor = house.processor("p", offer(slots=1))  # takes two
    alice, bob = PeerId("12D3KooWAlice"), PeerId("12D3KooWBob")
    async with running(house):
        for asker, number in [(alice, n) for n in range(6)] + [(bob, 8), (bob, 9)]:
            asked = submission(id=f"req-{number:024}")
            house.gateway.submit(asked, Kept(), asker)
        for done in range(8):
            await wait_all_tasks_blocked()
            processor.work[done].starts().finishes()
    order = [int(work.submission.id.removeprefix("req-")) for work in processor.work]
    assert order == [0, 1, 8, 2, 9, 3, 4, 5], "by turns, as long as both wait"


@pytest.mark.trio
async def test_nobody_fills_the_line_alone() -> None:
    house = House(max_waiting=4)
    house.processor("p", offer(slots=1))
    alice, bob = PeerId("12D3KooWAlice"), PeerId("12D3KooWBob")
    sinks = [Kept() for _ in range(8)]
    async with running(house):
        for sink in sinks[:6]:  # two are placed, four wait
            house.gateway.submit(submission(), sink, alice)
        for sink in sinks[6:]:
            house.gateway.submit(submission(), sink, bob)
        for asker in (alice, bob):
            with pytest.raises(Overloaded, match="has 4 requests waiting"):
                house.gateway.submit(submission(), Kept(), asker)
    failed = [n for n, sink in enumerate(sinks) if sink.events and isinstance(sink.end, Failed)]
    assert failed == [4, 5], "the latest of who has most there, one for each"
    assert all(sinks[n].end.code == "overloaded" for n in failed)  # type: ignore[union-attr]  # it is Failed


@pytest.mark.trio
async def test_a_processor_is_told_users_apart_but_not_who_they_are() -> None:
    house, other = House(), House()
    first, second = house.processor("p", offer(slots=9)), other.processor("p", offer(slots=9))
    users = [PeerId("12D3KooWAlice"), PeerId("12D3KooWAlice"), PeerId("12D3KooWBob"), None]
    for user in users:
        house.gateway.submit(submission(fairness="chosen by the user"), Kept(), user)
    other.gateway.submit(submission(), Kept(), users[0])
    alice, again, bob, here = [work.submission.fairness for work in first.work]
    assert alice == again
    assert len({alice, bob, here, "chosen by the user"}) == 4
    assert all(re.fullmatch("[0-9a-f]{32}", tag) for tag in (alice, bob, here))
    assert second.work[0].submission.fairness != alice, "gateways cannot compare their users"
    for work in (*first.work, *second.work):
        sent = msgspec.msgpack.encode(work.submission)
        for user in (*users[:3], HERE):
            assert str(user).encode() not in sent


@pytest.mark.trio
async def test_the_least_loaded_processor_is_chosen_and_the_credit_goes_on() -> None:
    house = House()
    first, second = house.processor("a"), house.processor("b")
    for _ in range(4):
        house.asks()
    assert (len(first.work), len(second.work)) == (2, 2)
    house.gateway.active.pop().accept(5, 20)
    assert [w.accepted for w in first.work + second.work].count([(5, 20)]) == 1


@pytest.mark.trio
async def test_what_finds_no_room_waits_its_turn_and_hears_why(autojump_clock: MockClock) -> None:
    house = House()
    processor = house.processor("p", offer(slots=1))
    async with running(house):
        sinks = [house.asks() for _ in range(4)]
        assert len(processor.work) == 2, "a slot, and one to follow at once"
        await wait_all_tasks_blocked()
        assert [type(e) for e in sinks[2].events] == [Queued]
        [queued] = sinks[3].events
        assert isinstance(queued, Queued)
        assert (queued.place, queued.reason) == (1, "all processors are busy")
        assert queued.expected_wait_ms > 0
        processor.work[0].starts().says("x").finishes()
        await wait_all_tasks_blocked()
        assert len(processor.work) == 3
        assert processor.work[2].sink is not processor.work[1].sink
        assert house.count("aiplat_queue_depth") == 1


@pytest.mark.trio
async def test_nobody_jumps_the_queue(autojump_clock: MockClock) -> None:
    house = House()
    processor = house.processor("p", offer(slots=1))
    async with running(house):
        house.asks(), house.asks()
        first = house.asks(deadline_ms=1111)
        processor.work[0].starts().finishes()  # there is room now, before anyone looked
        house.asks(deadline_ms=2222)
        await wait_all_tasks_blocked()
        placed = processor.work[-1]
        placed.starts().says("x")
        assert first.text == "x"


@pytest.mark.trio
async def test_a_busy_model_holds_back_no_other(autojump_clock: MockClock) -> None:
    house = House()
    processor = house.processor("p", offer("busy", slots=1), offer("free", slots=1))
    async with running(house):
        for _ in range(4):
            house.asks(model="busy")
        house.asks(model="free")
        assert [w.submission.model for w in processor.work].count("free") == 1


@pytest.mark.trio
async def test_a_request_that_waits_is_placed_when_a_processor_comes(
    autojump_clock: MockClock,
) -> None:
    house = House()
    async with running(house):
        sink = house.asks()
        await wait_all_tasks_blocked()
        assert sink.events == [Queued(0, 0, "no processor is connected yet")]
        processor = house.processor("p")
        await wait_all_tasks_blocked()
        processor.work[0].starts().says("hi").finishes()
        assert sink.text == "hi"


@pytest.mark.trio
async def test_nobody_to_serve_is_said_soon(autojump_clock: MockClock) -> None:
    house = House(no_processor_seconds=2.0)
    async with running(house):
        sink = house.asks()
        began = trio.current_time()
        while not isinstance(sink.events and sink.end, Failed):
            await trio.sleep(0.05)
        assert 2.0 <= trio.current_time() - began < 2.5
    assert isinstance(sink.end, Failed)
    assert sink.end.code == "no_processor"
    assert "serve --role processor" in sink.end.message
    assert sink.end.retry_after_ms == 5000


@pytest.mark.trio
async def test_a_model_that_loads_is_waited_for_and_one_that_failed_is_not(
    autojump_clock: MockClock,
) -> None:
    house = House(no_processor_seconds=2.0, queue_seconds=60.0)
    house.processor("p", offer("slow", state="loading", note="loading the weights"))
    house.processor("q", offer("broken", state="failed", note="the file is truncated"))
    async with running(house):
        slow, broken = house.asks(model="slow"), house.asks(model="broken")
        await trio.sleep(30)
        assert set(slow.events) == {Queued(0, 0, "loading the weights")}
        assert isinstance(broken.end, Failed)
        assert "the file is truncated" in broken.end.message
        await trio.sleep(40)
        assert isinstance(slow.end, Failed)
        assert slow.end.code == "deadline_exceeded"
        assert "60 s" in slow.end.message


@pytest.mark.trio
@pytest.mark.parametrize(
    ("stage", "words"),
    [("placed", "the first token"), ("started", "the next token")],
)
async def test_a_processor_that_stalls(stage: str, words: str, autojump_clock: MockClock) -> None:
    house = House(first_token_seconds=10.0, next_token_seconds=10.0)
    processor = house.processor("p")
    async with running(house):
        sink = house.asks()
        if stage == "started":
            processor.work[0].starts().says("x")
        await trio.sleep(11)
    assert isinstance(sink.end, Failed)
    assert sink.end.code == "deadline_exceeded"
    assert words in sink.end.message
    assert processor.work[0].cancelled


@pytest.mark.trio
async def test_a_reader_that_stalls_is_not_the_processors_fault(autojump_clock: MockClock) -> None:
    """It holds a place of the processor's all the same, and that has its own bound."""
    house = House(next_token_seconds=10.0, stalled_seconds=40.0)
    processor = house.processor("p")
    async with running(house):
        sink = Kept()
        asking = house.gateway.submit(submission(credit=16, deadline_ms=3_600_000), sink)
        processor.work[0].starts().says("abc", 1)  # costs 16: the reader's credit is used up
        await trio.sleep(30)
        asking.accept(1, 16)
        processor.work[0].says("def", 2)
        await trio.sleep(39)
        assert not isinstance(sink.end, Failed)
        await trio.sleep(2)
        assert isinstance(sink.end, Failed)
        assert sink.end.code == "deadline_exceeded"
        assert "took nothing of the answer for 40 s" in sink.end.message
        assert processor.work[0].cancelled
        assert not house.gateway.processors.get(PeerId("p")).rests("tiny", trio.current_time())  # type: ignore[union-attr]  # it is there


@pytest.mark.trio
async def test_what_comes_after_the_end_is_dropped(autojump_clock: MockClock) -> None:
    house = House()
    processor = house.processor("p")
    async with running(house):
        sink = house.asks(deadline_ms=1000)
        processor.work[0].starts().says("x")
        await trio.sleep(2)
        processor.work[0].says("y").finishes()
    assert sink.text == "x"
    assert [type(e) for e in sink.events].count(Failed) == 1
    assert not house.gateway.active


@pytest.mark.trio
async def test_a_cancel_is_answered_waiting_or_running(autojump_clock: MockClock) -> None:
    house = House(cancel_seconds=5.0)
    processor = house.processor("p", offer(slots=1))
    async with running(house):
        sinks = [Kept(), Kept(), Kept()]
        asked = [house.gateway.submit(submission(), sink) for sink in sinks]
        for asking in asked:
            asking.cancel()
            asking.cancel()
        assert [w.cancelled for w in processor.work] == [True, True]
        assert isinstance(sinks[2].end, Finished)
        assert sinks[2].end.reason == "cancelled"
        processor.work[0].starts().finishes("cancelled")
        assert isinstance(sinks[0].end, Finished)
        await trio.sleep(6)  # the second is never answered
        assert isinstance(sinks[1].end, Failed)
        assert "did not answer a cancel" in sinks[1].end.message
    assert not house.gateway.active


@pytest.mark.trio
async def test_a_processor_that_refuses_for_now_is_passed_over() -> None:
    house = House()
    house.processor("a", refusal=Overloaded("full"))
    good = house.processor("b")
    house.asks()
    assert len(good.work) == 1
    assert house.count("aiplat_route_attempts_total", outcome="refused") == 1


@pytest.mark.trio
async def test_a_request_that_is_wrong_everywhere_is_refused_at_once() -> None:
    house = House()
    house.processor("a", refusal=ContextLengthExceeded.of(9000, 10, 8192))
    with pytest.raises(
        ContextLengthExceeded, match="9000 tokens, but the model's context holds 8192"
    ):
        house.asks()
    assert not house.gateway.active


@pytest.mark.trio
async def test_an_unknown_model_names_the_nearest() -> None:
    house = House()
    house.processor("a", offer("smollm2-135m"))
    with pytest.raises(ModelNotFound, match="Did you mean smollm2-135m"):
        house.asks(model="smolm-135m")


@pytest.mark.trio
@pytest.mark.parametrize("credit", [1, 7])
async def test_a_window_in_which_no_answer_could_move_is_refused(credit: int) -> None:
    house = House()
    processor = house.processor("p")
    with pytest.raises(InvalidRequest, match=f"at least 8 .* but is {credit}"):
        house.asks(credit=credit)
    assert not processor.work


@pytest.mark.trio
async def test_bounds_refuse_and_say_when_to_come_back() -> None:
    house = House(max_requests=3, max_waiting=1)
    house.processor("a", offer(slots=1))
    sinks = [house.asks() for _ in range(3)]
    assert len(sinks) == 3
    with pytest.raises(Overloaded, match="3 requests under way") as refused:
        house.asks()
    assert refused.value.retry_after == 2
    assert house.count("aiplat_bound_hits_total", bound="gateway_requests") == 1


@pytest.mark.trio
async def test_other_settings_hold_from_now_on() -> None:
    house = House(max_requests=2)
    house.processor("a", offer(slots=1))
    [house.asks() for _ in range(2)]
    with pytest.raises(Overloaded, match="2 requests under way"):
        house.asks()
    house.gateway.follow(GatewaySettings(max_requests=3, max_waiting=0))
    with pytest.raises(Overloaded, match="0 requests waiting"):
        house.asks()
    house.gateway.follow(GatewaySettings(max_requests=3))
    house.asks()
    with pytest.raises(Overloaded, match="3 requests under way"):
        house.asks()


@pytest.mark.trio
async def test_a_full_queue_refuses_and_leaves_nothing_behind() -> None:
    house = House(max_waiting=0)
    house.processor("a", offer(slots=1))
    [house.asks() for _ in range(2)]
    with pytest.raises(Overloaded, match="0 requests waiting"):
        house.asks()
    assert len(house.gateway.active) == 2


@pytest.mark.trio
async def test_what_is_refused_for_a_full_queue_is_explained_as_that() -> None:
    house = House(max_waiting=0)
    house.processor("a", offer(slots=1))
    [house.asks() for _ in range(2)]
    request = submission(id="req-" + "9" * 24)
    with pytest.raises(Overloaded, match="bound"):
        house.gateway.submit(request, Kept())
    told = house.gateway.explain(request.id)
    assert (told.state, "its bound" in told.outcome) == ("failed", True)


@pytest.mark.trio
async def test_where_nobody_may_wait_nobody_there_is_told_as_that() -> None:
    house = House(max_waiting=0)
    with pytest.raises(NoProcessor, match="serve --role processor"):
        house.asks()
    house.processor("a", offer(state="failed", note="the file is truncated"))
    with pytest.raises(NoProcessor, match="the file is truncated"):
        house.asks()


@pytest.mark.trio
async def test_nothing_new_while_draining() -> None:
    house = House()
    house.processor("a")
    house.gateway.draining = True
    with pytest.raises(ShuttingDown):
        house.asks()


@pytest.mark.trio
async def test_an_old_announcement_and_an_old_life_change_nothing() -> None:
    house = House()
    old = house.processor("p", offer("new-name"))
    house.gateway.processor_announced(PeerId("p"), Announce(revision=0, models=()))
    assert [m.name for m in house.gateway.models()] == ["new-name"]
    new = house.processor("p")
    assert not house.gateway.processors.remove(PeerId("p"), old)
    house.asks()
    assert len(new.work) == 1


@pytest.mark.trio
@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(temperature=2.5),
        Sampling(temperature=float("nan")),
        Sampling(top_p=-0.1),
        Sampling(max_tokens=0),
        Sampling(stop=("",)),
        Sampling(stop=("x",) * 17),
        Sampling(n=0),
    ],
)
async def test_a_value_out_of_bounds_is_named_with_its_bound(sampling: Sampling) -> None:
    house = House()
    house.processor("a")
    with pytest.raises(InvalidRequest) as refused:
        house.asks(work=Generate((Message("user", "x"),), sampling))
    assert refused.value.param in ("temperature", "top_p", "max_tokens", "stop", "n")


@pytest.mark.trio
async def test_a_strangers_model_name_is_no_label() -> None:
    house = House(no_processor_seconds=0.01)
    async with running(house):
        house.asks(model="mine" * 20)
        await trio.sleep(0.3)
    names = [
        sample.labels.get("gen_ai_request_model", "")
        for metric in house.metrics.registry.collect()
        for sample in metric.samples
    ]
    assert not [name for name in names if name.startswith("mine")]


@pytest.mark.trio
async def test_a_fault_of_ours_costs_one_request_and_not_the_node(
    autojump_clock: MockClock,
) -> None:
    class Broken(Kept):
        def deliver(self, event: AnswerEvent) -> None:
            super().deliver(event)
            raise RuntimeError("a sink with a bug")

    house = House(no_processor_seconds=0.5)
    async with running(house):
        broken, good = Broken(), Kept()
        house.gateway.submit(submission(), broken)
        house.gateway.submit(submission(), good)
        await trio.sleep(2)
        assert isinstance(good.end, Failed)
        assert good.end.code == "no_processor"
        assert not house.gateway.active


@pytest.mark.trio
async def test_labels_stay_few_whatever_peers_say() -> None:
    house = House()
    for n in range(200):
        processor = house.processor("p", offer(f"model-{n}"))
        house.asks()
        processor.work[0].sink.deliver(Failed(f"code-{n}", "no"))
    values = {
        value
        for metric in house.metrics.registry.collect()
        for sample in metric.samples
        for value in sample.labels.values()
    }
    assert len([v for v in values if v.startswith("model-")]) == MAX_MODEL_LABELS
    assert not [v for v in values if v.startswith("code-")]
    assert "other" in values


@pytest.mark.trio
async def test_what_an_earlier_life_had_is_not_taken_from_the_next_ones_count() -> None:
    house = House()
    old = house.processor("p")
    house.asks()
    house.processor("p")
    old.work[0].starts().finishes()
    house.asks()
    again = house.gateway.processors.get(PeerId("p"))
    assert again is not None
    assert again.in_flight["tiny"] == 1


@pytest.mark.trio
async def test_a_processor_that_drains_is_not_called_busy(autojump_clock: MockClock) -> None:
    house = House(no_processor_seconds=2.0)
    house.processor("p")
    processor = house.gateway.processors.get(PeerId("p"))
    assert processor is not None
    processor.drains = True
    async with running(house):
        sink = house.asks()
        await trio.sleep(1)
        assert sink.events == [Queued(0, 0, "the processor is drained, or shuts down")]
        await trio.sleep(2)
    assert isinstance(sink.end, Failed)
    assert sink.end.code == "no_processor"


async def test_without_token_ids_the_processors_own_count_is_taken_and_said_not_to_be_exact() -> (
    None
):
    house = House()
    processor = house.processor("p")
    unfinished = {"reason": "length", "usage": Usage(9, 7, exact=False)}
    whole, broken, late = (house.asks(id=f"req-{n:024x}") for n in range(3))
    for work in processor.work:
        work.sink.deliver(msgspec.structs.replace(started(0), exact=False))
        work.sink.deliver(Delta((), "two words"))
    processor.work[0].sink.deliver(Finished(**unfinished))  # type: ignore[arg-type]  # test data
    failed = Failed("engine_failed", "It broke.", recoverable=True, usage=Usage(9, 4, exact=False))
    processor.work[1].sink.deliver(failed)
    house.gateway.fail_all(ShuttingDown("It ends."))
    assert isinstance(whole.end, Finished)
    assert whole.end.usage == Usage(9, 7, exact=False)
    assert isinstance(broken.end, Failed)
    assert broken.end.usage == Usage(9, 4, exact=False)
    assert isinstance(late.end, Failed)
    assert late.end.usage == Usage(9, 1, exact=False)  # what it guessed, and heard itself
