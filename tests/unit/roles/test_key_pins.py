"""A key goes to the gateway that made it and to no other: its form, and a client of two."""

from __future__ import annotations

from typing import Any, cast

import pytest

from aiplat.accounts.secret_forms import new_secret
from aiplat.domain.answers import Failed
from aiplat.domain.errors import GatewayLost, InvalidApiKey, NoPeer, NoProcessor, RateLimited
from aiplat.domain.ids import PeerId
from aiplat.roles.client import Client
from aiplat.roles.key_pins import is_key_of, refuse_if_others
from aiplat.roles.settings import ClientSettings
from tests.support.dialogue import submission
from tests.support.fake_channel import FakeChannel, FakeNode
from tests.support.scripted import Kept
from tests.unit.accounts.helpers import GATEWAY, OTHER_GATEWAY, refused

OURS, THEIRS = PeerId(GATEWAY), PeerId(OTHER_GATEWAY)
KEY, THEIR_KEY = new_secret("sk", GATEWAY)[0], new_secret("sk", OTHER_GATEWAY)[0]
LOST = Failed.of(GatewayLost("it died"))


def test_a_key_tells_whose_it_is() -> None:
    assert is_key_of(KEY, OURS)
    assert not is_key_of(KEY, THEIRS)
    assert not is_key_of(new_secret("ses", GATEWAY)[0], OURS), "a session is none"
    for text in ("", "x", KEY[:-1], "sk-aip-local-abc", KEY * 1000):
        assert not is_key_of(text, OURS)


def test_who_may_not_have_it_is_refused_without_it() -> None:
    refuse_if_others(KEY, OURS)
    with refused(NoPeer, "is of another gateway than …ewayHere.*AIPLAT_API_KEY out") as caught:
        refuse_if_others(THEIR_KEY, PeerId("12D3KooWGatewayHere"))
    assert THEIR_KEY[8:40] not in str(caught.value)
    with refused(InvalidApiKey, "That is no API key"):
        refuse_if_others(KEY[:-1], OURS)


class Two:
    """A client with a gateway that is far and made the key, and one that is near and did not."""

    def __init__(self, held: dict[PeerId, str] | None = None, **settings: Any) -> None:
        keys = held or {}
        self.client = Client(ClientSettings(**settings), key=lambda gateway: keys.get(gateway, ""))
        self.near = FakeChannel(THEIRS, "gateway", latency=0.01)
        self.far = FakeChannel(OURS, "gateway", latency=0.5)
        for channel in (self.near, self.far):
            self.client.opened(cast(Any, channel))

    def asks(self, credential: str = "") -> Kept:
        sink = Kept()
        self.client.submit(submission(credential=credential), sink)
        return sink

    def had(self, channel: FakeChannel) -> list[str]:
        return [work.submission.credential for work in channel.behind.work]


async def test_with_a_key_its_gateway_is_asked_however_far() -> None:
    two = Two()
    for _ in range(3):
        two.asks(KEY)
    assert two.had(two.far) == [KEY] * 3
    assert two.had(two.near) == []
    two.asks()
    assert two.had(two.near) == [""], "without one the nearest"


async def test_it_goes_to_no_other_when_its_gateway_is_away() -> None:
    two = Two()
    two.client.ended(cast(Any, two.far), "it died")
    with refused(NoPeer, "No gateway that may receive this API key is connected") as caught:
        two.asks(KEY)
    assert KEY[8:40] not in str(caught.value)
    assert two.had(two.near) == []
    two.far.is_ended = True
    with refused(NoPeer, "No gateway that may receive this API key"):
        Two().asks(new_secret("sk", "12D3KooWSomeThirdOne")[0])


@pytest.mark.parametrize("failure", [LOST, Failed.of(NoProcessor("nobody", retry_after=1))])
async def test_it_goes_to_no_other_when_its_gateway_fails(failure: Failed) -> None:
    two = Two()
    sink = two.asks(KEY)
    two.far.behind.work[0].sink.deliver(failure)
    assert isinstance(sink.end, Failed)
    assert sink.end.code == failure.code
    assert two.had(two.near) == []


@pytest.mark.parametrize("text", ["nonsense", KEY[:-1], "x" * 10_000], ids=["word", "cut", "long"])
async def test_what_is_no_key_is_said_to_be_none(text: str) -> None:
    two = Two()
    with refused(InvalidApiKey, "API key"):
        two.asks(text)
    assert two.had(two.near) == two.had(two.far) == []


async def test_a_key_that_is_kept_goes_to_its_gateway_alone() -> None:
    two = Two({OURS: KEY})
    sink = two.asks()
    assert two.had(two.far) == [KEY], "the one where there is a key comes first"
    two.far.behind.work[0].sink.deliver(LOST)
    assert two.had(two.near) == [""], "the other is asked without it"
    two.near.behind.work[0].starts().says("x").finishes()
    assert sink.text == "x"


async def test_each_gateway_gets_its_own() -> None:
    two = Two({OURS: KEY, THEIRS: THEIR_KEY})
    two.asks()
    two.near.behind.work[0].sink.deliver(LOST)
    assert (two.had(two.near), two.had(two.far)) == ([THEIR_KEY], [KEY])


async def test_a_key_of_the_environment_comes_before_those_that_are_kept() -> None:
    other = new_secret("sk", GATEWAY)[0]
    two = Two({OURS: KEY})
    two.asks(other)
    assert two.had(two.far) == [other]


async def test_a_limit_is_told_and_no_other_gateway_is_tried() -> None:
    two = Two({OURS: KEY})
    sink = two.asks()
    two.far.behind.work[0].sink.deliver(Failed.of(RateLimited("too many", retry_after=3)))
    assert isinstance(sink.end, Failed)
    assert (sink.end.code, sink.end.retry_after_ms) == ("rate_limit_exceeded", 3000)
    assert two.had(two.near) == []


async def test_a_gateway_that_drains_comes_last_with_a_key_too() -> None:
    two = Two({OURS: KEY})
    two.client.gateways[OURS].draining = True
    two.asks()
    assert two.had(two.near) == [""]


async def test_a_gateway_that_is_named_gets_it_only_if_it_is_its_own() -> None:
    two = Two()
    node: Any = FakeNode(there=two.near)
    named = await two.client.inference(node, "there")
    with refused(NoPeer, "is of another gateway than"):
        named.submit(submission(credential=KEY), Kept())
    assert two.had(two.near) == []
    named.submit(submission(credential=THEIR_KEY), Kept())
    assert two.had(two.near) == [THEIR_KEY]
