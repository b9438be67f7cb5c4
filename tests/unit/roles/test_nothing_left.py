"""A request that is over is gone at once: nothing of it waits for a garbage collection."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from aiplat.domain.answers import Failed
from aiplat.domain.errors import ContextLengthExceeded, EngineFailed
from aiplat.domain.usage import Usage
from aiplat.node.incoming import Carrier, Incoming
from aiplat.roles.answering import Answer, Choices, answering_all
from aiplat.roles.forwarding import Forwarding
from tests.support.collector import living, no_collector
from tests.support.dialogue import submission
from tests.support.scripted import ScriptedProcessor, Work
from tests.unit.roles.test_gateway_accounts import House


@pytest.fixture
def collector_off() -> Iterator[None]:
    with no_collector():
        yield


def goes_well(work: Work, choices: Choices) -> None:
    work.starts().says("a", 1)
    choices.answers[0].take()
    work.says("b", 2).finishes()


def fails(work: Work, choices: Choices) -> None:
    work.starts().says("a", 1)
    work.sink.deliver(Failed.of(EngineFailed("It broke."), Usage(3, 1)))


def is_cancelled(work: Work, choices: Choices) -> None:
    work.starts().says("a", 1)
    choices.cancel()
    assert work.cancelled
    work.finishes("cancelled")


def is_tried_elsewhere(work: Work, choices: Choices) -> None:
    work.starts()
    work.sink.deliver(Failed.of(EngineFailed("It broke.", recoverable=True), Usage(3, 0)))


@pytest.mark.usefixtures("collector_off")
@pytest.mark.parametrize("happens", [goes_well, fails, is_cancelled, is_tried_elsewhere])
async def test_a_request_leaves_nothing(happens: object, tmp_path: Path) -> None:
    house = House(tmp_path)
    processor: ScriptedProcessor = house.processor("p")
    choices = Choices([submission()])
    choices.answers[0].begin(house.gateway)
    [forwarding] = house.gateway.active
    gone, heard = weakref.ref(forwarding), weakref.ref(choices.answers[0])
    happens(processor.work[0], choices)  # type: ignore[operator]  # one of those above
    if house.gateway.active:  # it waits for another processor, and gets none
        forwarding.fail(EngineFailed("Nobody took it."))
    assert choices.answers[0].take()
    processor.work.clear()
    del forwarding, choices
    assert gone() is None
    assert heard() is None


@pytest.mark.usefixtures("collector_off")
async def test_one_that_is_refused_leaves_nothing(tmp_path: Path) -> None:
    house = House(tmp_path)
    processor = house.processor("p")
    processor.refusal = ContextLengthExceeded("The prompt is too long.")
    held = Answer(submission())
    assert living(Answer) == [held]  # it would be seen
    del held
    with pytest.raises(ContextLengthExceeded):
        async with answering_all(house.gateway, [submission()]) as choices:
            raise AssertionError(f"it was taken: {choices}")
    processor.refusal = None  # it holds the frames that it came through
    assert not [*living(Answer), *living(Forwarding)]


@pytest.mark.usefixtures("collector_off")
async def test_one_whose_channel_is_lost_leaves_nothing(tmp_path: Path) -> None:
    house = House(tmp_path)
    processor = house.processor("p")
    channel = SimpleNamespace(peer="", hello=None, roles=(), is_ended=False)
    incoming = Incoming(
        1, submission(), cast(Carrier, channel), lambda event, number: None,
        lambda number: 0, lambda incoming: None, lambda cost: None,
    )  # fmt: skip
    incoming.attach(house.gateway.submit(incoming.submission, incoming))
    [forwarding] = house.gateway.active
    gone = weakref.ref(forwarding)
    del forwarding
    channel.is_ended = True
    incoming.cancel()
    processor.work[0].finishes("cancelled")
    processor.work.clear()
    del incoming
    assert gone() is None
