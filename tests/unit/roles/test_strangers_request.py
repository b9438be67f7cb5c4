"""What a stranger's client may put into a request, and what that gains it: nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from aiplat.domain.accounts import Limits
from aiplat.domain.answers import Delta, Resume, Started, Submission
from aiplat.domain.chat import Generate, Message, Sampling
from aiplat.domain.errors import InvalidRequest
from aiplat.http.openai_api.parsing import parse_chat
from aiplat.roles import gateway
from aiplat.roles.gateway import Gateway
from aiplat.roles.settings import GatewaySettings
from tests.support.dialogue import MANIFEST, submission
from tests.support.fake_channel import FakeChannel, FakeIncoming
from tests.support.scripted import Kept
from tests.unit.roles.test_gateway_accounts import ALICE, House, asking, choice

LONG = Resume(tuple(range(100)) * 160)
"""16,000 tokens that would be read before the first new one."""


# -- an answer that began elsewhere ------------------------------------------------------------


async def test_no_asker_says_how_its_answer_began(tmp_path: Path) -> None:
    """A processor reads that too, but tells the prompt's length alone: nobody would count it."""
    house = House(tmp_path)
    processor = house.processor()
    key = house.key("ann", limits=Limits(tokens_per_minute=100))
    for asker, credential in ((ALICE, key), (None, ""), (ALICE, "")):
        with pytest.raises(InvalidRequest, match="resume is a gateway's own word") as caught:
            house.asks(asker, credential=credential, work=asking(), resume=LONG)
        assert caught.value.param == "resume"
    assert processor.work == []
    assert house.home.accounts.meter.live() == []
    assert house.counted() == []
    state = house.home.accounts.admission.state(key)
    assert state is not None
    assert state.tokens_remaining == 100


async def test_over_a_channel_it_is_refused(tmp_path: Path) -> None:
    house = House(tmp_path)
    processor = house.processor()
    channel = FakeChannel(ALICE, "client")
    house.gateway.opened(channel)  # type: ignore[arg-type]  # a fake
    incoming = FakeIncoming(submission(model="tiny", resume=Resume((1,))), "client")
    incoming.channel = channel
    with pytest.raises(InvalidRequest, match="resume is a gateway's own word"):
        house.gateway.submitted(incoming)  # type: ignore[arg-type]  # a fake
    assert processor.work == []


async def test_none_reaches_a_processor_whatever_lets_it_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second lock, where the first one is open."""
    monkeypatch.setattr(gateway, "refuse_what_is_not_an_askers", lambda submission: None)
    house = House(tmp_path)
    processor = house.processor()
    house.asks(resume=LONG)
    assert [work.submission.resume for work in processor.work] == [None]


def test_the_http_door_has_no_word_for_it() -> None:
    """A field that OpenAI's API does not know is tolerated there, and goes nowhere."""
    body = msgspec.json.encode(
        {"messages": [{"role": "user", "content": "hi"}], "resume": {"ids": [1, 2]},
         "beside": "req-" + "0" * 24, "fairness": "x"}
    )  # fmt: skip
    asked = parse_chat(body)
    assert set(Generate.__struct_fields__).isdisjoint({"resume", "beside", "fairness"})
    assert asked.work == Generate((Message("user", "hi"),), asked.work.sampling)
    assert not {"resume", "fairness", "beside"} & set(type(asked).__struct_fields__)


async def test_all_that_is_anothers_word_is_replaced_before_a_processor_sees_it(
    tmp_path: Path,
) -> None:
    """A field that is added to a request has to be thought of here."""
    house = House(tmp_path)
    processor = house.processor()
    house.asks(ALICE, credential=house.key("ann"), fairness="mine", beside="req-" + "1" * 24)
    [work] = processor.work
    sent = work.submission
    assert (sent.to, sent.credential, sent.resume, sent.beside) == ("processor", "", None, "")
    assert sent.fairness not in ("", "mine")
    assert set(Submission.__struct_fields__) == {
        "id", "to", "work", "model", "deadline_ms", "credit", "credential", "resume", "privacy",
        "fairness", "beside",
    }  # fmt: skip


# -- beside another ----------------------------------------------------------------------------


async def test_beside_a_request_of_another_key_the_prompt_counts_again(tmp_path: Path) -> None:
    """Both are of one user, but each has limits of its own."""
    house = House(tmp_path)
    processor = house.processor()
    one, two = house.key("ann"), house.key("ann", "two", limits=Limits(tokens_per_minute=60))
    house.asks(credential=one, **choice(101))
    for number in range(102, 105):
        house.asks(credential=two, **choice(number, beside=101))
    for work in processor.work:
        work.starts().says("x", 1).finishes()
    assert house.tokens() == [(3, 1, "stop")] * 4


async def test_so_many_share_a_prompt_as_one_request_may_have_choices(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.gateway = Gateway(
        house.gateway._peer, GatewaySettings(), house.home.metrics,
        accounts=house.home.accounts, max_choices=3,
    )  # fmt: skip
    processor = house.processor()
    house.asks(**choice(101))
    for number in range(102, 108):
        house.asks(**choice(number, beside=101))
        if number < 105:  # how many there ever were counts, and not how many are left
            processor.work[-1].starts().says("x", 1).finishes()
    for work in (processor.work[0], *processor.work[4:]):
        work.starts().says("x", 1).finishes()
    prompts = [prompt for prompt, _, _ in house.tokens()]
    assert sum(prompts) == 3 * 5, "three had one, and four paid for themselves"


@pytest.mark.parametrize("other", ["model", "tools"])
async def test_beside_what_reads_differently_the_prompt_counts_again(
    tmp_path: Path, other: str
) -> None:
    house = House(tmp_path)
    processor = house.processor("p", 8, "tiny", "large")
    house.asks(**choice(101))
    changes: dict[str, Any] = choice(102, beside=101)
    if other == "model":
        changes["model"] = "large"
    else:
        changes["work"] = msgspec.structs.replace(changes["work"], tools=({"name": "f"},))
    house.asks(**changes)
    for work in processor.work:
        work.starts().says("x", 1).finishes()
    assert house.tokens() == [(3, 1, "stop"), (3, 1, "stop")]


async def test_tools_are_a_part_of_what_is_held_back(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.processor()
    house.home.directory.owner.limit(Limits(tokens_per_minute=10_000))
    tools = ({"name": "f", "description": "x" * 4000},)
    work = Generate((Message("user", "hi"),), Sampling(max_tokens=10), tools)
    house.asks(work=work)
    state = house.home.accounts.admission.state("")
    assert state is not None
    assert state.tokens_remaining is not None
    assert state.tokens_remaining < 9_000


# -- a limit in the middle ---------------------------------------------------------------------


@pytest.mark.parametrize("at", ["prompt", "answer"])
async def test_one_that_a_limit_ends_in_the_middle_is_among_those_refused_for_it(
    tmp_path: Path, at: str
) -> None:
    house = House(tmp_path, reserved_tokens=4)
    processor = house.processor()
    key = house.key("ann", limits=Limits(tokens_per_minute=20))
    sink: Kept = house.asks(credential=key, work=asking(None, "hey"))
    [work] = processor.work
    work.sink.deliver(Started(MANIFEST, 500 if at == "prompt" else 3))
    for place in range(40):
        work.sink.deliver(Delta((place,), "x"))
    assert getattr(sink.end, "code", "") == "rate_limit_exceeded"
    name = "aiplat_ratelimit_rejections_total"
    assert house.home.count(name, limit="tokens_per_minute") == 1
