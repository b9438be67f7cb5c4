"""Answers in OpenAI's shapes, whole and in chunks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiplat.domain.answers import (
    AnswerEvent,
    Delta,
    Failed,
    Finished,
    Logprobs,
    Queued,
    TokenLogprob,
)
from aiplat.domain.errors import ProcessorLost, ShuttingDown
from aiplat.domain.usage import Usage
from aiplat.http.openai_api.chat_chunks import ChatShape
from aiplat.http.openai_api.chunks import DONE, ChunkStream
from aiplat.http.openai_api.rendering import completion_body
from aiplat.http.said import Said
from tests.support.fake_node import finished, started

REQUEST = "req-0123456789abcdef01234567"


def chunks_of(data: bytes) -> list[dict[str, Any]]:
    events = [line for line in data.split(b"\n\n") if line and line + b"\n\n" != DONE]
    assert all(event.startswith(b"data: ") for event in events)
    return [msgspec.json.decode(event[6:]) for event in events]


def stream(batches: Sequence[Sequence[AnswerEvent]], *, usage: bool = False) -> bytes:
    chunks = ChunkStream(ChatShape(REQUEST), "asked", 7, usage)
    return b"".join(chunks.feed(batch) for batch in batches)


def whole(deltas: Sequence[Delta], end: Finished) -> dict[str, Any]:
    said = Said()
    said.take(started())
    for delta in deltas:
        said.take(delta)
    said.take(end)
    return dict(msgspec.json.decode(completion_body(REQUEST, "asked", 7, [said])))


def test_a_whole_answer() -> None:
    answer = whole([Delta((1,), "a"), Delta((2,), "b")], finished(2))
    assert answer == {
        "id": "chatcmpl-0123456789abcdef01234567",
        "object": "chat.completion",
        "created": 7,
        "model": "echo",
        "system_fingerprint": f"fp_{started().manifest.numerics}",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "ab", "refusal": None},
                "finish_reason": "stop",
                "logprobs": None,
            }
        ],
        "usage": {
            "prompt_tokens": 5,
            "completion_tokens": 2,
            "total_tokens": 7,
            "prompt_tokens_details": {"cached_tokens": 0},
        },
    }


def test_tokens_that_were_not_counted_exactly_are_said_to_be_so() -> None:
    assert whole([], finished(2, exact=False))["usage"]["exact_tokens"] is False


def test_a_stream_chunk_by_chunk() -> None:
    data = stream([[Queued()], [started(), Delta((1,), "a")], [Delta((2,), "b"), finished(2)]])
    assert data.endswith(DONE)
    parts = [chunk["choices"][0] for chunk in chunks_of(data)]
    assert [part["delta"] for part in parts] == [
        {"role": "assistant", "content": ""}, {"content": "a"}, {"content": "b"}, {},
    ]  # fmt: skip
    assert [part["finish_reason"] for part in parts] == [None, None, None, "stop"]
    for chunk in chunks_of(data):
        assert chunk["object"] == "chat.completion.chunk"
        assert (chunk["id"], chunk["created"], chunk["model"]) == (
            "chatcmpl-0123456789abcdef01234567", 7, "echo",
        )  # fmt: skip
        assert "usage" not in chunk


def test_the_usage_is_one_chunk_more_and_null_in_the_others() -> None:
    *parts, last = chunks_of(stream([[started(), Delta((1,), "a"), finished(1)]], usage=True))
    assert [part["usage"] for part in parts] == [None] * 3
    assert last["choices"] == []
    assert last["usage"]["total_tokens"] == 6


def test_an_answer_without_a_word_has_a_role_and_an_end() -> None:
    parts = chunks_of(stream([[started(), finished(0)]]))
    assert [part["choices"][0]["finish_reason"] for part in parts] == [None, "stop"]


def test_text_that_is_held_back_makes_no_chunk() -> None:
    assert stream([[started(), Delta((1,), "")]]) == b""


def test_a_failure_comes_after_the_text_before_it_and_has_no_done() -> None:
    chunks = ChunkStream(ChatShape(REQUEST), "asked", 7, include_usage=False)
    lost = Failed.of(ProcessorLost("It fell silent."))
    data = chunks.feed([started(), Delta((1,), "a"), lost])
    assert chunks_of(data)[-1]["choices"][0]["delta"] == {"content": "a"}
    assert DONE not in data
    assert isinstance(chunks.failed, ProcessorLost)
    assert not chunks.complete


def test_an_answer_that_was_cancelled_inside_is_no_good_answer() -> None:
    end = Finished("cancelled", Usage(5, 1))
    with pytest.raises(ShuttingDown):
        whole([], end)
    chunks = ChunkStream(ChatShape(REQUEST), "asked", 7, include_usage=False)
    assert DONE not in chunks.feed([started(), Delta((1,), "a"), end])
    assert isinstance(chunks.failed, ShuttingDown)


def test_logprobs_whole_and_in_chunks() -> None:
    token, other = TokenLogprob(1, "é", -0.5), TokenLogprob(2, "b", -math.inf)
    deltas = [
        Delta((1,), "é", Logprobs((token,), ((token, other),))),
        Delta((2,), "", Logprobs((other,))),
    ]
    content = whole(deltas, finished(2))["choices"][0]["logprobs"]["content"]
    assert content[0]["bytes"] == [0xC3, 0xA9]
    assert [one["logprob"] for one in content[0]["top_logprobs"]] == [-0.5, -9999.0]
    assert content[1]["top_logprobs"] == []
    parts = chunks_of(stream([[started()], [deltas[0]], [deltas[1]], [finished(2)]]))
    streamed = [
        one
        for part in parts
        if part["choices"][0]["logprobs"]
        for one in part["choices"][0]["logprobs"]["content"]
    ]
    assert streamed == content


def test_bytes_are_right_where_the_text_cannot_be_and_the_end_is_no_content() -> None:
    half, end = TokenLogprob(1, "\ufffd", -0.5, b"\xc3"), TokenLogprob(2, "", -0.1)
    deltas = [Delta((1, 2), "", Logprobs((half, end), ((half,), (half,))))]
    (only,) = whole(deltas, finished(2))["choices"][0]["logprobs"]["content"]
    assert only["bytes"] == only["top_logprobs"][0]["bytes"] == [0xC3]


def test_choices_are_one_answer_and_their_prompt_counts_once() -> None:
    answers = [Said(), Said()]
    chunks = ChunkStream(ChatShape(REQUEST), "asked", 7, include_usage=True, choices=2)
    first, second = Finished("length", Usage(5, 2, 0)), Finished("stop", Usage(5, 1, 4))
    events: list[tuple[int, AnswerEvent]] = [
        (1, started()), (0, started()), (0, Delta((1,), "a")), (1, Delta((1,), "b")),
        (1, second), (0, Delta((2,), "c")), (0, first),
    ]  # fmt: skip
    data = b""
    for index, event in events:
        assert DONE not in data
        answers[index].take(event)
        data += chunks.feed([event], index)
    found = msgspec.json.decode(completion_body(REQUEST, "asked", 7, answers))
    texts = [choice["message"]["content"] for choice in found["choices"]]
    assert texts == ["ac", "b"]
    assert [choice["index"] for choice in found["choices"]] == [0, 1]
    assert [choice["finish_reason"] for choice in found["choices"]] == ["length", "stop"]
    usage = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}
    assert found["usage"] == usage | {"prompt_tokens_details": {"cached_tokens": 0}}
    *parts, last = chunks_of(data)
    assert last["usage"] == found["usage"]
    for index, text in enumerate(texts):
        own = [part["choices"][0] for part in parts if part["choices"][0]["index"] == index]
        assert own[0]["delta"]["role"] == "assistant"
        assert "".join(choice["delta"].get("content", "") for choice in own) == text
        assert own[-1]["finish_reason"] == found["choices"][index]["finish_reason"]


@given(st.lists(st.text(max_size=5), max_size=20), st.data())
def test_the_text_of_a_stream_is_that_of_the_whole(texts: list[str], data: st.DataObject) -> None:
    deltas = [Delta((place,), text) for place, text in enumerate(texts)]
    events: list[AnswerEvent] = [started(), *deltas, finished(len(texts))]
    cuts = sorted(data.draw(st.lists(st.integers(0, len(events)), max_size=5)))
    batches = [events[a:b] for a, b in zip([0, *cuts], [*cuts, len(events)], strict=True) if a < b]
    parts = [chunk["choices"][0] for chunk in chunks_of(stream(batches))]
    text = "".join(part["delta"].get("content", "") for part in parts)
    assert text == whole(deltas, finished(0))["choices"][0]["message"]["content"]
    assert [part["finish_reason"] for part in parts if part["finish_reason"]] == ["stop"]
    assert parts[-1]["finish_reason"] == "stop"
    assert "role" in parts[0]["delta"]
    assert not any("role" in part["delta"] for part in parts[1:])
