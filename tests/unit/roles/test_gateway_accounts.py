"""A gateway with accounts: who is let in, and what each request is counted as."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from aiplat.accounts.directory import Key, User
from aiplat.accounts.metered import Event
from aiplat.accounts.secret_forms import new_secret
from aiplat.domain.accounts import Limits
from aiplat.domain.answers import Delta, Failed, Finished, Started, Submission
from aiplat.domain.chat import Generate, Message, Sampling
from aiplat.domain.errors import (
    AiplatError,
    EngineFailed,
    InvalidApiKey,
    ModelNotFound,
    NoProcessor,
    NotReady,
    Overloaded,
    PermissionDenied,
    RateLimited,
    ShuttingDown,
)
from aiplat.domain.ids import PeerId
from aiplat.domain.usage import Usage
from aiplat.protocol.messages import Announce
from aiplat.roles.gateway import Gateway
from aiplat.roles.settings import GatewaySettings
from tests.support.dialogue import MANIFEST, submission
from tests.support.scripted import Kept, ScriptedProcessor, offer
from tests.unit.accounts.helpers import GATEWAY, Home

ALICE, BOB = PeerId("12D3KooWAlicesNode"), PeerId("12D3KooWBobsNode")
LOST = Failed.of(EngineFailed("it broke"))
BROKEN = Failed.of(EngineFailed("it broke", recoverable=False))
"""One that puts no processor to rest."""


class House:
    """A gateway with accounts and processors, all in memory but for the empty database."""

    def __init__(self, folder: Path, in_network: bool = False, **accounts: Any) -> None:
        self.home = Home(folder, **accounts)
        self.gateway = Gateway(
            PeerId(GATEWAY), GatewaySettings(max_waiting=4), self.home.metrics,
            in_network=lambda: in_network, accounts=self.home.accounts,
        )  # fmt: skip
        self.asked = 0

    def processor(self, name: str = "p", slots: int = 8, *models: str) -> ScriptedProcessor:
        processor = ScriptedProcessor()
        self.gateway.add_processor(PeerId(name), processor)
        offers = tuple(offer(model, slots) for model in models or ("tiny",))
        self.gateway.processor_announced(PeerId(name), Announce(revision=1, models=offers))
        return processor

    def key(self, user: str, name: str = "k", **changes: Any) -> str:
        """A key of a user's, who is made if there is none."""
        directory = self.home.directory
        account = directory.named(user)
        if account is None:
            account = User(f"u-{user}", user, "user", 1)
            directory.add_user(account)
        whole, secret = new_secret("sk", GATEWAY)
        fields: dict[str, Any] = {"scopes": ("inference",), "models": (), "created": 1}
        directory.add_key(Key(secret.id, account, name, name, secret.hash, **(fields | changes)))
        return whole

    def asks(self, asker: PeerId | None = None, is_trusted: bool = True, **changes: Any) -> Kept:
        """Ask something; each request has a name of its own."""
        self.asked += 1
        sink = Kept()
        fields: dict[str, Any] = {"id": f"req-{self.asked:024}", "model": "tiny"} | changes
        self.gateway.submit(submission(**fields), sink, asker, is_trusted=is_trusted)
        return sink

    def counted(self) -> list[Event]:
        """What was counted since this was asked last."""
        batch = self.home.accounts.meter.take()
        return [] if batch is None else [event for _, event in batch.ended]

    def tokens(self) -> list[tuple[int, int, str]]:
        return [(e.prompt, e.completion, e.outcome) for e in self.counted()]


def asking(max_tokens: int | None = 20, text: str = "hello") -> Generate:
    return Generate(messages=(Message("user", text),), sampling=Sampling(max_tokens=max_tokens))


def ends(sink: Kept) -> Any:
    assert isinstance(sink.end, Finished | Failed)
    return sink.end


# -- what is counted -------------------------------------------------------------------------------


async def test_an_answer_is_counted_for_the_keys_user(tmp_path: Path) -> None:
    house = House(tmp_path)
    processor = house.processor()
    key = house.key("ann")
    sink = house.asks(ALICE, is_trusted=False, credential=key)
    [work] = processor.work
    assert work.submission.credential == "", "no processor sees a key"
    work.starts().says("Pa", 1, 2).says("ris", 3).finishes()
    [event] = house.counted()
    assert (event.user, event.key) == ("u-ann", key.split("-")[2])
    assert (event.request, event.model, event.processor) == (f"req-{1:024}", "tiny", "p")
    assert (event.prompt, event.completion, event.exact) == (3, 3, True)
    assert (event.manifest, event.outcome) == (MANIFEST.numerics, "stop")
    assert ends(sink).usage == Usage(3, 3)
    assert house.home.accounts.meter.live() == []


async def test_a_prompt_that_is_only_counted_costs_no_tokens(tmp_path: Path) -> None:
    house = House(tmp_path)
    processor = house.processor()
    work = msgspec.structs.replace(asking(max_tokens=1), only_count=True)
    sink = house.asks(credential=house.key("ann"), work=work)
    [asked] = processor.work
    asked.starts().finishes()
    [started] = [event for event in sink.events if isinstance(event, Started)]
    assert started.prompt_tokens == 3
    assert ends(sink).usage == Usage(0, 0)
    assert house.tokens() == [(0, 0, "stop")]


async def test_each_way_to_end_is_counted_once(tmp_path: Path) -> None:
    house = House(tmp_path)
    work = house.processor().work
    house.asks()
    work[-1].starts().says("x", 1).finishes("length")
    assert house.tokens() == [(3, 1, "length")]
    house.asks()
    work[-1].starts().says("x", 1, 2)
    request = next(iter(house.gateway.active))
    request.cancel()
    request.cancel()
    work[-1].finishes("cancelled")
    assert house.tokens() == [(3, 2, "cancelled")]
    house.asks()
    work[-1].starts().says("x", 1, 2)
    work[-1].sink.deliver(BROKEN)
    work[-1].sink.deliver(BROKEN)
    assert house.tokens() == [(3, 2, "engine_failed")]
    house.asks()
    work[-1].starts()
    work[-1].sink.deliver(BROKEN)
    assert house.tokens() == [(0, 0, "engine_failed")], "of no use to anybody"
    house.asks()
    work[-1].starts().says("x", 1)
    house.gateway.fail_all(ShuttingDown("it ends"))
    assert house.tokens() == [(3, 1, "shutting_down")]
    assert house.home.accounts.meter.live() == []
    assert house.tokens() == []


async def test_one_that_is_tried_elsewhere_is_counted_for_who_answered(tmp_path: Path) -> None:
    house = House(tmp_path)
    first, second = house.processor("p"), house.processor("q")
    house.asks()
    failing, other = (first, second) if first.work else (second, first)
    failing.work[0].starts()
    failing.work[0].sink.deliver(LOST)
    house.gateway._line.move_up()
    other.work[0].starts().says("x", 1, 2).finishes()
    [event] = house.counted()
    assert (event.prompt, event.completion, event.outcome) == (3, 2, "stop")
    assert event.processor == ("q" if failing is first else "p")


async def test_what_comes_after_the_end_counts_no_more(tmp_path: Path) -> None:
    house = House(tmp_path)
    [work] = (house.processor(), house.asks())[0].work
    work.starts().says("x", 1)
    house.gateway.fail_all(ShuttingDown("it ends"))
    work.says("more", 2, 3)
    work.finishes()
    assert house.tokens() == [(3, 1, "shutting_down")]


# -- what a processor claims -----------------------------------------------------------------------


async def test_the_gateway_counts_what_it_took_whatever_a_processor_claims(tmp_path: Path) -> None:
    """Token ids came, so they were counted; at the end it says that they were not exact."""
    house = House(tmp_path)
    [work] = (house.processor(), sink := house.asks())[0].work
    work.starts().says("x", 1, 2)
    work.sink.deliver(Finished("stop", Usage(10**9, 10**9, 7, exact=False)))
    [event] = house.counted()
    assert (event.prompt, event.completion, event.exact) == (3, 2, True)
    assert event.cached == 3, "no more than the prompt"
    assert ends(sink).usage == Usage(3, 2, 3), "and who asked is told the same"


async def test_without_token_ids_it_counts_what_it_is_told(tmp_path: Path) -> None:
    house = House(tmp_path)
    [work] = (house.processor(), sink := house.asks())[0].work
    work.sink.deliver(Started(MANIFEST, 30, exact=False))
    for _ in range(3):
        work.sink.deliver(Delta((), "word "))
    work.sink.deliver(Finished("stop", Usage(33, 4, 0, exact=False)))
    [event] = house.counted()
    assert (event.prompt, event.completion, event.exact) == (33, 4, False)
    assert ends(sink).usage == Usage(33, 4, exact=False)


async def test_an_impossible_count_stops_nothing(tmp_path: Path) -> None:
    house = House(tmp_path)
    [work] = (house.processor(), house.asks())[0].work
    work.sink.deliver(Started(MANIFEST, 2**64 - 1, exact=False))
    work.sink.deliver(Delta((), "x"))
    work.sink.deliver(Finished("stop", Usage(2**64 - 1, 2**64 - 1, exact=False)))
    async with house.home.running():
        await house.home.written()
        assert house.home.accounts._problem() == ""
        most = (5 + 64 + 4096, 1 + 16)  # of `hello` with a template, and of `x` (`test_claims`)
        assert house.home.rows("SELECT prompt, completion FROM events") == [most]


# -- what is not let in ----------------------------------------------------------------------------


def tokens_left(house: House) -> int | None:
    state = house.home.accounts.admission.state("")
    return None if state is None else state.tokens_remaining


async def refuses(house: House, kind: type[AiplatError], words: str, **changes: Any) -> None:
    before = tokens_left(house)
    with pytest.raises(kind, match=words):
        house.asks(**({"work": asking()} | changes))
    assert house.home.accounts.meter.live() == []
    assert house.counted() == []
    assert tokens_left(house) == before, "nothing was taken"


async def test_what_is_refused_takes_nothing(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.home.directory.owner.limit(Limits(requests_per_minute=100, tokens_per_minute=1000))
    await refuses(house, InvalidApiKey, "knows no such", credential=new_secret("sk", GATEWAY)[0])
    house.processor()
    await refuses(house, ModelNotFound, "no model 'other'", model="other")
    await refuses(house, RateLimited, "no waiting helps", work=asking(5000))
    await refuses(house, InvalidApiKey, "without an API key", asker=ALICE, is_trusted=False)
    house.home.accounts.admission._problem = lambda: "the disk is full"
    await refuses(house, NotReady, "lets nothing in that it cannot count: the disk is full")
    house.home.accounts.admission._problem = lambda: ""
    house.gateway.draining = True
    await refuses(house, ShuttingDown, "takes no new requests")


async def test_one_that_no_processor_takes_is_given_back(tmp_path: Path) -> None:
    house = House(tmp_path)
    processor = house.processor()
    processor.refusal = PermissionDenied("not you")
    await refuses(house, PermissionDenied, "not you")


async def test_one_that_finds_no_place_in_the_line_is_given_back(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.processor("p", 1)
    for _ in range(6):
        house.asks()
    live = len(house.home.accounts.meter.live())
    with pytest.raises(Overloaded, match="has 4 requests waiting"):
        house.asks()
    assert len(house.home.accounts.meter.live()) == live == 6


async def test_who_makes_room_in_the_line_is_counted_as_nothing(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.processor("p", 1)
    ann, bob = house.key("ann"), house.key("bob")
    for _ in range(6):
        house.asks(credential=ann)
    house.asks(credential=bob)
    [event] = house.counted()
    assert (event.user, event.outcome, event.prompt, event.completion) == (
        "u-ann",
        "overloaded",
        0,
        0,
    )


# -- limits, to the last token ---------------------------------------------------------------------


async def test_an_answer_ends_before_the_token_that_its_limit_does_not_hold(tmp_path: Path) -> None:
    house = House(tmp_path, reserved_tokens=4)
    [processor] = [house.processor()]
    key = house.key("ann", limits=Limits(tokens_per_minute=20))
    sink = house.asks(credential=key, work=asking(None, "hey"))
    [work] = processor.work
    work.starts()
    for place in range(40):
        work.says("x", place)
    failed = ends(sink)
    assert failed.code == "rate_limit_exceeded"
    assert work.cancelled
    [event] = house.counted()
    taken = sum(len(e.ids) for e in sink.events if isinstance(e, Delta))
    assert failed.usage == Usage(3, taken)
    assert (event.prompt, event.completion, event.outcome) == (3, taken, "rate_limit_exceeded")
    assert 3 + taken <= 20, "never over it"
    assert 3 + taken + 5 > 20, "and not long before"


async def test_a_prompt_that_is_longer_than_was_guessed_may_not_fit(tmp_path: Path) -> None:
    house = House(tmp_path)
    processor = house.processor()
    key = house.key("ann", limits=Limits(tokens_per_minute=50))
    sink = house.asks(credential=key, work=asking())
    [work] = processor.work
    work.sink.deliver(Started(MANIFEST, 500))
    failed = ends(sink)
    assert failed.code == "rate_limit_exceeded"
    assert work.cancelled
    assert house.tokens() == [(0, 0, "rate_limit_exceeded")]
    house.asks(credential=key, work=asking())


async def test_an_answer_of_pieces_grows_too(tmp_path: Path) -> None:
    house = House(tmp_path, reserved_tokens=2)
    processor = house.processor()
    key = house.key("ann", limits=Limits(tokens_per_minute=20))
    sink = house.asks(credential=key, work=asking(None, "hey"))
    [work] = processor.work
    work.sink.deliver(Started(MANIFEST, 3, exact=False))
    for _ in range(40):
        work.sink.deliver(Delta((), "word "))
    assert ends(sink).code == "rate_limit_exceeded"
    taken = sum(isinstance(e, Delta) for e in sink.events)
    assert 3 + taken <= 20 < 3 + taken + 4


# -- models ----------------------------------------------------------------------------------------


async def test_a_key_with_models_gets_the_first_where_none_is_named(tmp_path: Path) -> None:
    house = House(tmp_path)
    processor = house.processor("p", 8, "tiny", "other")
    key = house.key("ann", models=("other", "third"))
    house.asks(credential=key, model="")
    assert [work.submission.model for work in processor.work] == ["other"]
    await refuses_model(house, key)


async def refuses_model(house: House, key: str) -> None:
    with pytest.raises(PermissionDenied, match="may not ask the model 'tiny', but other, third"):
        house.asks(credential=key, model="tiny")


async def test_a_strangers_text_is_no_model_in_the_sums(tmp_path: Path) -> None:
    """Without any processor every name is waited for; each would make sums that stay for ever."""
    house = House(tmp_path)
    house.asks(model="any text at all")
    house.gateway.fail_all(NoProcessor("nobody"))
    [event] = house.counted()
    assert (event.model, event.processor, event.outcome) == ("", "", "no_processor")
    house.processor()
    one = house.gateway.processors.get(PeerId("p"))
    assert one is not None
    house.gateway.processors.remove(PeerId("p"), one.inference, "it went")
    house.asks(model="tiny")
    house.gateway.fail_all(NoProcessor("nobody"))
    [event] = house.counted()
    assert event.model == "tiny", "which was here"


# -- choices of one request ------------------------------------------------------------------------


def choice(number: int, beside: int = 0, text: str = "hello") -> dict[str, Any]:
    fields: dict[str, Any] = {"id": f"req-{number:024}", "work": asking(10, text)}
    return fields | ({"beside": f"req-{beside:024}"} if beside else {})


async def test_choices_of_one_request_have_one_prompt(tmp_path: Path) -> None:
    house = House(tmp_path)
    processor = house.processor()
    for place in range(3):
        house.asks(**choice(101 + place, beside=101 if place else 0))
    for work in reversed(processor.work):
        assert work.submission.beside == "", "a processor is told nothing of it"
        work.starts().says("x", 1).finishes()
    assert sorted(house.tokens()) == [(0, 1, "stop"), (0, 1, "stop"), (3, 1, "stop")]


@pytest.mark.parametrize(
    ("other", "beside"),
    [
        ({"credential": "bob"}, 101), ({"credential": ""}, 101), ({"text": "something else"}, 101),
        ({}, 999), ({}, 102),
    ],
    ids=["another user's", "the owner's", "another prompt", "made up", "itself"],
)  # fmt: skip
async def test_beside_what_it_is_not_nothing_is_gained(
    tmp_path: Path, other: dict[str, Any], beside: int
) -> None:
    house = House(tmp_path)
    processor = house.processor()
    keys = {"ann": house.key("ann"), "bob": house.key("bob"), "": ""}
    house.asks(**choice(101), credential=keys["ann"])
    fields = choice(102, beside, other.get("text", "hello"))
    house.asks(**fields, credential=keys[other.get("credential", "ann")])
    for work in processor.work:
        work.starts().says("x", 1).finishes()
    assert house.tokens() == [(3, 1, "stop"), (3, 1, "stop")]


async def test_one_beside_another_that_is_taken_back_pays_itself(tmp_path: Path) -> None:
    house = House(tmp_path)
    processor = house.processor()
    house.asks(**choice(101))
    house.asks(**choice(102, beside=101))
    first = next(f for f in house.gateway.active if f.submission.id == f"req-{101:024}")
    first.cancel()
    processor.work[0].sink.deliver(Finished("cancelled", Usage(0, 0)))
    processor.work[1].starts().says("x", 1).finishes()
    assert house.tokens() == [(0, 0, "cancelled"), (3, 1, "stop")]


# -- without accounts ------------------------------------------------------------------------------


async def test_without_accounts_everybody_is_let_in_and_nothing_counted(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.gateway.accounts = None
    [work] = (house.processor(), sink := house.asks(ALICE, is_trusted=False, credential="x"))[
        0
    ].work
    work.starts().says("x", 1).finishes()
    assert isinstance(ends(sink), Finished)
    assert house.counted() == []


def test_a_submission_hides_its_key() -> None:
    assert "sk-aip" not in repr(
        Submission(id="req-1", to="gateway", work=asking(), credential="sk-aip-x")
    )
