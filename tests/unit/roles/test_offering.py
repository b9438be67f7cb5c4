"""Which gateway is asked first: one that has the model, as far as the client knows."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import trio
from trio.testing import MockClock

from aiplat.control.messages import ModelStatus
from aiplat.domain.answers import Failed
from aiplat.domain.errors import NoProcessor, Overloaded
from aiplat.protocol.messages import Call, Reply
from aiplat.roles import offering
from aiplat.roles.offering import COLD, LACKS, READY, REFUSED, UNKNOWN, Offering
from tests.support.dialogue import submission
from tests.support.fake_channel import FakeChannel
from tests.support.scripted import Kept
from tests.unit.roles.test_client import Asker, gateway, watching

NOBODY = Failed.of(NoProcessor("Nobody serves it."))


def models(**states: Any) -> list[ModelStatus]:
    return [ModelStatus(name=name, state=state) for name, state in states.items()]


def offers(channel: FakeChannel, **states: Any) -> list[Call]:
    """Let a gateway tell these models; gives the calls that it gets."""
    calls: list[Call] = []

    async def replies(call: Call, deadline_seconds: float) -> Reply:
        calls.append(call)
        return Reply(body=msgspec.Raw(msgspec.msgpack.encode(models(**states))))

    channel.call = replies  # type: ignore[method-assign]  # in place of the fake's own
    return calls


def test_what_was_told_and_refused_makes_the_rank() -> None:
    known = Offering(30.0)
    assert known.rank(submission(model="m"), 0.0) == UNKNOWN
    known.heard(models(m="ready", slow="loading"))
    ranks = [known.rank(submission(model=m), 0.0) for m in ("m", "", "slow", "x")]
    assert ranks == [READY, READY, LACKS, LACKS]
    known.heard([*models(m="ready"), ModelStatus(name="cold", state="loading", cold=True)])
    assert known.rank(submission(model="cold"), 0.0) == COLD
    known.refused(submission(model="m", privacy="network"), 10.0)
    assert known.rank(submission(model="m", privacy="network"), 39.9) == REFUSED
    assert known.rank(submission(model="m", privacy="any"), 39.9) == READY
    assert known.rank(submission(model="m", privacy="network"), 40.1) == READY
    known.heard([])
    assert known.rank(submission(model=""), 50.0) == LACKS


def test_what_is_kept_of_a_gateway_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offering, "MAX_MODELS", 2)
    known = Offering(30.0)
    for name in "abc":
        known.refused(submission(model=name), 0.0)
    known.heard(models(d="ready", e="ready", f="ready"))
    ranks = [known.rank(submission(model=name), 1.0) for name in "abcdef"]
    assert ranks == [LACKS, REFUSED, REFUSED, READY, READY, LACKS]


@pytest.mark.trio
async def test_the_gateway_that_has_the_model_ready_is_asked_first(
    autojump_clock: MockClock,
) -> None:
    near, far = gateway("near"), gateway("far")
    calls = [offers(near, other="ready"), offers(far, echo="ready")]
    asker = Asker(near, far, models_seconds=10.0)
    async with watching(asker.client):
        await trio.sleep(1)
        for _ in range(8):
            asker.asks(model="echo")
            await trio.sleep(1)
        asker.asks(model="other")
        assert [len(c.behind.work) for c in (near, far)] == [1, 8]
        assert [len(each) for each in calls] == [1, 1], "not for every request"
        await trio.sleep(100)
        assert [len(each) for each in calls] == [2, 2], "and not when there is none"


@pytest.mark.trio
async def test_who_had_nobody_is_asked_last_for_a_while(autojump_clock: MockClock) -> None:
    """The first request pays for the refusal, and the next does not."""
    near, far = gateway("near"), gateway("far")
    asker = Asker(near, far, refusal_seconds=30.0)
    first: Kept = asker.asks(model="echo")
    near.behind.work[0].sink.deliver(NOBODY)
    far.behind.work[0].starts().says("Paris").finishes()
    assert first.text == "Paris"
    asker.asks(model="echo")
    assert [len(c.behind.work) for c in (near, far)] == [1, 2]
    await trio.sleep(31)
    asker.asks(model="echo")
    assert [len(c.behind.work) for c in (near, far)] == [2, 2]


@pytest.mark.trio
async def test_a_gateway_that_tells_no_models_is_asked_all_the_same(
    autojump_clock: MockClock,
) -> None:
    near, far = gateway("near"), gateway("far")
    near.reply = Reply(failed=Failed.of(Overloaded("not now")))
    far.reply = Reply(body=msgspec.Raw(b"\x01"))
    asker = Asker(near, far)
    async with watching(asker.client):
        await trio.sleep(1)
        asker.asks(model="echo")
    assert len(near.behind.work) == 1
