"""The client: which gateway it asks, what it watches, and what it can explain afterwards."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from aiplat.control.messages import Explanation, ModelStatus
from aiplat.domain.answers import Failed
from aiplat.domain.errors import (
    AiplatError,
    GatewayLost,
    InvalidRequest,
    NoPeer,
    NotReady,
    Overloaded,
    ShuttingDown,
)
from aiplat.node.node import Node
from aiplat.protocol.messages import Call, Drain, Reply
from aiplat.roles.client import Client
from aiplat.roles.gateway import Gateway
from aiplat.roles.settings import ClientSettings
from tests.support.dialogue import submission
from tests.support.fake_channel import FakeChannel, FakeNode
from tests.support.scripted import Kept

NOBODY = cast("Node", FakeNode())
ID = "req-" + "0" * 24
MODEL = ModelStatus(name="m", state="ready")
LOST = Failed.of(GatewayLost("it died"))


class Asker:
    """A client with gateways that are connected, the nearest first."""

    def __init__(self, *gateways: FakeChannel, **settings: Any) -> None:
        self.client = Client(ClientSettings(**settings))
        for place, gateway in enumerate(gateways):
            gateway.latency = 0.1 * (place + 1)
            self.client.opened(cast("Any", gateway))

    def asks(self, **changes: Any) -> Kept:
        sink = Kept()
        self.client.submit(submission(**changes), sink)
        return sink

    def loses(self, gateway: FakeChannel) -> None:
        """A gateway's channel ends: its requests hear of it first, as from a real one."""
        gateway.is_ended = True
        for work in gateway.behind.work:
            work.sink.deliver(LOST)
        self.client.ended(cast("Any", gateway), "it died")


def gateway(name: str) -> FakeChannel:
    return FakeChannel(name, "gateway")


def explains(channel: FakeChannel, answer: Explanation | AiplatError | bytes) -> list[Call]:
    """Let a gateway answer so; gives the calls that it gets."""
    calls: list[Call] = []
    if isinstance(answer, bytes):
        reply = Reply(msgspec.Raw(answer))
    elif isinstance(answer, Explanation):
        reply = Reply(msgspec.Raw(msgspec.msgpack.encode(answer)))
    else:
        reply = Reply(failed=Failed.of(answer))

    async def replies(call: Call, deadline_seconds: float) -> Reply:
        assert deadline_seconds == 5.0
        calls.append(call)
        return reply

    channel.call = replies  # type: ignore[method-assign]  # in place of the fake's own
    return calls


@asynccontextmanager
async def watching(client: Client) -> AsyncIterator[None]:
    async with trio.open_nursery() as nursery:
        await nursery.start(client.run)
        yield
        nursery.cancel_scope.cancel()


@contextmanager
def refused(kind: type[AiplatError], words: str) -> Iterator[None]:
    with pytest.raises(AiplatError, match=words) as caught:
        yield
    assert type(caught.value) is kind


async def test_a_node_that_is_a_gateway_asks_itself() -> None:
    own = cast("Gateway", SimpleNamespace(models=lambda: (MODEL,)))
    client = Client(ClientSettings(), own)
    client.opened(cast("Any", gateway("near")))
    assert await client.inference(NOBODY) is own
    assert await client.models(NOBODY) == (MODEL,)


async def test_without_a_gateway_nothing_is_asked() -> None:
    asker = Asker()
    with refused(NoPeer, "no gateway is connected"):
        asker.asks()
    assert (asker.client.active, asker.client.taken) == (set(), 0)


async def test_a_gateway_that_goes_before_the_first_token_is_replaced() -> None:
    near, far = gateway("near"), gateway("far")
    asker = Asker(near, far)
    sink = asker.asks()
    near.behind.work[0].starts()
    asker.loses(near)
    far.behind.work[0].starts().says("Paris").finishes()
    assert sink.text == "Paris"
    assert asker.client.active == set()


async def test_how_many_gateways_are_tried_is_a_setting() -> None:
    near, far = gateway("near"), gateway("far")
    asker = Asker(near, far, attempts=1)
    sink = asker.asks()
    asker.loses(near)
    assert sink.end == LOST
    assert far.behind.work == []


async def test_one_that_drains_is_left_for_the_other_and_taken_when_there_is_none() -> None:
    near, far = gateway("near"), gateway("far")
    asker = Asker(near, far)
    asker.client.drained(cast("Any", near), Drain(0))
    asker.client.drained(cast("Any", gateway("unknown")), Drain(0))
    first = asker.asks()
    assert (len(near.behind.work), len(far.behind.work)) == (0, 1)
    far.behind.work[0].sink.deliver(Failed.of(ShuttingDown("it drains too")))
    near.behind.work[0].starts().says("Paris").finishes()
    assert first.text == "Paris"
    asker.client.drained(cast("Any", near), Drain(0, off=True))
    asker.asks()
    assert len(near.behind.work) == 2, "it takes requests again, and is the nearer"


async def test_where_all_drain_one_that_is_being_reached_again_is_waited_for(
    autojump_clock: MockClock,
) -> None:
    """As while the gateways of a network are restarted, one by one."""
    near, far = gateway("near"), gateway("far")
    asker, node = Asker(near, far), FakeNode()
    node.wanted = [SimpleNamespace(peer_id=far.peer, away_seconds=1.0, note="")]
    asker.loses(far)
    asker.client.drained(cast("Any", near), Drain(0))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(asker.client.inference, cast("Any", node))
        await trio.sleep(4)
        assert nursery.child_tasks, "it waits"
        back = gateway("far")
        asker.client.opened(cast("Any", back))
    assert trio.current_time() < 4.1
    asker.loses(back)
    asker.client.drained(cast("Any", near), Drain(0, off=True))
    sink = asker.asks()
    near.behind.work[0].sink.deliver(Failed.of(ShuttingDown("it drains")))
    assert sink.events == [], "it was asked before the word came: it waits too"
    back = gateway("far")
    asker.client.opened(cast("Any", back))
    back.behind.work[0].starts().says("Paris").finishes()
    assert sink.text == "Paris"
    node.wanted = [SimpleNamespace(peer_id=far.peer, away_seconds=61.0, note="")]
    asker.loses(back)
    sink = asker.asks()
    near.behind.work[1].sink.deliver(Failed.of(ShuttingDown("it drains")))
    assert isinstance(sink.end, Failed), "one that is away for long is not waited for"


async def test_a_silent_gateway_is_noticed_by_the_watch(autojump_clock: MockClock) -> None:
    near, far = gateway("near"), gateway("far")
    asker = Asker(near, far, silence_seconds=20.0)
    async with watching(asker.client):
        sink = asker.asks()
        await trio.sleep(20.6)
        assert near.behind.work[0].cancelled
        await trio.sleep(20.6)
        assert far.behind.work[0].cancelled
        assert isinstance(sink.end, Failed)
        assert "told nothing for 20 s (client.silence_seconds)" in sink.end.message
        await trio.sleep(100)
        assert len(sink.events) == 1


async def test_one_that_was_named_is_not_waited_for_for_ever_either(
    autojump_clock: MockClock,
) -> None:
    near, far = gateway("near"), gateway("far")
    asker = Asker(near, far, silence_seconds=20.0)
    async with watching(asker.client):
        named = await asker.client.inference(cast("Any", FakeNode(there=far)), "there")
        sink = Kept()
        named.submit(submission(), sink)
        await trio.sleep(20.6)
        assert isinstance(sink.end, Failed)
        assert "told nothing for 20 s (client.silence_seconds)" in sink.end.message
        assert near.behind.work == [], "no other is asked in its place"


async def test_all_that_is_under_way_can_be_failed() -> None:
    near = gateway("near")
    asker = Asker(near)
    sink = asker.asks()
    asker.client.fail_all(ShuttingDown("this node stops"))
    assert isinstance(sink.end, Failed)
    assert sink.end.code == "shutting_down"
    assert asker.client.active == set()


async def test_a_request_waits_for_the_next_gateway_when_the_last_went() -> None:
    near, node = gateway("near"), FakeNode()
    asker = Asker(near)
    asker.loses(near)
    node.wanted = [SimpleNamespace(note="")]
    found: list[object] = []

    async def ask() -> None:
        found.append(await asker.client.inference(cast("Node", node)))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        await wait_all_tasks_blocked()
        assert found == []
        asker.client.opened(cast("Any", gateway("again")))
    assert found == [asker.client]


async def test_a_gateway_that_was_named_and_went_at_once_is_said() -> None:
    named = gateway("named")
    named.is_ended = True
    node = cast("Node", FakeNode(there=named))
    with refused(NoPeer, "went as it was reached"):
        await Client(ClientSettings()).inference(node, "there")


async def test_models_are_refused_in_the_gateways_words() -> None:
    near = gateway("near")
    explains(near, NotReady("it only starts"))
    with refused(NotReady, "it only starts"):
        await Asker(near).client.models(NOBODY)


async def test_the_gateway_that_has_a_request_explains_it() -> None:
    near, far = gateway("near"), gateway("far")
    asker, why = Asker(near, far), Explanation(request=ID, model="m", gateway="far")
    asker.asks()
    calls = [explains(channel, why) for channel in (near, far)]
    assert await asker.client.explain(ID[4:12]) == why
    asker.loses(near)
    assert await asker.client.explain(ID) == why
    far.behind.work[0].starts().says("x").finishes()
    assert await asker.client.explain(ID) == why
    assert [len(each) for each in calls] == [1, 2], "it moved: the other one knows since then"
    assert msgspec.msgpack.decode(calls[1][0].body) == ID


async def test_what_cannot_be_explained_is_said() -> None:
    near = gateway("near")
    asker = Asker(near)
    with refused(InvalidRequest, "asked no request 'req-0000'"):
        await asker.client.explain("req-0000")
    asker.asks()
    explains(near, Overloaded("not now"))
    with refused(Overloaded, "not now"):
        await asker.client.explain(ID)
    explains(near, b"\x01")
    with refused(NoPeer, "gave what cannot be read"):
        await asker.client.explain(ID)
    near.behind.work[0].starts().says("x")
    asker.loses(near)
    with refused(NoPeer, "The gateway near, which had it, is not connected"):
        await asker.client.explain(ID)


async def test_only_the_last_requests_are_remembered() -> None:
    asker = Asker(gateway("near"), explain_requests=2)
    names = [f"req-{number}{'0' * 23}" for number in range(3)]
    for name in names:
        asker.asks(id=name)
    assert [asker.client.find(name) for name in names] == ["", *names[1:]]
