"""What is said when nobody takes a request, and why it was that processor and that model."""

from __future__ import annotations

from typing import Any, cast

import pytest
from trio.testing import MockClock

from aiplat.domain.answers import Failed
from aiplat.domain.ids import PeerId
from aiplat.protocol.messages import Announce
from tests.support.dialogue import submission
from tests.support.fake_channel import FakeChannel
from tests.support.scripted import Kept, offer
from tests.unit.roles.test_deadlines import until_end
from tests.unit.roles.test_gateway import House, running

HELD = "who offers it takes nothing new: …PPPPPPPP was drained here, until it is started again"
LEAVES = "who offers it takes nothing new: …PPPPPPPP drains by its own word"
BLOCKED = (
    "the last that offered it, …PPPPPPPP, is gone: this gateway closed it: The node blocks the peer"
)
ONE = PeerId("12D3KooWPPPPPPPP")


class Connected(House):
    """A gateway and a processor behind a channel."""

    def __init__(self) -> None:
        super().__init__()
        self.channel = FakeChannel(ONE, "processor")
        self.gateway.opened(cast("Any", self.channel))
        self.announces(ONE, offer())

    def goes(self) -> None:
        """Its channel ends as for one that is blocked."""
        reason = "this node closed it: The node blocks the peer"
        self.gateway.ended(cast("Any", self.channel), reason)

    def reason(self) -> str:
        """Why the last request went where it went."""
        [choice] = self.gateway.explain(submission().id).choices
        return choice.reason


def leave(house: Connected) -> None:
    """Let the processor drain by itself."""
    house.gateway.processor_announced(ONE, Announce(revision=9, models=(offer(),), draining=True))


@pytest.mark.trio
@pytest.mark.parametrize("model", ["tiny", ""])
@pytest.mark.parametrize(
    ("happens", "words"),
    [
        (lambda house: house.gateway.drain_processor(ONE), HELD),
        (leave, LEAVES),
        (Connected.goes, BLOCKED),
    ],
)
async def test_the_end_and_explain_name_who_drains_or_went_and_why(
    happens: Any, words: str, model: str, autojump_clock: MockClock
) -> None:
    house = Connected()
    happens(house)
    async with running(house):
        sink: Kept = house.asks(model=model)
        await until_end(sink)
    assert isinstance(sink.end, Failed)
    assert sink.end.code == "no_processor"
    assert f"is connected to the gateway gateway-here ({words}). Start one" in sink.end.message
    assert house.reason().endswith(words)


@pytest.mark.trio
async def test_who_is_back_is_gone_no_more(autojump_clock: MockClock) -> None:
    house = Connected()
    house.goes()
    house.gateway.opened(cast("Any", house.channel))
    house.announces(ONE, offer())
    assert house.gateway.processors.why_nobody("tiny") == ""


@pytest.mark.trio
async def test_with_nobody_known_nothing_more_is_said(autojump_clock: MockClock) -> None:
    house = House()
    async with running(house):
        sink = house.asks(model="tiny")
        await until_end(sink)
    assert isinstance(sink.end, Failed)
    assert "connected to the gateway gateway-here. Start one" in sink.end.message
    [choice] = house.gateway.explain(submission().id).choices
    assert choice.reason == "no processor offers the model"


@pytest.mark.trio
@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("tiny", ""),
        ("", "no model was named, and the gateway's default is 'tiny': "),
    ],
)
async def test_that_the_model_was_the_gateways_default_is_said(model: str, words: str) -> None:
    house = Connected()
    house.processor("other", offer("another"))
    house.asks(model=model)
    assert house.reason() == f"{words}it was the only one that could take it"
