"""Client and processor against channels with nothing behind them."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import msgspec
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from aiplat.control.messages import ModelStatus
from aiplat.domain.answers import AnswerSink, Failed, Finished, Submission
from aiplat.domain.chat import Generate, Message, Sampling
from aiplat.domain.errors import (
    InvalidRequest,
    ModelNotFound,
    NoPeer,
    PermissionDenied,
    ShuttingDown,
)
from aiplat.domain.ids import PeerId
from aiplat.domain.models import ModelOffer
from aiplat.protocol.messages import Announce, Call, Drain, Hello, Reply
from aiplat.roles.answering import answering
from aiplat.roles.client import Client
from aiplat.roles.dispatch import Dispatch
from aiplat.roles.gateway import Gateway
from aiplat.roles.processor import Processor
from aiplat.roles.settings import ClientSettings, GatewaySettings
from aiplat.telemetry.metrics import Metrics
from tests.support.dialogue import submission
from tests.support.fake_channel import FakeChannel, FakeIncoming, FakeNode
from tests.support.scripted import Kept, ScriptedProcessor, Work, offer


def a_client(**settings: object) -> Client:
    return Client(ClientSettings(**settings))  # type: ignore[arg-type]  # test data


@pytest.mark.trio
async def test_the_nearest_gateway_that_does_not_drain_is_asked() -> None:
    client, node = a_client(), FakeNode()
    far, near = (
        FakeChannel("far", "gateway", latency=0.2),
        FakeChannel("near", "gateway", latency=0.1),
    )
    for channel in (far, near, FakeChannel("no", "processor")):
        client.opened(channel)  # type: ignore[arg-type]  # a fake
    (await client.inference(node)).submit(submission(), Kept())  # type: ignore[arg-type]  # a fake
    client.drained(near, Drain(0))  # type: ignore[arg-type]  # a fake
    (await client.inference(node)).submit(submission(), Kept())  # type: ignore[arg-type]  # a fake
    assert (len(near.behind.work), len(far.behind.work)) == (1, 1)
    assert (client.taken, len(client.active)) == (2, 1), "the two have the same name"
    far.is_ended = near.is_ended = True
    with pytest.raises(NoPeer):  # they went, though nobody told the client yet
        await client.inference(node)  # type: ignore[arg-type]  # a fake


@pytest.mark.trio
async def test_without_a_gateway_it_says_how_to_name_one() -> None:
    with pytest.raises(NoPeer, match="--peer ADDRESS"):
        await a_client().inference(FakeNode())  # type: ignore[arg-type]  # a fake


@pytest.mark.trio
async def test_whom_a_person_blocked_is_named_where_no_gateway_is_left() -> None:
    node = FakeNode()
    node.membership.blocked = frozenset({PeerId("12D3KooWBlocked1")})
    with pytest.raises(NoPeer, match=r"Blocked here, and so never tried: …Blocked1 \(`aiplat unbl"):
        await a_client().inference(node)  # type: ignore[arg-type]  # a fake


@pytest.mark.trio
async def test_a_gateway_that_is_being_reconnected_is_waited_for(autojump_clock: MockClock) -> None:
    client, node = a_client(gateway_seconds=5.0), FakeNode()
    node.wanted = [SimpleNamespace(note="it refused the connection")]
    with pytest.raises(NoPeer, match="Tried: it refused the connection"):
        await client.inference(node)  # type: ignore[arg-type]  # a fake
    assert trio.current_time() >= 5
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.inference, node)  # type: ignore[arg-type]  # a fake
        await wait_all_tasks_blocked()
        client.opened(FakeChannel("g", "gateway"))  # type: ignore[arg-type]  # a fake


@pytest.mark.trio
async def test_peer_means_that_gateway_and_no_other() -> None:
    named, other = FakeChannel("named", "gateway"), FakeChannel("other", "gateway")
    wrong = FakeChannel("p", "processor")
    client, node = a_client(), FakeNode(there=named, wrong=wrong)
    client.opened(other)  # type: ignore[arg-type]  # a fake
    (await client.inference(node, "there")).submit(submission(), Kept())  # type: ignore[arg-type]  # a fake
    client.opened(named)  # type: ignore[arg-type]  # a fake; `reach` may be the quicker
    assert (len(named.behind.work), len(other.behind.work)) == (1, 0)
    assert len(client.active) == 1
    assert client.find(submission().id) == submission().id, "it can be explained"
    assert node.kept == ["there"], "kept for next time"
    for address, words in (("nowhere", "refused"), ("wrong", "is no gateway")):
        with pytest.raises(NoPeer, match=words):
            await client.inference(node, address)  # type: ignore[arg-type]  # a fake
    assert node.kept == ["there"]
    assert (wrong.closed, named.closed) == ("bye", ""), "a refusal leaves nothing behind"


@pytest.mark.trio
async def test_models_come_from_the_gateway_and_rubbish_is_said() -> None:
    client, node, channel = a_client(), FakeNode(), FakeChannel("g", "gateway")
    client.opened(channel)  # type: ignore[arg-type]  # a fake
    models = (ModelStatus(name="m", state="ready"),)
    channel.reply = Reply(body=msgspec.Raw(msgspec.msgpack.encode(models)))
    assert await client.models(node) == models  # type: ignore[arg-type]  # a fake
    channel.reply = Reply(body=msgspec.Raw(b"\x01"))
    with pytest.raises(NoPeer, match="cannot be read"):
        await client.models(node)  # type: ignore[arg-type]  # a fake


@pytest.mark.trio
async def test_a_gateway_that_went_is_forgotten_but_not_its_next_life() -> None:
    client = a_client()
    old, new = FakeChannel("g", "gateway"), FakeChannel("g", "gateway")
    client.opened(old)  # type: ignore[arg-type]  # a fake
    client.opened(new)  # type: ignore[arg-type]  # a fake
    client.ended(old, "replaced")  # type: ignore[arg-type]  # a fake
    assert list(client.gateways) == ["g"]
    client.ended(new, "gone")  # type: ignore[arg-type]  # a fake
    assert not client.gateways


class FakeEngine(ScriptedProcessor):
    """An engine whose offer the test changes."""

    def __init__(self, name: str = "tiny") -> None:
        super().__init__()
        self.name = name
        self.now: ModelOffer = offer(name, state="loading")
        self.on_change: Callable[[], None] = lambda: None

    def offer(self) -> ModelOffer:
        return self.now

    async def run(
        self,
        on_change: Callable[[], None],
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        self.on_change = on_change
        task_status.started()
        await trio.sleep_forever()

    def submit(self, submission: Submission, sink: AnswerSink) -> Work:
        return super().submit(submission, sink)


@pytest.mark.trio
async def test_a_processor_announces_at_each_change_and_to_each_new_gateway(
    autojump_clock: MockClock,
) -> None:
    engine, early = FakeEngine(), FakeChannel("g", "gateway")
    local = Gateway(PeerId("here"), GatewaySettings(), Metrics())
    processor = Processor(PeerId("here"), [engine], local)
    async with trio.open_nursery() as nursery:
        await nursery.start(processor.run)
        processor.opened(early)  # type: ignore[arg-type]  # a fake
        assert [m.state for m in local.models()] == ["loading"]
        engine.now = offer()
        for _ in range(50):
            engine.on_change()
        await trio.sleep(1)
        states = [announce.models[0].state for announce in early.said]
        assert states == ["loading", "ready"], "changes of a moment leave in one announcement"
        assert [m.state for m in local.models()] == ["ready"]
        revisions = [announce.revision for announce in early.said]
        assert revisions == sorted(set(revisions))
        processor.ended(early, "gone")  # type: ignore[arg-type]  # a fake
        engine.on_change()
        await trio.sleep(1)
        assert len(early.said) == 2
        nursery.cancel_scope.cancel()


@pytest.mark.trio
async def test_a_processor_counts_what_it_runs_and_refuses_what_it_must() -> None:
    engine = FakeEngine()
    processor = Processor(PeerId("here"), [engine])
    sink = Kept()
    processor.submit(submission(model="tiny"), sink)
    assert processor.active == {submission().id}
    engine.work[0].starts().finishes()
    assert (processor.active, processor.taken) == (set(), 1)
    assert isinstance(sink.end, Finished)
    with pytest.raises(ModelNotFound, match="Did you mean tiny"):
        processor.submit(submission(model="tinny"), sink)
    strange = Generate((Message("user", "x"),), Sampling(seed=2**63))
    with pytest.raises(InvalidRequest, match="seed must be from"):
        processor.submit(submission(model="tiny", work=strange), sink)
    processor.submit(submission(model="tiny"), sink)
    processor.fail_all(ShuttingDown("it stops"))
    engine.work[1].starts().finishes()
    assert sink.events[-1] == Failed.of(ShuttingDown("it stops")), "what comes after is dropped"
    assert processor.active == set()
    processor.drain()
    assert processor.announcement.draining
    with pytest.raises(ShuttingDown):
        processor.submit(submission(model="tiny"), sink)


@pytest.mark.trio
async def test_dispatch_hands_each_thing_to_its_role() -> None:
    gateway = Gateway(PeerId("here"), GatewaySettings(), Metrics())
    dispatch = Dispatch({"gateway": gateway})
    channel = FakeChannel("p", "processor")
    handler = dispatch.on_channel(channel)  # type: ignore[arg-type]  # a fake
    handler.announced(Announce(revision=1, models=(offer(),)))
    incoming = FakeIncoming(submission(to="gateway"))
    handler.submitted(incoming)  # type: ignore[arg-type]  # a fake
    assert incoming.asking is not None
    assert len(channel.behind.work) == 1
    with pytest.raises(PermissionDenied, match="does not serve as processor"):
        handler.submitted(FakeIncoming(submission(to="processor")))  # type: ignore[arg-type]  # a fake
    assert (await handler.called(Call("models"))).failed is None
    failed = (await handler.called(Call("nonsense\x1b[2J"))).failed
    assert isinstance(failed, Failed)
    assert "\x1b" not in failed.message
    handler.ended("gone")
    assert not len(gateway.processors)
    with pytest.raises(PermissionDenied):
        dispatch.admit(PeerId("x"), Hello())


@pytest.mark.trio
async def test_an_answer_is_read_in_batches_and_left_early_is_cancelled() -> None:
    behind = ScriptedProcessor()
    async with answering(behind, submission()) as answer:
        [work] = behind.work
        work.starts().says("a").says("b")
        assert len(await answer.next()) == 3
        assert work.accepted == [(2, 16)]
    assert work.cancelled
    async with answering(behind, submission()) as answer:
        behind.work[1].starts().finishes()
        await answer.next()
        assert answer.ended
    assert not behind.work[1].cancelled


@pytest.mark.trio
async def test_a_gateway_that_has_just_gone_is_waited_for_too(autojump_clock: MockClock) -> None:
    """Its channel has ended, and nobody told the client yet."""
    client, node = a_client(gateway_seconds=5.0), FakeNode()
    node.wanted = [SimpleNamespace(note="")]
    gone, again = FakeChannel("g", "gateway"), FakeChannel("g", "gateway")
    client.opened(gone)  # type: ignore[arg-type]  # a fake
    gone.is_ended = True
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.inference, node)  # type: ignore[arg-type]  # a fake
        await trio.sleep(3)
        client.ended(gone, "it fell silent")  # type: ignore[arg-type]  # a fake
        client.opened(again)  # type: ignore[arg-type]  # a fake
    assert trio.current_time() == pytest.approx(3)


@pytest.mark.trio
async def test_a_model_that_comes_later_is_announced_and_served(
    autojump_clock: MockClock,
) -> None:
    processor = Processor(PeerId("p"), [], None)
    channel = FakeChannel("g", "gateway")
    processor.opened(channel)  # type: ignore[arg-type]  # a fake
    engine = FakeEngine()
    async with trio.open_nursery() as nursery:
        await nursery.start(processor.run)
        processor.add(engine)
        await trio.sleep(0.1)
        engine.now = offer("tiny")
        engine.on_change()  # it runs
        await trio.sleep(0.1)
        (announce,) = [m for m in channel.said[-1:] if isinstance(m, Announce)]
        assert [(model.name, model.state) for model in announce.models] == [("tiny", "ready")]
        processor.submit(submission(model="tiny"), Kept())
        assert len(engine.work) == 1
        nursery.cancel_scope.cancel()
