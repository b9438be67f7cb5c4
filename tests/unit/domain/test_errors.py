"""Errors say the value, the bound and the mend, and come back from the wire as what they were."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiplat.domain.answers import Failed, check_submission
from aiplat.domain.chat import Generate, Message, Sampling
from aiplat.domain.errors import (
    LEAVES,
    AiplatError,
    ContextLengthExceeded,
    InvalidRequest,
    ModelNotFound,
    RateLimited,
    clip,
)
from aiplat.domain.ids import is_request_id, short
from aiplat.roles.requests import new_request_id
from tests.support.dialogue import MANIFEST, submission


@pytest.mark.parametrize("leaf", LEAVES.values())
def test_a_leaf_survives_the_wire(leaf: type[AiplatError]) -> None:
    error = leaf("what was wrong", param="model", retry_after=2.5, recoverable=True)
    again = Failed.of(error).error()
    assert type(again) is leaf
    assert (str(again), again.param, again.retry_after, again.recoverable) == (
        "what was wrong", "model", 2.5, True,
    )  # fmt: skip


def test_every_leaf_has_a_code_of_its_own() -> None:
    leaves = {AiplatError, *AiplatError.__subclasses__()}
    assert {leaf for leaf in leaves if leaf.__module__ == "aiplat.domain.errors"} == set(
        LEAVES.values()
    )


def test_an_unknown_code_is_the_root() -> None:
    assert type(Failed("from_the_future", "new").error()) is AiplatError


def test_a_leafs_own_word_on_recovery_holds_unless_said() -> None:
    assert not RateLimited("x").recoverable
    assert LEAVES["processor_lost"]("x").recoverable


@pytest.mark.parametrize(
    ("prompt", "answer", "words"),
    [
        (9000, 0, "has 9000 tokens, but the model's context holds 8192"),
        (
            8000,
            500,
            "together 8500, but the model's context holds 8192. Set max_tokens to at most 192",
        ),
    ],
)
def test_a_prompt_too_long_says_the_numbers(prompt: int, answer: int, words: str) -> None:
    assert words in str(ContextLengthExceeded.of(prompt, answer, 8192))


@pytest.mark.parametrize(
    ("name", "known", "words"),
    [
        ("smolm", ["smollm2-135m", "echo"], "Did you mean smollm2-135m?"),
        ("zzzz", ["smollm2-135m", "echo"], "Known: echo, smollm2-135m."),
        ("x", [], "No model is offered at all"),
    ],
)
def test_an_unknown_model_is_helped(name: str, known: list[str], words: str) -> None:
    assert words in str(ModelNotFound.of(name, known))


@given(st.text(), st.integers(2, 100))
def test_clipped_text_is_short_and_printable(text: str, limit: int) -> None:
    shown = clip(text, limit)
    assert len(shown) <= limit
    assert shown.isprintable()


@given(st.text(max_size=100), st.sampled_from(["sk", "ses", "inv"]), st.integers(2, 100))
def test_clipped_text_holds_no_secret(text: str, kind: str, limit: int) -> None:
    """Wherever it was pasted, and also one that was cut."""
    secret = "Zz9" * 14 + "Z"
    for whole in (f"{kind}-aip-{'abcdef' * 4}-{secret}", f"{kind}-aip-local-{secret}"):
        for pasted in (whole, whole.upper(), whole[:-20]):
            shown = clip(f"{text}{pasted} {text}", limit)
            assert "Zz9" not in shown
            assert "ZZ9" not in shown
            assert len(shown) <= limit


def test_names() -> None:
    made = new_request_id()
    assert is_request_id(made)
    assert made != new_request_id()
    assert not is_request_id(made + "\n")
    assert short("12D3KooWABCDEFGH") == "…ABCDEFGH"
    assert short("p") == "p"


def test_a_submission_shows_neither_prompt_nor_key() -> None:
    shown = repr(submission(credential="sk-secret"))
    assert "sk-secret" not in shown
    assert "hello" not in shown


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": "req-x"},
        {"deadline_ms": 0},
        {"deadline_ms": 10**9},
        {"model": "m" * 201},
        {"work": Generate(())},
        {"work": Generate((Message("user", "x"),) * 4097)},
        {"work": Generate((Message("user", "x"),), Sampling(temperature=9))},
    ],
)
def test_what_no_engine_would_take(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        check_submission(submission(**wrong))


def test_what_every_engine_takes() -> None:
    check_submission(submission())


def test_the_numerics_class_tells_models_apart() -> None:
    assert MANIFEST.numerics == MANIFEST.__replace__().numerics
    assert MANIFEST.numerics != MANIFEST.__replace__(dtype="bfloat16").numerics
