"""Ollama's lines, whole and streamed: the same text and calls however they were batched."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiplat.domain.answers import (
    AnswerEvent,
    CallPiece,
    Delta,
    Failed,
    Finished,
    Logprobs,
    TokenLogprob,
)
from aiplat.domain.errors import EngineFailed, ProcessorLost, ShuttingDown
from aiplat.domain.usage import Timings, Usage
from aiplat.http.ollama_api.rendering import Kind, Lines, durations, embeddings_body
from aiplat.http.ollama_api.stream import LineStream
from aiplat.http.said import Said
from tests.support.fake_node import finished, started

REQUEST = "req-0123456789abcdef01234567"


def stream(kind: Kind = "chat") -> LineStream:
    return LineStream(Lines(kind, REQUEST, "asked"))


def written(batches: Sequence[Sequence[AnswerEvent]], kind: Kind = "chat") -> list[dict[str, Any]]:
    lines = stream(kind)
    data = b"".join(lines.feed(batch) for batch in batches)
    assert data.endswith(b"\n")
    return [msgspec.json.decode(line) for line in data.splitlines()]


def whole(events: Sequence[AnswerEvent], kind: Kind = "chat") -> dict[str, Any]:
    said = Said()
    for event in events:
        said.take(event)
    return dict(msgspec.json.decode(Lines(kind, REQUEST, "asked").whole(said)))


def test_the_lines_of_a_chat() -> None:
    first, last = written([[started(), Delta((1,), "a"), Delta((2,), "b")], [finished(2)]])
    assert first.pop("created_at").endswith("Z")
    assert first == {
        "model": "asked", "message": {"role": "assistant", "content": "ab"}, "done": False,
    }  # fmt: skip
    assert last.pop("created_at")
    assert last == {
        "model": "asked", "message": {"role": "assistant", "content": ""}, "done": True,
        "done_reason": "stop", "total_duration": 3_000_000, "load_duration": 1_500_000,
        "prompt_eval_count": 5, "prompt_eval_duration": 500_000, "eval_count": 2,
        "eval_duration": 1_000_000,
    }  # fmt: skip


def test_the_lines_of_a_prompt() -> None:
    events: list[AnswerEvent] = [started(), Delta((1,), "ab"), Finished("length", Usage(5, 1))]
    first, last = written([events], "generate")
    assert (first["response"], first["done"], last["response"]) == ("ab", False, "")
    assert "message" not in first
    answer = whole(events, "generate")
    assert (answer["response"], answer["done"], answer["done_reason"]) == ("ab", True, "length")


def test_a_call_is_told_when_it_is_whole() -> None:
    lines = stream()
    assert lines.feed([started(), Delta((1,), calls=(CallPiece(0, "look", '{"a":'),))]) == b""
    more = Delta((2,), "", calls=(CallPiece(0, "", "1}"), CallPiece(1, "wait")))
    told = msgspec.json.decode(lines.feed([more]))
    (call,) = told["message"]["tool_calls"]
    assert call["function"] == {"index": 0, "name": "look", "arguments": {"a": 1}}
    other, last = map(msgspec.json.decode, lines.feed([finished(2)]).splitlines())
    assert other["message"]["tool_calls"][0]["function"]["arguments"] == {}
    assert (last["done"], last["done_reason"]) == (True, "stop")
    assert lines.complete


def test_logprobs_stand_beside_their_text() -> None:
    logprobs = Logprobs((TokenLogprob(1, "a", -0.5),), ((TokenLogprob(2, "b", -1.0),),))
    events: list[AnswerEvent] = [started(), Delta((1,), "a", logprobs), finished(1)]
    wanted = [
        {
            "token": "a", "logprob": -0.5, "bytes": [97],
            "top_logprobs": [{"token": "b", "logprob": -1.0, "bytes": [98]}],
        }
    ]  # fmt: skip
    assert written([events])[0]["logprobs"] == wanted
    assert whole(events)["logprobs"] == wanted


def test_failures() -> None:
    lines = stream()
    assert lines.comment() == b""
    assert lines.feed([started(), Failed.of(ProcessorLost("Gone."))]) == b""
    assert isinstance(lines.failed, ProcessorLost)
    assert lines.feed([finished(0)]) == b""
    lines = stream()
    assert lines.feed([Delta((1,), "x"), Finished("cancelled", Usage(5, 1))])
    assert isinstance(lines.failed, ShuttingDown)


@pytest.mark.parametrize(
    ("timings", "found"),
    [
        (Timings(), (0, 0, 0)),
        (Timings(1, 3, 10), (1_000_000, 2_000_000, 7_000_000)),
        (Timings(5, 3, 4), (5_000_000, 0, 0)),  # of clocks that were read apart
    ],
)
def test_durations_are_never_negative(timings: Timings, found: tuple[int, int, int]) -> None:
    assert durations(timings) == found


def test_vectors_of_another_number_are_a_failure() -> None:
    said = Said()
    said.take(Delta(vectors=(b"\x00\x00\x80\x3f",)))
    said.take(finished(0))
    assert msgspec.json.decode(embeddings_body("m", said, 1))["embeddings"] == [[1.0]]
    with pytest.raises(EngineFailed):
        embeddings_body("m", said, 2)


texts = st.text(max_size=4)


@given(st.lists(texts, max_size=6), st.lists(st.lists(texts, max_size=4), max_size=3), st.data())
def test_any_batching_says_the_same(
    said: list[str], calls: list[list[str]], data: st.DataObject
) -> None:
    events: list[AnswerEvent] = [started()]
    events += [Delta((place,), text) for place, text in enumerate(said)]
    for index, pieces in enumerate(calls):
        made = [CallPiece(index, f"f{index}"), *[CallPiece(index, "", text) for text in pieces]]
        events += [Delta((9,), calls=(piece,)) for piece in made]
    events.append(finished(3))
    batches: list[list[AnswerEvent]] = [[]]
    for event in events:
        if data.draw(st.booleans()):
            batches.append([])
        batches[-1].append(event)
    lines, one = written(batches), whole(events)
    assert "".join(line["message"]["content"] for line in lines) == one["message"]["content"]
    assert one["message"]["content"] == "".join(said)
    told = [call for line in lines for call in line["message"].get("tool_calls", [])]
    assert told == one["message"].get("tool_calls", [])
    assert [call["function"]["name"] for call in told] == [f"f{i}" for i in range(len(calls))]
    assert [line["done"] for line in lines] == [False] * (len(lines) - 1) + [True]
