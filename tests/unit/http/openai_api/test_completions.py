"""Completions of text: what is taken, and answers in OpenAI's shape, whole and in chunks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiplat.domain.answers import AnswerEvent, Delta, Finished, Logprobs, TokenLogprob
from aiplat.domain.chat import Generate, Sampling
from aiplat.domain.errors import AiplatError, InvalidRequest, ShuttingDown, UnsupportedParameter
from aiplat.domain.usage import Usage
from aiplat.http.openai_api.chunks import DONE, ChunkStream
from aiplat.http.openai_api.completion_parsing import CompletionRequest, parse_completion
from aiplat.http.openai_api.completion_rendering import TextShape, sum_of, text_body
from aiplat.http.said import Said
from tests.support.fake_node import finished, started
from tests.support.openai_schema import Completion, check
from tests.unit.http.openai_api.wrong import check_words

REQUEST = "req-0123456789abcdef01234567"


def parse(**fields: Any) -> CompletionRequest:
    body = {"model": "echo", "prompt": "Once", **fields}
    return parse_completion(msgspec.json.encode(body), most_choices=8)


def refused(**fields: Any) -> AiplatError:
    with pytest.raises(AiplatError) as caught:
        parse(**fields)
    return caught.value


def test_the_least_request_has_openais_default_length() -> None:
    asked = parse()
    assert asked.works() == [Generate((), Sampling(max_tokens=16), prompt="Once")]
    assert (asked.model, asked.stream, asked.echo) == ("echo", False, False)


def test_each_prompt_has_its_choices_and_the_same_seeds() -> None:
    works = parse(prompt=["a", "b"], n=2, seed=7, max_tokens=3, logprobs=0).works()
    assert [(work.prompt, work.sampling.seed) for work in works] == [
        ("a", 7), ("a", 8), ("b", 7), ("b", 8),
    ]  # fmt: skip
    assert {work.sampling.logprobs for work in works} == {0}


@pytest.mark.parametrize(
    "fields",
    [
        {"best_of": 1}, {"best_of": 2, "n": 2}, {"suffix": ""}, {"suffix": None}, {"echo": False},
        {"logprobs": None}, {"user": "me", "metadata": {"a": "b"}}, {"tools": []}, {"new": 1},
        {"stream_options": None}, {"prompt": ["Once"]},
    ],
)  # fmt: skip
def test_what_asks_for_nothing_is_taken(fields: dict[str, Any]) -> None:
    assert parse(**fields).work == Generate((), Sampling(max_tokens=16), prompt="Once")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": [1, 2]}, "prompt"),
        ({"prompt": [[1, 2], [3]]}, "prompt"),
        ({"suffix": "end"}, "suffix"),
        ({"best_of": 2}, "best_of"),
        ({"best_of": 0}, "best_of"),
        ({"echo": True, "logprobs": 1}, "echo"),
        ({"messages": [{}]}, "messages"),
        ({"tools": [{}]}, "tools"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"max_completion_tokens": 5}, "max_completion_tokens"),
        ({"top_logprobs": 5}, "top_logprobs"),
        ({"prompt_logprobs": 1}, "prompt_logprobs"),
        ({"stream": True, "stream_options": {"include_obfuscation": True}},
         "stream_options.include_obfuscation"),
    ],
)  # fmt: skip
def test_what_nothing_can_honour_is_refused_by_name(fields: dict[str, Any], param: str) -> None:
    error = refused(**fields)
    assert isinstance(error, UnsupportedParameter)
    assert error.param == param
    assert param in str(error)


@pytest.mark.parametrize(
    ("fields", "param", "words"),
    [
        ({"prompt": None}, "prompt", ["a string", "null"]),
        ({"prompt": []}, "prompt", ["a string"]),
        ({"prompt": {}}, "prompt", ["a string", "an object"]),
        ({"prompt": ""}, "prompt", ["empty"]),
        ({"prompt": ["a", ""]}, "prompt", ["prompt[1] is empty"]),
        ({"prompt": ["a"] * 9}, "prompt", ["9", "8", "http.max_choices"]),
        ({"prompt": ["a"] * 3, "n": 3}, "prompt", ["3", "9", "8"]),
        ({"n": 9}, "n", ["to 8", "9"]),
        ({"max_tokens": 0}, "max_tokens", ["1", "0"]),
        ({"logprobs": 21}, "logprobs", ["20", "21"]),
        ({"logprobs": True}, "logprobs", ["whole number", "true"]),
        ({"echo": "yes"}, "echo", ["true or false"]),
        ({"temperature": 3}, "temperature", ["3"]),
        ({"best_of": "x"}, "best_of", ["whole number"]),
        ({"stream_options": {}}, "stream_options", ["stream is true"]),
        ({"user": 5}, "user", ["a string"]),
    ],
)
def test_what_is_wrong_is_said_with_value_and_bound(
    fields: dict[str, Any], param: str, words: list[str]
) -> None:
    check_words(refused(**fields), param, words)


# -- answers -----------------------------------------------------------------------------------


def whole(asked: CompletionRequest, *answers: Sequence[AnswerEvent]) -> dict[str, Any]:
    said = [Said() for _ in answers]
    for one, events in zip(said, answers, strict=True):
        for event in events:
            one.take(event)
    answer = dict(msgspec.json.decode(text_body(REQUEST, asked, 7, said)))
    check(Completion, answer)
    return answer


def streamed(
    asked: CompletionRequest, batches: Sequence[tuple[int, Sequence[AnswerEvent]]]
) -> list[dict[str, Any]]:
    stream = ChunkStream(
        TextShape(REQUEST, asked), asked.model, 7, asked.include_usage, asked.choices,
        lambda usages: sum_of(usages, asked.each),
    )  # fmt: skip
    data = b"".join([stream.feed(batch, index) for index, batch in batches])
    assert data.endswith(DONE)
    chunks = [msgspec.json.decode(line[6:]) for line in data.split(b"\n\n")[:-2]]
    for chunk in chunks:
        # The schema wants a reason in each, and OpenAI's own chunks have none before the last.
        known = [
            {**choice, "finish_reason": choice["finish_reason"] or "stop"}
            for choice in chunk["choices"]
        ]
        check(Completion, {**chunk, "choices": known})
    return chunks


ANSWER = (started(), Delta((1,), " upon"), Delta((2,), " a time"), finished(2))


def test_a_whole_answer() -> None:
    answer = whole(parse(), ANSWER)
    assert answer["id"] == "cmpl-0123456789abcdef01234567"
    assert answer["object"] == "text_completion"
    assert answer["choices"] == [
        {"text": " upon a time", "index": 0, "logprobs": None, "finish_reason": "stop"}
    ]
    assert answer["usage"] == {
        "prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7,
        "prompt_tokens_details": {"cached_tokens": 0},
    }  # fmt: skip


def test_a_stream_chunk_by_chunk() -> None:
    asked = parse(stream=True, stream_options={"include_usage": True})
    *chunks, last = streamed(asked, [(0, [event]) for event in ANSWER])
    assert [chunk["choices"][0]["text"] for chunk in chunks] == [" upon", " a time", ""]
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None, None, "stop"]
    assert all(chunk["usage"] is None for chunk in chunks)
    assert last["choices"] == []
    assert last["usage"] == whole(asked, ANSWER)["usage"]


def test_an_echo_is_in_front_once_and_the_same_in_a_stream() -> None:
    asked = parse(prompt=["Once", "Twice"], echo=True)
    answer = whole(asked, ANSWER, [started(), finished(0)])
    texts = [choice["text"] for choice in answer["choices"]]
    assert texts == ["Once upon a time", "Twice"]
    chunks = streamed(asked, [*[(0, [event]) for event in ANSWER], (1, [started(), finished(0)])])
    for index, text in enumerate(texts):
        own = [chunk["choices"][0] for chunk in chunks if chunk["choices"][0]["index"] == index]
        assert "".join([choice["text"] for choice in own]) == text


def test_every_prompt_counts_once() -> None:
    usages = [Usage(5, 1, 0), Usage(5, 2, 4), Usage(7, 3, 0), Usage(7, 4, 6)]
    assert sum_of(usages, 2) == Usage(12, 10, 0)
    assert sum_of(usages, 1) == Usage(24, 10, 10)
    assert not sum_of([Usage(1, 1), Usage(1, 1, exact=False)], 1).exact


def test_one_that_was_cancelled_inside_is_no_good_answer() -> None:
    end = Finished("cancelled", Usage(5, 1))
    with pytest.raises(ShuttingDown):
        whole(parse(), [started(), end])
    stream = ChunkStream(TextShape(REQUEST, parse()), "asked", 7, include_usage=False)
    assert DONE not in stream.feed([started(), Delta((1,), "a"), end])
    assert isinstance(stream.failed, ShuttingDown)


def told(*tokens: TokenLogprob) -> Delta:
    tops = tuple((token, TokenLogprob(9, "z", -math.inf)) for token in tokens)
    text = "".join([token.text for token in tokens if not token.raw])
    return Delta(tuple(token.id for token in tokens), text, Logprobs(tokens, tops))


def test_logprobs_with_offsets_in_characters() -> None:
    deltas = [
        told(TokenLogprob(1, "né", -0.5)), told(TokenLogprob(2, "\ufffd", -1.0, b"\xe2\x82")),
        told(TokenLogprob(3, "\ufffd", -1.5, b"\xac")), told(TokenLogprob(4, "!", -2.0)),
        told(TokenLogprob(5, "", -0.1)),
    ]  # fmt: skip
    asked = parse(logprobs=2)
    (choice,) = whole(asked, [started(), *deltas, finished(5)])["choices"]
    assert choice["logprobs"] == {
        "tokens": ["né", "bytes:\\xe2\\x82", "bytes:\\xac", "!"],
        "token_logprobs": [-0.5, -1.0, -1.5, -2.0],
        "top_logprobs": [
            {"né": -0.5, "z": -9999.0}, {"bytes:\\xe2\\x82": -1.0, "z": -9999.0},
            {"bytes:\\xac": -1.5, "z": -9999.0}, {"!": -2.0, "z": -9999.0},
        ],
        "text_offset": [0, 2, 2, 3],
    }  # fmt: skip
    chunks = streamed(asked, [(0, [started()]), *[(0, [delta]) for delta in deltas],
                              (0, [finished(5)])])  # fmt: skip
    for name, values in choice["logprobs"].items():
        parts = [chunk["choices"][0]["logprobs"] for chunk in chunks]
        assert [one for part in parts if part for one in part[name]] == values


def test_bytes_that_are_text_are_told_as_text() -> None:
    (choice,) = whole(
        parse(logprobs=0), [started(), told(TokenLogprob(1, " ", -1.0, b"   ")), finished(1)]
    )["choices"]
    assert choice["logprobs"]["tokens"] == ["   "]


@given(st.lists(st.text(max_size=5), max_size=20), st.booleans(), st.data())
def test_the_text_of_a_stream_is_that_of_the_whole(
    texts: list[str], echo: bool, data: st.DataObject
) -> None:
    asked = parse(echo=echo)
    deltas = [Delta((place,), text) for place, text in enumerate(texts)]
    events: list[AnswerEvent] = [started(), *deltas, finished(len(texts))]
    cuts = sorted(data.draw(st.lists(st.integers(0, len(events)), max_size=5)))
    batches = [events[a:b] for a, b in zip([0, *cuts], [*cuts, len(events)], strict=True) if a < b]
    parts = [chunk["choices"][0] for chunk in streamed(asked, [(0, batch) for batch in batches])]
    text = "".join([part["text"] for part in parts])
    assert text == whole(asked, events)["choices"][0]["text"]
    assert [part["finish_reason"] for part in parts if part["finish_reason"]] == ["stop"]
    assert parts[-1]["finish_reason"] == "stop"


@pytest.mark.parametrize("prompt", [True, [True], ["a", False]])
def test_a_truth_is_no_token_id(prompt: object) -> None:
    with pytest.raises(InvalidRequest, match="a string or an array of strings"):
        parse(prompt=prompt)
