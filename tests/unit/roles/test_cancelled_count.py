"""What a cancelled request comes to: the tokens that the gateway had when the cancel came."""

from __future__ import annotations

import pytest

from aiplat.domain.answers import Finished
from aiplat.domain.usage import Usage
from aiplat.roles.gateway import Gateway
from tests.support.dialogue import submission
from tests.support.scripted import Kept
from tests.unit.roles.test_gateway import House


def cancelled_after_two(house: House, reason: str) -> Kept:
    """Two tokens, a cancel, a third that was on its way, and the end."""
    processor, sink = house.processor("p"), Kept()
    gateway: Gateway = house.gateway
    asking = gateway.submit(submission(), sink)
    [work] = processor.work
    work.starts().says("a", 1).says("b", 2)
    asking.cancel()
    assert work.cancelled
    work.says("c", 3).finishes(reason)
    return sink


@pytest.mark.trio
@pytest.mark.parametrize("reason", ["cancelled", "length"])
async def test_what_comes_after_the_cancel_is_neither_passed_on_nor_counted(reason: str) -> None:
    sink = cancelled_after_two(House(), reason)
    assert sink.text == "ab"
    assert isinstance(sink.end, Finished)
    assert (sink.end.reason, sink.end.usage) == ("cancelled", Usage(3, 2))


@pytest.mark.trio
async def test_a_cancel_that_crosses_the_end_changes_nothing() -> None:
    house, sink = House(), Kept()
    processor = house.processor("p")
    asking = house.gateway.submit(submission(), sink)
    processor.work[0].starts().says("a", 1).says("b", 2)
    asking.cancel()
    processor.work[0].finishes("length")
    assert isinstance(sink.end, Finished)
    assert (sink.end.reason, sink.end.usage) == ("length", Usage(3, 2))
