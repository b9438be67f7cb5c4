"""A processor that is paused for others: what its owner asks goes on, and gateways know why."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import msgspec
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from aiplat.control.messages import ModelStatus
from aiplat.domain.answers import Failed, Finished, Queued
from aiplat.domain.errors import ShuttingDown
from aiplat.domain.ids import PeerId
from aiplat.protocol.errors import Violation
from aiplat.protocol.messages import CODEC, Announce, Call, Drain
from aiplat.protocol.offers import MAX_NOTE, check_announce
from aiplat.roles.gateway import Gateway
from aiplat.roles.processor import Processor
from aiplat.roles.settings import GatewaySettings
from aiplat.roles.told import ToldPeer, decode, row
from aiplat.telemetry.metrics import Metrics
from tests.support.dialogue import submission
from tests.support.fake_channel import FakeChannel, FakeIncoming
from tests.support.scripted import Kept, offer
from tests.unit.roles.test_client_and_processor import FakeEngine
from tests.unit.roles.test_gateway import House
from tests.unit.roles.test_gateway import running as running_gateway

WHY = "paused by its owner"
GATEWAY, CLIENT = PeerId("12D3KooWGGGGGGGG"), PeerId("12D3KooWCCCCCCCC")


class Here:
    """A node that is gateway and processor, with one engine, and a gateway elsewhere."""

    def __init__(self) -> None:
        self.engine = FakeEngine()
        self.engine.now = offer()
        self.gateway = Gateway(PeerId("here"), GatewaySettings(), Metrics())
        self.processor = Processor(PeerId("here"), [self.engine], self.gateway)
        self.sharing = self.processor.sharing
        self.elsewhere = FakeChannel(GATEWAY, "gateway")

    def over_channel(self, model: str = "tiny") -> FakeIncoming:
        """A gateway elsewhere asks."""
        incoming = FakeIncoming(submission(model=model))
        incoming.channel = self.elsewhere
        self.processor.submitted(cast("Any", incoming))
        return incoming


@asynccontextmanager
async def running() -> AsyncIterator[Here]:
    here = Here()
    async with trio.open_nursery() as nursery:
        await nursery.start(here.gateway.run)
        await nursery.start(here.processor.run)
        here.processor.opened(cast("Any", here.elsewhere))
        yield here
        nursery.cancel_scope.cancel()


async def until(condition: Callable[[], bool]) -> None:
    with trio.fail_after(60):
        while not condition():
            await trio.sleep(0.01)


@pytest.mark.trio
async def test_a_pause_is_for_others_and_what_they_have_goes_on() -> None:
    async with running() as here:
        before = here.over_channel()
        here.processor.share(WHY)
        with pytest.raises(ShuttingDown, match=f"takes no requests of others now: {WHY}") as no:
            here.over_channel()
        assert no.value.recoverable, "so that a gateway places it elsewhere"
        own = Kept()
        here.gateway.submit(submission(to="gateway", model="tiny", privacy="machine"), own)
        mine = here.engine.work[-1]
        assert here.processor.own_running == 1
        for work in (here.engine.work[0], mine):
            work.starts().says("a").finishes()
        assert isinstance(own.end, Finished)
        assert isinstance(before.events[-1], Finished)
        assert [m.state for m in here.gateway.models()] == ["ready"], "for its owner"
        here.processor.share()
        here.over_channel()
        assert len(here.engine.work) == 3


@pytest.mark.trio
async def test_a_client_of_ones_own_gateway_is_another_and_waits_with_the_reason() -> None:
    async with running() as here:
        here.processor.share(WHY)
        theirs = Kept()
        here.gateway.submit(submission(to="gateway", model="tiny"), theirs, CLIENT)
        assert not here.engine.work
        await until(lambda: bool(theirs.events))
        waits = theirs.events[0]
        assert isinstance(waits, Queued)
        assert waits.reason == f"no processor takes requests now: {WHY}"
        reply = await here.gateway.called(cast("Any", FakeChannel("c", "client")), Call("models"))
        assert reply is not None
        [model] = msgspec.msgpack.decode(reply.body, type=tuple[ModelStatus, ...])
        assert (model.state, model.note) == (
            "drained", f"who offers it takes nothing new: here ({WHY})"
        )  # fmt: skip
        here.gateway.submit(submission(to="gateway", model="tiny"), Kept())
        await until(lambda: bool(here.engine.work))
        assert not len(here.sharing), "the owner passes by who waits for what others may have"
        here.processor.share()
        await until(lambda: bool(len(here.sharing)))


@pytest.mark.trio
async def test_an_owner_who_waits_for_a_slot_is_not_behind_those_who_get_none(
    mock_clock: MockClock,
) -> None:
    async with running() as here:
        here.engine.now = offer(slots=1)
        here.processor.share(WHY)
        for asker in (None, None, CLIENT, None):  # one slot, and one to follow at once
            here.gateway.submit(submission(to="gateway", model="tiny"), Kept(), asker)
        await wait_all_tasks_blocked()
        assert len(here.engine.work) == 2
        here.engine.work[0].starts().finishes()
        await wait_all_tasks_blocked()
        assert len(here.engine.work) == 3


@pytest.mark.trio
async def test_who_has_to_wait_for_nothing_is_told_the_reason(autojump_clock: MockClock) -> None:
    async with running() as here:
        here.processor.share(WHY)
        theirs = Kept()
        here.gateway.submit(submission(to="gateway", model="tiny"), theirs, CLIENT)
        await trio.sleep(GatewaySettings().no_processor_seconds + 1)
        assert isinstance(theirs.end, Failed)
        assert (theirs.end.code, theirs.end.recoverable) == ("no_processor", True)
        assert f"here ({WHY})" in theirs.end.message


@pytest.mark.trio
async def test_who_uses_it_now_by_peer_and_model() -> None:
    async with running() as here:
        first, second = here.over_channel(), here.over_channel()
        here.gateway.submit(submission(to="gateway", model="tiny"), Kept(), CLIENT)
        here.gateway.submit(submission(to="gateway", model="tiny"), Kept())
        here.engine.work[0].starts().says("ab", 1, 2)
        here.engine.work[1].starts().says("c", 3)
        users = {user.peer_id: user for user in here.sharing.users()}
        assert set(users) == {GATEWAY, CLIENT}, "the owner is none of them"
        gateway = users[GATEWAY]
        assert (gateway.role, gateway.model, gateway.running, gateway.tokens) == (
            "gateway", "tiny", 2, 3
        )  # fmt: skip
        assert (users[CLIENT].role, users[CLIENT].running) == ("client", 1)
        assert here.processor.own_running == 1
        here.engine.work[0].finishes()
        assert (here.sharing.requests, here.sharing.tokens, len(here.sharing)) == (3, 3, 2)
        assert isinstance(first.events[-1], Finished)
        assert not isinstance(second.events[-1], Finished)


@pytest.mark.trio
async def test_an_engine_that_gives_no_ids_is_counted_by_what_it_says() -> None:
    async with running() as here:
        here.over_channel()
        work = here.engine.work[0].starts()
        work.tokens = 7
        work.finishes()
        assert here.sharing.tokens == 7


@pytest.mark.trio
async def test_taken_back_at_once_ends_what_others_have_so_that_it_is_placed_elsewhere() -> None:
    async with running() as here:
        incoming, own = here.over_channel(), Kept()
        owners = "req-" + "1" * 24
        here.gateway.submit(submission(to="gateway", model="tiny", id=owners), own)
        theirs, mine = here.engine.work
        theirs.starts().says("a")
        assert here.sharing.end_all(WHY) == 1
        failed = incoming.events[-1]
        assert isinstance(failed, Failed)
        assert (failed.code, failed.recoverable) == ("shutting_down", True)
        assert failed.message.endswith(f"before the answer was whole: {WHY}.")
        assert (theirs.cancelled, mine.cancelled) == (True, False)
        theirs.finishes("cancelled")
        assert incoming.events[-1] is failed, "nothing after the end"
        assert (here.processor.active, here.sharing.tokens) == ({owners}, 1)
        assert not own.events


@pytest.mark.trio
async def test_a_pause_is_announced_at_once_and_a_drain_is_not_one() -> None:
    async with running() as here:
        here.processor.share(WHY)
        here.processor.share(WHY)
        said = here.elsewhere.said
        assert [(a.draining, a.paused) for a in said] == [(False, ""), (True, WHY)], "once"
        here.processor.drain()
        assert (said[-1].draining, said[-1].paused) == (True, "")
        with pytest.raises(ShuttingDown, match="shutting down"):  # its owner's requests too
            here.processor.submit(submission(model="tiny"), Kept())
        here.processor.drain(off=True)
        assert said[-1].paused == WHY
        here.processor.share()
        assert (said[-1].draining, said[-1].paused) == (False, "")


# -- at a gateway elsewhere ------------------------------------------------------------------------


@pytest.mark.trio
async def test_a_gateway_places_elsewhere_and_knows_why() -> None:
    house = House()
    paused, other = FakeChannel("paused", "processor"), FakeChannel("other", "processor")
    for channel in (paused, other):
        house.gateway.opened(cast("Any", channel))
        house.announces(channel.peer, offer())
    announce = Announce(revision=9, models=(offer(),), draining=True, paused=WHY)
    house.gateway.announced(cast("Any", paused), announce)
    for _ in range(4):  # more than the other has room for; and all are of this node's own faces
        house.gateway.submit(submission(to="gateway"), Kept())
    assert (len(paused.behind.work), len(other.behind.work)) == (0, 3)
    assert house.gateway.processors.why_nobody("tiny").endswith(f"paused ({WHY})")
    processor = house.gateway.processors.get(PeerId("paused"))
    paused.opened = 0.0  # type: ignore[attr-defined]  # of a real channel
    told = row(cast("Any", paused), processor, 1.0)
    assert (told.draining, told.paused) == (True, WHY)
    house.gateway.drained(cast("Any", paused), Drain(0, off=True))
    assert processor is not None
    assert processor.draining, "its node takes requests, but not this part of it"


@pytest.mark.trio
async def test_who_was_sent_back_is_tried_elsewhere() -> None:
    house = House()
    async with running_gateway(house):
        one, two = FakeChannel("one", "processor"), FakeChannel("two", "processor")
        house.gateway.opened(cast("Any", one))
        house.announces(one.peer, offer())
        kept = Kept()
        house.gateway.submit(submission(to="gateway"), kept)
        house.gateway.opened(cast("Any", two))
        house.announces(two.peer, offer())
        one.behind.work[0].starts()
        one.behind.work[0].sink.deliver(Failed.of(ShuttingDown("It was taken back.")))
        await until(lambda: bool(two.behind.work))
        two.behind.work[0].starts().says("a").finishes()
        assert isinstance(kept.end, Finished)


def test_what_a_peer_gives_as_a_reason_has_bounds() -> None:
    check_announce(Announce(revision=1, paused="x" * MAX_NOTE))
    with pytest.raises(Violation, match="a reason of 501 characters"):
        check_announce(Announce(revision=1, paused="x" * (MAX_NOTE + 1)))
    long = msgspec.msgpack.encode([ToldPeer(peer_id=GATEWAY, paused="\x1b[2J" + "x" * 300)])
    [told], _ = decode(msgspec.Raw(long), 10)
    assert len(told.paused) == 120
    assert "\x1b" not in told.paused


def test_the_bytes_of_a_pause() -> None:
    frame = CODEC.encode(Announce(revision=4, draining=True, paused="late"), 0)
    assert frame[9:].hex() == (
        "83a87265766973696f6e04a8647261696e696e67c3a6706175736564a46c617465"
    )  # fmt: skip
