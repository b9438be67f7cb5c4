"""The privacy class is a hard rule at every door: no match is an error, never a wider choice."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from aiplat.domain.answers import Failed, Privacy, Queued
from aiplat.domain.errors import AiplatError, EngineFailed, NoPeer, NoProcessor, PermissionDenied
from aiplat.domain.ids import PeerId
from aiplat.protocol.messages import Announce
from aiplat.roles.client import Client
from aiplat.roles.processor import Processor
from aiplat.roles.settings import ClientSettings
from tests.support.dialogue import submission
from tests.support.fake_channel import FakeChannel, FakeIncoming, FakeNode
from tests.support.scripted import Kept, ScriptedProcessor, offer
from tests.unit.roles.test_gateway import HERE, House, running


class Houses(House):
    """A gateway with a processor of each kind: here, a member elsewhere, and a stranger."""

    def __init__(self, *kinds: str, model: str = "tiny", **settings: object) -> None:
        super().__init__(**settings)
        self.kinds: dict[str, ScriptedProcessor] = {}
        for kind in kinds:
            self.adds(kind, model)

    def adds(self, kind: str, model: str = "tiny") -> ScriptedProcessor:
        peer = HERE if kind == "here" else PeerId(kind)
        self.kinds[kind] = ScriptedProcessor()
        self.gateway.add_processor(peer, self.kinds[kind], is_member=kind == "member")
        self.announces(peer, offer(model, slots=2))
        return self.kinds[kind]

    def goes(self, kind: str) -> None:
        peer = HERE if kind == "here" else PeerId(kind)
        self.gateway.processors.remove(peer, self.kinds[kind])

    def read_by(self) -> set[str]:
        return {kind for kind, processor in self.kinds.items() if processor.work}


MAY_READ: dict[Privacy, set[str]] = {
    "machine": {"here"},
    "network": {"here", "member"},
    "any": {"here", "member", "stranger"},
}


@pytest.mark.trio
@pytest.mark.parametrize("privacy", ["machine", "network", "any"])
@pytest.mark.parametrize("there", ["here", "member", "stranger"])
async def test_who_reads_what(privacy: Privacy, there: str, autojump_clock: MockClock) -> None:
    house = Houses(there, no_processor_seconds=1.0)
    async with running(house):
        refused = ""
        try:
            sink = house.asks(privacy=privacy)
            await trio.sleep(2)
            if isinstance(sink.events and sink.end, Failed):
                refused = sink.end.message  # type: ignore[union-attr]  # it is Failed
        except NoProcessor as error:
            refused = str(error)
    allowed = there in MAY_READ[privacy]
    assert house.read_by() == ({there} if allowed else set())
    assert bool(refused) != allowed
    if refused:
        assert f"private to {'its machine' if privacy == 'machine' else 'the network'}" in refused


@pytest.mark.trio
@pytest.mark.parametrize(
    ("reach", "allowed"),
    [("", {"machine", "network", "any"}), ("network", {"network", "any"}), ("any", {"any"})],
)
async def test_a_model_that_runs_on_another_server_is_sent_no_more_than_that_may_have(
    reach: str, allowed: set[Privacy], autojump_clock: MockClock
) -> None:
    for privacy in MAY_READ:
        house = Houses("here", no_processor_seconds=1.0)
        house.announces(HERE, offer("tiny", slots=2, reach=reach))
        async with running(house):
            try:
                sink = house.asks(privacy=privacy)
                await trio.sleep(2)
                refused = bool(sink.events) and isinstance(sink.end, Failed)
            except NoProcessor:
                refused = True
        assert house.read_by() == ({"here"} if privacy in allowed else set())
        assert refused == (privacy not in allowed)


@pytest.mark.trio
@pytest.mark.parametrize(("privacy", "wider"), [("machine", "member"), ("network", "stranger")])
async def test_neither_time_nor_failure_widens_it(
    privacy: Privacy, wider: str, autojump_clock: MockClock
) -> None:
    """Full, failed, resting, drained, gone: it waits or ends, and nobody else ever reads it."""
    house = Houses("here", wider, rest_seconds=3.0, no_processor_seconds=2.0)
    here = house.kinds["here"]
    async with running(house):
        sinks = [house.asks(privacy=privacy) for _ in range(5)]
        await trio.sleep(1)
        assert len(here.work) == 3, "two slots, and one to follow"
        here.work[0].sink.deliver(Failed.of(EngineFailed("it broke")))
        await trio.sleep(1)
        assert isinstance(sinks[0].end, Failed), "there is no other processor for it"
        [queued] = [e for e in sinks[3].events if isinstance(e, Queued)][-1:]
        assert queued.reason.startswith("the only processor failed lately")
        house.gateway.drain_processor(HERE)
        await trio.sleep(0.2)
        house.goes("here")
        await trio.sleep(3)
        for sink in sinks[3:]:
            assert isinstance(sink.end, Failed)
            assert sink.end.code == "no_processor"
            assert "private to" in sink.end.message
        assert not house.kinds[wider].work


@pytest.mark.trio
async def test_without_a_name_a_model_is_taken_that_is_there_for_it(
    autojump_clock: MockClock,
) -> None:
    house = Houses()
    far, here = house.adds("member", "first-of-all"), house.adds("here", "mine")
    house.asks(privacy="machine")
    assert [w.submission.model for w in here.work] == ["mine"]
    assert not far.work


@pytest.mark.trio
async def test_a_private_request_that_waits_is_told_of_its_own_processors_alone(
    autojump_clock: MockClock,
) -> None:
    house = Houses("member")
    house.adds("here")
    house.announces(HERE, offer(state="loading", note="loading the weights"))
    async with running(house):
        sink = house.asks(privacy="machine")
        await wait_all_tasks_blocked()
        assert sink.events == [Queued(0, 0, "loading the weights")]


@pytest.mark.trio
async def test_explain_says_who_was_not_allowed_to_read_it() -> None:
    house = Houses("stranger", "member")
    request = submission(privacy="network")
    house.gateway.submit(request, Kept())
    [choice] = house.gateway.explain(request.id).choices
    refused = {w.processor: w.refused for w in choice.weighed}
    assert refused == {"stranger": "the request may not leave its network", "member": ""}


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["ask", "come", "go", "fail", "drain", "say", "look"]),
            st.sampled_from(["here", "member", "stranger"]),
            st.sampled_from(["machine", "network", "any"]),
        ),
        max_size=40,
    )
)
def test_whatever_happens_nobody_reads_what_is_not_for_him(
    steps: list[tuple[str, str, Privacy]],
) -> None:
    async def happen() -> None:
        house, seen = Houses(rest_seconds=0.1), 0
        everyone: list[tuple[str, ScriptedProcessor]] = []
        for step, kind, privacy in steps:
            processor = house.kinds.get(kind)
            if step == "come":
                everyone.append((kind, house.adds(kind)))
            elif step == "ask":
                seen += 1
                try:
                    house.asks(privacy=privacy, id=f"req-{seen:024x}")
                except AiplatError:
                    continue
            elif step == "look":
                house.gateway._line.move_up()
            elif processor is None:
                continue
            elif step == "go":
                house.goes(kind)
                del house.kinds[kind]
            elif step == "drain":
                house.gateway.drain_processor(HERE if kind == "here" else PeerId(kind))
            elif processor.work and step == "fail":
                processor.work[-1].sink.deliver(Failed.of(EngineFailed("it broke")))
            elif processor.work and step == "say":
                processor.work[-1].starts().says("x", 1)
        house.gateway._line.move_up()
        for kind, processor in everyone:
            for work in processor.work:
                assert kind in MAY_READ[work.submission.privacy], (kind, work.submission.privacy)

    trio.run(happen)


# -- the other doors -------------------------------------------------------------------------------


@pytest.mark.trio
async def test_a_gateway_takes_no_request_that_is_private_to_another_machine() -> None:
    house = Houses("here")
    house.gateway.opened(FakeChannel("c", "client"))  # type: ignore[arg-type]  # a fake
    incoming = FakeIncoming(submission(privacy="machine"), "client")
    with pytest.raises(NoProcessor, match="came from another machine"):
        house.gateway.submitted(incoming)  # type: ignore[arg-type]  # a fake
    assert not house.read_by()


@pytest.mark.trio
async def test_a_processor_takes_none_over_a_channel() -> None:
    engine: Any = ScriptedProcessor()
    engine.name = "tiny"
    processor = Processor(PeerId("us"), [engine])
    private = submission(to="processor", model="tiny", privacy="machine")
    with pytest.raises(PermissionDenied, match="private to its own machine"):
        processor.submitted(FakeIncoming(private, "gateway"))  # type: ignore[arg-type]  # a fake
    assert not engine.work
    processor.submit(private, Kept())
    assert len(engine.work) == 1, "that of the same node may"


@pytest.mark.trio
@pytest.mark.parametrize("peer", ["", "there"])
async def test_a_client_sends_it_to_no_gateway_not_even_to_one_that_was_named(peer: str) -> None:
    client, channel = Client(ClientSettings(gateway_seconds=0.1)), FakeChannel("g", "gateway")
    client.opened(channel)  # type: ignore[arg-type]  # a fake
    inference = await client.inference(FakeNode(there=channel), peer)  # type: ignore[arg-type]  # a fake
    with pytest.raises(NoPeer, match="private to this machine"):
        inference.submit(submission(privacy="machine"), Kept())
    assert not channel.behind.work


@pytest.mark.trio
async def test_members_are_those_of_a_network_that_the_gateway_is_in() -> None:
    """Outside of one nobody's certificate was checked: a name alone makes no member."""
    for in_network in (False, True):
        house = House()
        house.gateway._in_network = lambda known=in_network: known  # type: ignore[misc]  # bound now
        channel = FakeChannel("p", "processor")
        house.gateway.opened(channel)  # type: ignore[arg-type]  # a fake
        house.gateway.announced(channel, Announce(revision=1, models=(offer(),)))  # type: ignore[arg-type]  # a fake
        house.asks(privacy="network")
        assert len(channel.behind.work) == in_network


@pytest.mark.trio
@pytest.mark.parametrize("peer", ["", "there"])
@pytest.mark.parametrize("in_network", [True, False])
async def test_a_client_outside_of_a_network_sends_what_is_private_to_one_nowhere(
    peer: str, in_network: bool
) -> None:
    client = Client(ClientSettings(gateway_seconds=0.1), in_network=lambda: in_network)
    channel = FakeChannel("g", "gateway")
    client.opened(channel)  # type: ignore[arg-type]  # a fake
    inference = await client.inference(FakeNode(there=channel), peer)  # type: ignore[arg-type]  # a fake
    inference.submit(submission(privacy="any"), Kept())
    if in_network:
        inference.submit(submission(privacy="network"), Kept())
    else:
        with pytest.raises(NoPeer, match="private to its network, and this node is in none"):
            inference.submit(submission(privacy="network"), Kept())
    assert len(channel.behind.work) == 1 + in_network
