"""Each stage of a request has a deadline: which, whose, and in which words it ends."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
import trio
from trio.testing import MockClock

from aiplat.domain.answers import Delta, Failed, Queued, Started
from aiplat.domain.errors import DeadlineExceeded, NoPeer, ProcessorLost
from aiplat.domain.ids import PeerId
from aiplat.node.addresses import parse_target
from aiplat.node.reaching import too_slow
from aiplat.node.settings import NodeSettings
from aiplat.roles.client import Client
from aiplat.roles.settings import ClientSettings, GatewaySettings
from tests.support.dialogue import submission
from tests.support.fake_channel import FakeNode
from tests.support.networks import peer_id
from tests.support.scripted import Kept, ScriptedProcessor, Work, offer
from tests.unit.roles.test_gateway import House, running

PEER = PeerId("12D3KooWSlowSlowSlow")
WHOSE = "processor …SlowSlow"
LATE = Failed.of(DeadlineExceeded("The request waited 10.0 s for its end, as long as it could."))


class Slow(House):
    """A gateway with one processor that has one slot."""

    def __init__(self, **settings: object) -> None:
        super().__init__(**settings)
        self.slow: ScriptedProcessor = self.processor(PEER, offer(slots=1))

    @property
    def work(self) -> Work:
        """What it was asked last."""
        return self.slow.work[-1]

    def fill(self) -> list[Work]:
        """Leave it no room: it has one to work on, and one to follow at once."""
        for _ in range(2):
            self.asks(deadline_ms=3_000_000)
        return self.slow.work


async def until_end(sink: Kept) -> None:
    """Wait for the end of an answer."""
    with trio.fail_after(3600):  # the clock jumps
        while not (sink.events and isinstance(sink.end, Failed)):
            await trio.sleep(0.05)


@pytest.mark.trio
async def test_connect_no_gateway_comes(autojump_clock: MockClock) -> None:
    """The client's: a gateway that it knows is not connected."""
    client, node = Client(ClientSettings()), FakeNode()
    node.wanted = [SimpleNamespace(note="Nothing listens there.")]
    with pytest.raises(NoPeer) as caught:
        await client.inference(node)  # type: ignore[arg-type]  # a fake
    assert trio.current_time() == 5.0
    assert str(caught.value) == (
        "This node is a client, and no gateway is connected to it after 5 s of waiting "
        "(client.gateway_seconds): start one, or name one of this machine with `--peer ADDRESS`. "
        "`aiplat doctor` looks at each step, and says what to do. Tried: Nothing listens there."
    )


@pytest.mark.trio
async def test_connect_nobody_to_wait_for_is_told_at_once(autojump_clock: MockClock) -> None:
    with pytest.raises(NoPeer) as caught:
        await Client(ClientSettings()).inference(FakeNode())  # type: ignore[arg-type]  # a fake
    assert trio.current_time() == 0.0
    assert "no gateway is connected to it: start one" in str(caught.value)


def test_connect_a_peer_that_does_not_answer_a_dial() -> None:
    """The node's; `test_node_reaching` has the real sockets."""
    target = parse_target(f"/ip4/127.0.0.1/tcp/4001/p2p/{peer_id()}", beyond=False)
    assert str(too_slow(target, NodeSettings().connect_seconds)) == (
        "The peer at /ip4/127.0.0.1/tcp/4001 did not answer within 10 s (node.connect_seconds). "
        "It may be frozen, or overloaded: look there, or try again."
    )


@pytest.mark.trio
async def test_queue_no_processor_comes_free(autojump_clock: MockClock) -> None:
    """The gateway's: a processor is there, and busy."""
    house = Slow(queue_seconds=30.0)
    async with running(house):
        served = house.fill()
        waits = house.asks()
        await until_end(waits)
        assert 30.0 <= trio.current_time() < 30.5
        end = waits.end
        assert isinstance(end, Failed)
        assert end.code == "deadline_exceeded"
        assert end.message.startswith(
            "Waited 30 s for a free processor, the limit (gateway.queue_seconds). Until then: "
        )
        assert end.retry_after_ms
        assert not any(work.cancelled for work in served), "who is served is left alone"


@pytest.mark.trio
async def test_queue_nobody_offers_the_model(autojump_clock: MockClock) -> None:
    """The gateway's, and soon: nobody is there who could become free."""
    house = House()
    async with running(house):
        sink = house.asks()
        await until_end(sink)
        assert 2.0 <= trio.current_time() < 2.5
        assert isinstance(sink.end, Failed)
        assert sink.end.code == "no_processor"


@pytest.mark.trio
async def test_queue_a_processor_that_is_away_for_a_moment_ends_nobody_that_waits_long(
    autojump_clock: MockClock,
) -> None:
    """Not the whole wait counts, but that since when nobody offers the model."""
    house = Slow()
    async with running(house):
        house.fill()
        sink = house.asks()
        await trio.sleep(30)
        house.gateway.processors.remove(PeerId(PEER), house.slow)
        await trio.sleep(1.5)
        again = house.processor(PEER, offer(slots=1))
        await trio.sleep(1)
        assert len(again.work) == 1
        again.work[0].starts().says("x").finishes()
        assert sink.text == "x"


@pytest.mark.trio
async def test_queue_what_fails_late_waits_anew_for_another_processor(
    autojump_clock: MockClock,
) -> None:
    house = House(first_token_seconds=150.0)
    first, second = house.processor("a"), house.processor("b", offer(state="loading"))
    async with running(house):
        sink = house.asks(deadline_ms=900_000)
        house.announces("b", offer())
        await trio.sleep(140)  # well over the 120 s that it may wait
        first.work[0].sink.deliver(Failed.of(ProcessorLost("it died")))
        await trio.sleep(1)
        [again] = second.work
        again.starts().says("x").finishes()
        assert sink.text == "x"


@pytest.mark.trio
async def test_first_token_the_processor_tells_nothing(autojump_clock: MockClock) -> None:
    """The processor's, which is told to stop and rests; with no other to try it is told."""
    house = Slow(first_token_seconds=10.0)
    async with running(house):
        sink = house.asks()
        house.work.starts()
        await until_end(sink)
        assert 10.0 <= trio.current_time() < 10.5
        assert isinstance(sink.end, Failed)
        assert sink.end.code == "deadline_exceeded"
        assert sink.end.message == (
            f"Waited 10 s for the first token from {WHOSE}, the limit "
            "(gateway.first_token_seconds)."
        )
        assert sink.end.recoverable, "another may be quicker"
        assert house.work.cancelled


@pytest.mark.trio
async def test_next_token_the_answer_stops_in_the_middle(autojump_clock: MockClock) -> None:
    """The processor's; each token starts it anew."""
    house = Slow(next_token_seconds=10.0)
    async with running(house):
        sink = house.asks()
        work = house.work.starts()
        for _ in range(3):
            work.says("x")
            await trio.sleep(9)
        assert not isinstance(sink.end, Failed)
        await until_end(sink)
        assert 28.0 <= trio.current_time() < 28.5
        assert isinstance(sink.end, Failed)
        assert sink.end.message == (
            f"Waited 10 s for the next token from {WHOSE}, the limit (gateway.next_token_seconds)."
        )
        assert sink.end.usage is not None
        assert sink.end.usage.completion_tokens == 3
        assert work.cancelled


@pytest.mark.trio
@pytest.mark.parametrize(
    ("came", "stage"),
    [
        ("nothing", "no token had come from {}"),
        ("started", "no token had come from {}"),
        ("tokens", "2 tokens had come from {}"),
    ],
)
@pytest.mark.parametrize("first", ["gateway", "processor"])
async def test_whole_the_answer_is_not_done(
    came: str, stage: str, first: str, autojump_clock: MockClock
) -> None:
    """Nobody's fault: who asked set it. Whoever looks first, the words are the same."""
    house = Slow()
    async with running(house):
        sink = house.asks(deadline_ms=10_000)
        if came != "nothing":
            house.work.starts()
        if came == "tokens":
            house.work.says("a").says("b")
        if first == "processor":
            await trio.sleep(9.95)
            house.work.sink.deliver(LATE)
        await until_end(sink)
        assert 9.9 <= trio.current_time() < 10.5
        assert isinstance(sink.end, Failed)
        assert sink.end.code == "deadline_exceeded"
        assert sink.end.message == (
            "The answer was not done within 10 s, the deadline of the whole request: "
            f"{stage.format(WHOSE)}. Allow more, or ask for fewer tokens."
        )
        assert not sink.end.recoverable, "elsewhere there is no time left either"
        assert house.work.cancelled == (first == "gateway")
        house.asks()
        assert len(house.slow.work) == 2, "the processor is not made to rest"


@pytest.mark.trio
async def test_whole_it_waits_for_a_processor_until_then(autojump_clock: MockClock) -> None:
    house = Slow()
    async with running(house):
        house.fill()
        sink = house.asks(deadline_ms=10_000)
        await until_end(sink)
        assert isinstance(sink.end, Failed)
        assert sink.end.message.startswith(
            "The answer was not done within 10 s, the deadline of the whole request: it still "
            "waited for a free processor. Allow more, or ask for fewer tokens. Until then: "
        )


@pytest.mark.trio
async def test_cancel_the_processor_does_not_answer_it(autojump_clock: MockClock) -> None:
    house = Slow()
    async with running(house):
        sink = Kept()
        house.gateway.submit(submission(), sink).cancel()
        await until_end(sink)
        assert 5.0 <= trio.current_time() < 5.5
        assert isinstance(sink.end, Failed)
        assert sink.end.code == "processor_lost"
        assert sink.end.message == (
            "The processor …SlowSlow did not answer a cancel within 5 s (gateway.cancel_seconds)."
        )


@pytest.mark.trio
async def test_who_asked_is_told_from_time_to_time_that_it_is_looked_after(
    autojump_clock: MockClock,
) -> None:
    """Else a client takes its gateway for one that works on nothing."""
    house = Slow()
    async with running(house):
        sink = house.asks()
        await trio.sleep(10.5)
        assert sink.events == [Queued(0, 0, f"the {WHOSE} has it: it waits there")]
        house.work.starts()
        await trio.sleep(20)
        reading = Queued(0, 0, f"the {WHOSE} has it: its prompt is being read")
        assert sink.events[1:] == [reading, reading]
        house.work.says("Paris")
        await trio.sleep(40)
        assert [type(event) for event in sink.events[3:]] == [Started, Delta], "its tokens tell"
        waits = [house.asks(), house.asks()][-1]
        await trio.sleep(15)
        busy = "all processors are busy"
        assert [event.reason for event in waits.events] == [busy, busy]  # type: ignore[union-attr]  # `Queued` all


@pytest.mark.trio
async def test_who_wants_the_end_is_reminded_of_nothing(autojump_clock: MockClock) -> None:
    house = Slow()
    async with running(house):
        sink = Kept()
        asking = house.gateway.submit(submission(), sink)
        await trio.sleep(9.0)
        asking.cancel()
        await trio.sleep(4.0)
        assert sink.events == []


def test_a_client_bears_more_silence_than_a_gateway_makes() -> None:
    assert ClientSettings().silence_seconds > 4 * GatewaySettings().remind_seconds


SECTIONS: dict[str, type[msgspec.Struct]] = {
    "node": NodeSettings,
    "gateway": GatewaySettings,
    "client": ClientSettings,
}


@pytest.mark.parametrize(
    ("name", "seconds"),
    [
        ("node.connect_seconds", 10.0),
        ("client.gateway_seconds", 5.0),
        ("client.silence_seconds", 45.0),
        ("gateway.no_processor_seconds", 2.0),
        ("gateway.queue_seconds", 120.0),
        ("gateway.first_token_seconds", 120.0),
        ("gateway.next_token_seconds", 60.0),
        ("gateway.remind_seconds", 10.0),
        ("gateway.stalled_seconds", 60.0),
        ("gateway.cancel_seconds", 5.0),
    ],
)
def test_each_stage_has_a_setting_by_the_name_that_its_words_have(
    name: str, seconds: float
) -> None:
    section, field = name.split(".")
    settings: Any = SECTIONS[section]()
    assert getattr(settings, field) == seconds
    assert re.fullmatch(r"\w+_seconds", field)
