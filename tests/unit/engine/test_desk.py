"""The desk: what is asked, with the model's own defaults, and what does not fit or is no token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from aiplat.domain.answers import (
    DEFAULT_CREDIT,
    Finished,
    Resume,
    Started,
    Submission,
    check_submission,
)
from aiplat.domain.chat import Generate, Sampling
from aiplat.domain.errors import ContextLengthExceeded, InvalidRequest
from aiplat.domain.usage import Usage
from aiplat.engine.desk import Counted, Desk
from aiplat.engine.rows import Draw, Row
from tests.support.counting import MANIFEST, Numerals
from tests.unit.engine.hearing import asking


class FakeModel:
    """As much of a `Backend` as the desk sees: a token a word."""

    def __init__(self, capacity: int = 10_000, **defaults: Any) -> None:
        self.manifest = MANIFEST
        self.context = MANIFEST.context
        self.capacity = capacity
        self.defaults = Sampling(**defaults)

    def encode(self, work: Generate) -> list[int]:
        return list(range(len(work.messages[-1].content.split())))

    def voice(self, work: Generate) -> Numerals:
        return Numerals()

    def matcher(self, work: Generate, said: Sequence[int]) -> None:
        return None


def desk(capacity: int = 10_000, **defaults: Any) -> Desk:
    return Desk(FakeModel(capacity, **defaults), 1024)  # type: ignore[arg-type]  # the part it uses


def made(maker: Desk, number: int, submission: Submission, arrived: float) -> Row:
    row = maker.row(number, submission, arrived)
    assert isinstance(row, Row)
    return row


def test_what_is_said_counts_before_what_the_model_recommends() -> None:
    asked = {
        "temperature": 0.5, "top_p": 0.8, "seed": -4, "top_k": 7, "min_p": 0.1,
        "repetition_penalty": 1.2, "presence_penalty": 0.3, "frequency_penalty": -0.4,
        "logit_bias": {"9": 2.0, "3": -100.0}, "logprobs": 4,
    }  # fmt: skip
    own = desk(temperature=0.2, top_p=0.9, top_k=50, repetition_penalty=1.1)
    row = made(own, 1, asking("a b", **asked), 0.0)
    bias = ((3, -100.0), (9, 2.0))
    assert row.draw == Draw(0.5, 0.8, -4, 7, 0.1, 1.2, 0.3, -0.4, bias, 4)
    left = made(own, 2, asking("a b", seed=1), 0.0).draw
    assert left == Draw(0.2, 0.9, 1, 50, 0.0, 1.1)
    assert made(desk(), 3, asking("a b", seed=1), 0.0).draw == Draw(1.0, 1.0, 1)
    assert made(own, 4, asking("a b", top_k=0, top_p=1.0, seed=1), 0.0).draw.top_k == 0


@pytest.mark.parametrize(
    ("words", "options", "capacity", "param", "numbers"),
    [
        (4096, {}, 9999, "messages", ["4096 tokens", "context holds 4096"]),
        (4000, {"max_tokens": 97}, 9999, "max_tokens", ["4097", "4096", "at most 96"]),
        (500, {}, 500, "messages", ["500 tokens", "cache", "holds 500"]),
        (400, {"max_tokens": 200}, 500, "max_tokens", ["600", "cache", "500", "at most 100"]),
    ],
)
def test_what_does_not_fit_is_refused_with_the_numbers(
    words: int, options: dict[str, int], capacity: int, param: str, numbers: list[str]
) -> None:
    with pytest.raises(ContextLengthExceeded) as refused:
        desk(capacity).row(1, asking("x " * words, **options), 0.0)
    assert refused.value.param == param
    for number in numbers:
        assert number in str(refused.value)


def test_without_a_wish_the_answer_is_as_long_as_fits() -> None:
    assert made(desk(500), 1, asking("x " * 400), 0.0).limit == 100
    assert made(desk(), 1, asking("x " * 400), 0.0).limit == 1024


@pytest.mark.parametrize(
    ("biases", "words"),
    [
        ({"10000": 1.0}, "0 to 9999"),
        ({"-1": 1.0}, "'-1'"),
        ({"x\x07": 1.0}, "'x·'"),
        ({"5": 101.0}, "101.0 for the token 5"),
        ({"5": float("nan")}, "nan"),
        ({str(token): 1.0 for token in range(1025)}, "1025"),
    ],
)
def test_a_bias_of_what_is_no_token_is_refused(biases: dict[str, float], words: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        desk().row(1, asking("x", logit_bias=biases), 0.0)
    assert refused.value.param == "logit_bias"
    assert words in str(refused.value)


def test_tokens_said_elsewhere_are_the_answers() -> None:
    row = made(desk(), 1, asking("a b c", resume=Resume((5, 6)), fairness="tag"), 0.0)
    assert (row.ids, row.prompt_tokens, row.said, row.tag) == ([0, 1, 2, 5, 6], 3, 2, "tag")


def test_a_window_that_holds_no_token_with_its_logprobs_is_refused() -> None:
    wish = {"logprobs": 20, "credit": 4000}
    with pytest.raises(InvalidRequest, match="logprobs"):
        check_submission(asking("a", **wish))
    check_submission(asking("a", **{**wish, "credit": DEFAULT_CREDIT}))


def test_who_only_counts_hears_the_prompts_length_and_pays_nothing() -> None:
    long = asking("x " * 5000, max_tokens=1)  # more than the context holds: that is worth knowing
    work = msgspec.structs.replace(long.work, only_count=True)
    counted = desk().row(1, msgspec.structs.replace(long, work=work), 0.0)
    assert isinstance(counted, Counted)
    assert counted.events == (Started(MANIFEST, 5000), Finished("stop", Usage(0, 0)))
