"""A model that is not loaded yet: placed after a warm one, waited for in words, and told so."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
import pytest
import trio
from trio.testing import MockClock

from aiplat.domain.answers import Failed, Queued
from aiplat.domain.ids import PeerId
from aiplat.domain.models import ModelOffer
from aiplat.engine.requests import Requests
from aiplat.engine.standing import Standing
from aiplat.roles.placement import Candidate, choose, expected_wait
from aiplat.telemetry.metrics import Metrics
from tests.support.scripted import offer
from tests.unit.roles.test_deadlines import Slow, until_end
from tests.unit.roles.test_gateway import House, running


def cold(seconds: float = 30.0, **changes: Any) -> ModelOffer:
    fields = {"state": "loading", "manifest": None, "cold": True, "load_ms": round(seconds * 1000)}
    return offer(**(fields | changes))


def test_a_warm_one_goes_first_and_a_quick_load_before_a_slow() -> None:
    warm, quick, slow = (
        Candidate(PeerId(name), of, 0)
        for name, of in (("a", offer(running=2, slots=4)), ("b", cold(3)), ("c", cold(60)))
    )
    assert expected_wait(slow) == 60.0
    assert choose([slow, quick, warm]) == warm
    assert choose([slow, quick]) == quick
    waits = Candidate(PeerId("a"), offer(running=4, slots=4), 0)
    assert expected_wait(waits) > expected_wait(quick)
    assert choose([quick, waits]) == waits  # which has room for one to follow at once
    full = Candidate(PeerId("a"), offer(running=9, slots=4), 0)
    assert choose([full, slow]) == slow
    loading = Candidate(PeerId("d"), cold(3, cold=False, slots=0), 0)
    assert choose([loading]) is None


async def test_a_cold_one_is_placed_on_and_shown(autojump_clock: MockClock) -> None:
    house = House()
    processor = house.processor("p", cold(note="tiny is not loaded"))
    (shown,) = house.gateway.models()
    assert (shown.state, shown.cold, shown.is_usable) == ("loading", True, True)
    async with running(house):
        house.asks(model="tiny")
        (work,) = processor.work
        house.announces("p", cold(cold=False, slots=0, note="tiny is being loaded"))
        second = house.asks(model="tiny")
        await trio.sleep(1)
        assert len(processor.work) == 1
        assert second.events == [Queued(0, 30_000, "tiny is being loaded")]
        house.announces("p", offer())
        await trio.sleep(1)
        assert len(processor.work) == 2
        work.starts().says("x").finishes()


async def test_the_first_token_may_take_as_long_as_the_load(autojump_clock: MockClock) -> None:
    house = Slow(first_token_seconds=10.0, queue_seconds=100.0)
    async with running(house):
        sink = house.asks()
        house.work.sink.deliver(Queued(0, 40_000, "tiny is being loaded"))
        await until_end(sink)
        assert isinstance(sink.end, Failed)
        assert 50.0 <= trio.current_time() < 50.5
    house = Slow(first_token_seconds=10.0, queue_seconds=100.0)
    async with running(house):
        began, sink = trio.current_time(), house.asks()
        house.work.sink.deliver(Queued(0, 10**9, "for ever"))
        await until_end(sink)
        assert 110.0 <= trio.current_time() - began < 110.5


def test_an_older_peer_reads_what_is_said_of_a_cold_model() -> None:
    class OldOffer(msgspec.Struct, frozen=True, kw_only=True):
        name: str
        state: Literal["loading", "ready", "failed"]
        slots: int = 0
        note: str = ""

    stands = Standing("m", 4, 30.0, Metrics())
    stands.cold()
    sent = msgspec.msgpack.encode(stands.offer(Requests("m", lambda: None)))
    old = msgspec.msgpack.decode(sent, type=OldOffer)
    assert old.state == "loading"  # which it never places on, and does not take for broken


@pytest.mark.parametrize("state", ["ready", "failed"])
def test_only_what_loads_can_be_cold(state: str) -> None:
    from aiplat.protocol.errors import Violation
    from aiplat.protocol.messages import Announce
    from aiplat.protocol.offers import check_announce

    check_announce(Announce(revision=1, models=(cold(),)))
    for wrong in (cold(state=state, manifest=offer().manifest), cold(slots=0), cold(-1.0)):
        with pytest.raises(Violation):
            check_announce(Announce(revision=1, models=(wrong,)))
