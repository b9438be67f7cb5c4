"""What a processor claims to have read and said, and how much of that is counted."""

from __future__ import annotations

import logging
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from aiplat.domain.answers import Delta, Failed, Finished, Started
from aiplat.domain.chat import Embed, Generate, Message
from aiplat.domain.ids import PeerId
from aiplat.domain.usage import Usage
from aiplat.roles.prompts import most_prompt
from tests.support.dialogue import MANIFEST, submission
from tests.unit.roles.test_gateway_accounts import House, asking, ends

MOST = 5 + 64 + 4096
"""What `hello` may be in tokens, in one message with a model's template around it."""


def opened(house: House, started: Started, **changes: Any) -> tuple[Any, Any]:
    """A request that a processor has begun with: who asked, and the work."""
    processor = house.gateway.processors.get(PeerId("p"))
    scripted: Any = house.processor() if processor is None else processor.inference
    sink = house.asks(**changes)
    work = scripted.work[-1]
    work.sink.deliver(started)
    return sink, work


def hits(house: House) -> float:
    return house.home.count("aiplat_bound_hits_total", bound="claimed_tokens")


def rests(house: House) -> bool:
    processor = house.gateway.processors.get(PeerId("p"))
    assert processor is not None
    return processor.rests("tiny", house.gateway._now())


# -- the prompt --------------------------------------------------------------------------------


async def test_a_prompt_is_no_longer_than_its_bytes_and_a_template(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    house = House(tmp_path)
    with caplog.at_level(logging.WARNING, logger="aiplat.gateway"):
        sink, work = opened(house, Started(MANIFEST, 1_900_000))
        assert house.home.accounts.meter.live()[0].row() is not None
        work.says("x", 1).finishes()
    [event] = house.counted()
    assert (event.prompt, event.completion) == (MOST, 1)
    assert ends(sink).usage == Usage(MOST, 1)
    [started] = [e for e in sink.events if isinstance(e, Started)]
    assert started.prompt_tokens == MOST
    assert hits(house) == 1
    [line] = caplog.messages
    assert f"claims 1900000 tokens of a prompt that can have {MOST} at most" in line
    assert rests(house), "it does not count as it should, so others come first"


async def test_up_to_there_a_processor_is_believed(tmp_path: Path) -> None:
    house = House(tmp_path)
    _, work = opened(house, Started(MANIFEST, MOST))
    work.says("x", 1).finishes()
    assert house.tokens() == [(MOST, 1, "stop")]
    assert hits(house) == 0
    assert not rests(house)


async def test_an_upstream_that_claims_too_much_is_not_made_to_rest(tmp_path: Path) -> None:
    """A server may add text of its own: its count is no lie, but nobody asked for that."""
    house = House(tmp_path)
    _, work = opened(house, Started(MANIFEST, 0, exact=False))
    work.sink.deliver(Delta((), "words"))
    work.sink.deliver(Finished("stop", Usage(10**9, 1, exact=False)))
    assert house.tokens() == [(MOST, 1, "stop")]
    assert hits(house) == 1
    assert not rests(house)


async def test_it_is_said_once_a_minute_for_each_processor(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    house = House(tmp_path)
    now = [1000.0]
    house.gateway._claims._now = lambda: now[0]
    with caplog.at_level(logging.WARNING, logger="aiplat.gateway"):
        for _ in range(3):
            _, work = opened(house, Started(MANIFEST, 0, exact=False))
            work.sink.deliver(Finished("stop", Usage(10**9, 0, exact=False)))
            now[0] += 29
        assert len(caplog.messages) == 1
        now[0] += 29
        _, work = opened(house, Started(MANIFEST, 0, exact=False))
        work.sink.deliver(Finished("stop", Usage(10**9, 0, exact=False)))
    assert len(caplog.messages) == 2
    assert hits(house) == 4


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "你好" * 50,
        "🙂" * 50,
        "\ufdfa" * 50,
        "\U0001d160" * 50,
        "\ufb2c" * 50,
        "e\u0301" * 50,
        "\ud800",
    ],
)
def test_no_tokenizer_makes_more_of_a_text(text: str) -> None:
    """One token a byte at most, of the text as it is or in a form that a tokenizer puts it in."""
    bound = most_prompt(submission(work=Generate((Message("user", text),))))
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        changed = unicodedata.normalize(form, text)
        assert len(changed.encode("utf-8", "surrogatepass")) + 64 + 4096 <= bound
    assert len(text.encode("utf-8", "surrogatepass")) + 64 + 4096 <= bound


def test_messages_tools_and_inputs_each_have_their_allowance() -> None:
    messages = (Message("user", "ab"), Message("assistant", "cde"))
    assert most_prompt(submission(work=Generate(messages))) == 5 + 2 * 64 + 4096
    tools = ({"a": "b"},)
    with_tools = most_prompt(submission(work=Generate(messages, tools=tools)))
    assert with_tools == 5 + 2 * 64 + 4096 + 8 * len(b'[{"a":"b"}]')
    assert most_prompt(submission(work=Embed(("ab", "c")))) == 3 + 2 * 64 + 4096


# -- the answer --------------------------------------------------------------------------------


async def test_without_ids_an_answer_is_no_longer_than_its_bytes(tmp_path: Path) -> None:
    house = House(tmp_path)
    sink, work = opened(house, Started(MANIFEST, 9, exact=False))
    work.sink.deliver(Delta((), "ö€x"))
    work.sink.deliver(Finished("stop", Usage(9, 10**9, exact=False)))
    assert house.tokens() == [(9, 2 + 3 + 1 + 16, "stop")]
    assert ends(sink).usage == Usage(9, 22, exact=False)
    assert hits(house) == 1
    _, work = opened(house, Started(MANIFEST, 9, exact=False))
    work.sink.deliver(Delta((), "ö€x"))
    work.sink.deliver(Finished("stop", Usage(9, 7, exact=False)))
    assert house.tokens() == [(9, 7, "stop")]
    assert hits(house) == 1


async def test_one_that_breaks_off_may_claim_no_more(tmp_path: Path) -> None:
    house = House(tmp_path)
    _, work = opened(house, Started(MANIFEST, 9, exact=False))
    work.sink.deliver(Delta((), "word"))
    work.sink.deliver(Failed("engine_failed", "x", usage=Usage(10**9, 10**9, exact=False)))
    assert house.tokens() == [(MOST, 4 + 16, "engine_failed")]


async def test_what_a_prompt_of_an_upstream_came_to_is_guessed_until_it_says(
    tmp_path: Path,
) -> None:
    """It tells that at its end alone; one that is cancelled before would read for nothing."""
    house = House(tmp_path)
    text = "word " * 400
    sink, work = opened(house, Started(MANIFEST, 0, exact=False), work=asking(20, text))
    work.sink.deliver(Delta((), "a"))
    work.sink.deliver(Finished("cancelled", Usage(0, 1, exact=False)))
    assert house.tokens() == [(500 + 8, 1, "cancelled")]
    assert ends(sink).usage == Usage(508, 1, exact=False)


async def test_after_a_cancel_no_more_counts_than_was_passed_on(tmp_path: Path) -> None:
    house = House(tmp_path)
    for late in (True, False):
        sink, work = opened(house, Started(MANIFEST, 9, exact=False))
        work.sink.deliver(Delta((), "one two three"))
        next(iter(house.gateway.active)).cancel()
        if late:
            work.sink.deliver(Delta((), " four five"))
        work.sink.deliver(Finished("cancelled", Usage(9, 10, exact=False)))
        assert sink.text == "one two three"
        assert house.tokens() == [(9, 1, "cancelled")]


async def test_nor_when_it_breaks_off_then(tmp_path: Path) -> None:
    house = House(tmp_path)
    _, work = opened(house, Started(MANIFEST, 9, exact=False))
    work.sink.deliver(Delta((), "one two three"))
    next(iter(house.gateway.active)).cancel()
    work.sink.deliver(Failed("engine_failed", "x", usage=Usage(9, 10, exact=False)))
    assert house.tokens() == [(9, 1, "engine_failed")]


async def test_less_than_nothing_is_nothing(tmp_path: Path) -> None:
    """The wire looks at the counts of a `Finished` alone."""
    house = House(tmp_path)
    sink, work = opened(house, Started(MANIFEST, 9, exact=False))
    work.sink.deliver(Delta((), "x"))
    usage = Usage(-5, -5, -5, exact=False)
    work.sink.deliver(Failed("engine_failed", "x", usage=usage))
    assert ends(sink).usage == Usage(0, 0, 0, exact=False)
    assert house.tokens() == [(0, 0, "engine_failed")]


async def test_an_end_that_crosses_the_cancel_counts_as_it_says(tmp_path: Path) -> None:
    house = House(tmp_path)
    _, work = opened(house, Started(MANIFEST, 9, exact=False))
    work.sink.deliver(Delta((), "one two three"))
    next(iter(house.gateway.active)).cancel()
    work.sink.deliver(Finished("length", Usage(9, 3, exact=False)))
    assert house.tokens() == [(9, 3, "length")]


# -- text without the tokens that it is made of --------------------------------------------------


@pytest.mark.parametrize("ids", [(), (1,)])
async def test_text_without_its_tokens_is_the_processors_fault(
    tmp_path: Path, ids: tuple[int, ...]
) -> None:
    house = House(tmp_path)
    sink, work = opened(house, Started(MANIFEST, 3))
    if ids:
        work.sink.deliver(Delta(ids, "x"))
    for _ in range(4):
        work.sink.deliver(Delta((), "y" * 300))
    assert ends(sink).code == "engine_failed"
    assert "without the tokens that it is made of" in ends(sink).message
    assert work.cancelled
    assert rests(house)
    passed = sum(len(e.text) for e in sink.events if isinstance(e, Delta))
    assert passed <= 1024 * len(ids)
    assert house.tokens() == [(3 * len(ids), len(ids), "engine_failed")]


async def test_before_any_of_it_another_processor_is_tried(tmp_path: Path) -> None:
    house = House(tmp_path)
    first, second = house.processor("p"), house.processor("q")
    sink = house.asks()
    liar, other = (first, second) if first.work else (second, first)
    liar.work[0].starts().sink.deliver(Delta((), "made up"))
    house.gateway._line.move_up()
    other.work[0].starts().says("true", 1).finishes()
    assert sink.text == "true"
    assert house.tokens() == [(3, 1, "stop")]


async def test_text_that_lags_behind_its_tokens_is_as_it_should_be(tmp_path: Path) -> None:
    house = House(tmp_path)
    sink, work = opened(house, Started(MANIFEST, 3))
    work.sink.deliver(Delta((1, 2, 3), ""))
    for _ in range(4):
        work.sink.deliver(Delta((), "y" * 300))
    work.sink.deliver(Finished("stop", Usage(3, 3)))
    assert house.tokens() == [(3, 3, "stop")]
    assert len(sink.text) == 1200
