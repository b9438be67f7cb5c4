"""Calls of tools in answers: whole and in chunks, as OpenAI's published schema has them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from aiplat.domain.answers import AnswerEvent, CallPiece, Delta, Finished, Logprobs, TokenLogprob
from aiplat.domain.usage import Usage
from aiplat.http.generating import call_id
from aiplat.http.openai_api.chat_chunks import ChatShape
from aiplat.http.openai_api.chunks import DONE, ChunkStream
from aiplat.http.openai_api.rendering import completion_body
from aiplat.http.said import Said
from tests.support.fake_node import started
from tests.support.openai_schema import ChatCompletion, ChatCompletionChunk, check

REQUEST = "req-0123456789abcdef01234567"
END = Finished("tool_calls", Usage(5, 9))
PIECES = (
    CallPiece(0, "weather", '{"city"'), CallPiece(0, "", ': "Rome"}'),
    CallPiece(1, "time"), CallPiece(1, "", "{}"),
)  # fmt: skip


def whole(events: Sequence[AnswerEvent], *, is_old: bool = False) -> dict[str, Any]:
    said = Said()
    for event in events:
        said.take(event)
    answer = msgspec.json.decode(completion_body(REQUEST, "asked", 7, [said], is_old))
    check(ChatCompletion, answer)
    return dict(answer["choices"][0])


def streamed(
    batches: Sequence[Sequence[AnswerEvent]], *, is_old: bool = False
) -> list[dict[str, Any]]:
    stream = ChunkStream(ChatShape(REQUEST, is_old), "asked", 7, include_usage=False)
    data = b"".join([stream.feed(batch) for batch in batches])
    assert data.endswith(DONE)
    chunks = [msgspec.json.decode(line[6:]) for line in data.split(b"\n\n")[:-2]]
    for chunk in chunks:
        check(ChatCompletionChunk, chunk)
    return [chunk["choices"][0] for chunk in chunks]


def joined(choices: Sequence[dict[str, Any]]) -> tuple[str, list[dict[str, Any]], str]:
    """Text, calls and reason, put together as clients do: strings are added to one another."""
    text, calls, reason = "", list[dict[str, Any]](), ""
    for choice in choices:
        delta = choice["delta"]
        text += delta.get("content") or ""
        reason = reason or choice["finish_reason"] or ""
        for piece in delta.get("tool_calls", ()):
            if piece["index"] == len(calls):
                calls.append({"id": piece["id"], "type": piece["type"], "name": "", "text": ""})
            call, function = calls[piece["index"]], piece["function"]
            call["name"] += function.get("name", "")
            call["text"] += function.get("arguments", "")
    return text, calls, reason


def test_calls_of_a_whole_answer() -> None:
    choice = whole([started(), Delta((1,), "", calls=PIECES), END])
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"] == {
        "role": "assistant", "content": None, "refusal": None,
        "tool_calls": [
            {
                "id": call_id(REQUEST, 0, 0), "type": "function",
                "function": {"name": "weather", "arguments": '{"city": "Rome"}'},
            },
            {
                "id": call_id(REQUEST, 0, 1), "type": "function",
                "function": {"name": "time", "arguments": "{}"},
            },
        ],
    }  # fmt: skip


def test_text_beside_a_call() -> None:
    choice = whole([started(), Delta((1,), "Let me see."), Delta((2,), "", calls=PIECES), END])
    assert choice["message"]["content"] == "Let me see."
    assert len(choice["message"]["tool_calls"]) == 2


def test_a_stream_of_calls_chunk_by_chunk() -> None:
    deltas = [Delta((place,), "", calls=(piece,)) for place, piece in enumerate(PIECES)]
    choices = streamed([[started()], *[[delta] for delta in deltas], [END]])
    first, second = call_id(REQUEST, 0, 0), call_id(REQUEST, 0, 1)

    def call(index: int, **more: Any) -> dict[str, Any]:
        return {"tool_calls": [{"index": index, **more}]}

    assert [choice["delta"] for choice in choices] == [
        {"role": "assistant", "content": None},
        call(0, id=first, type="function", function={"name": "weather", "arguments": ""}),
        call(0, function={"arguments": '{"city"'}),
        call(0, function={"arguments": ': "Rome"}'}),
        call(1, id=second, type="function", function={"name": "time", "arguments": ""}),
        call(1, function={"arguments": "{}"}),
        {},
    ]
    assert [choice["finish_reason"] for choice in choices] == [None] * 6 + ["tool_calls"]


def test_what_is_ready_together_leaves_in_one_chunk_for_each_call() -> None:
    choices = streamed([[started(), Delta((1,), "Hm.", calls=PIECES), END]])
    told = [choice["delta"].get("tool_calls") for choice in choices]
    arguments = [one[0]["function"]["arguments"] for one in told if one]
    assert arguments == ["", '{"city": "Rome"}', "", "{}"]
    assert choices[0]["delta"] == {"role": "assistant", "content": ""}
    assert choices[1]["delta"] == {"content": "Hm."}


def test_the_way_from_before_there_were_tools() -> None:
    events: list[AnswerEvent] = [started(), Delta((1,), "", calls=PIECES), END]
    choice = whole(events, is_old=True)
    called = {"name": "weather", "arguments": '{"city": "Rome"}'}
    assert choice["finish_reason"] == "function_call"
    assert choice["message"] == {
        "role": "assistant", "content": None, "refusal": None, "function_call": called,
    }  # fmt: skip
    choices = streamed([events], is_old=True)
    assert [choice["delta"].get("function_call") for choice in choices] == [
        None, {"name": "weather", "arguments": ""}, {"arguments": '{"city": "Rome"}'}, None,
    ]  # fmt: skip
    assert choices[-1]["finish_reason"] == "function_call"


def test_logprobs_of_a_call_come_without_text() -> None:
    logprobs = Logprobs((TokenLogprob(1, "x", -0.5),))
    choices = streamed([[started(), Delta((1,), "", logprobs), Delta((), "", calls=PIECES), END]])
    assert choices[0]["delta"]["content"] is None
    assert choices[1]["delta"] == {}
    assert choices[1]["logprobs"]["content"][0]["token"] == "x"


DELTAS = st.lists(
    st.one_of(
        st.text(max_size=4).map(lambda text: Delta((1,), text)),
        st.tuples(st.booleans(), st.text(max_size=4)).map(
            lambda new: Delta((1,), "", calls=(CallPiece(int(new[0]), "", new[1]),))
        ),
    ),
    max_size=12,
)


def numbered(deltas: Sequence[Delta]) -> list[Delta]:
    """Number the calls as an engine does: one after another, the first piece with a name."""
    index, found = -1, list[Delta]()
    for delta in deltas:
        if not delta.calls:
            found.append(delta)
            continue
        (piece,) = delta.calls
        is_new = bool(piece.index) or index < 0
        index += is_new
        told = CallPiece(index, f"tool_{index}" if is_new else "", piece.arguments)
        found.append(Delta((1,), "", calls=(told,)))
    return found


@given(DELTAS, st.data())
def test_a_stream_says_what_the_whole_says(deltas: list[Delta], data: st.DataObject) -> None:
    events: list[AnswerEvent] = [started(), *numbered(deltas), END]
    cuts = sorted(data.draw(st.lists(st.integers(0, len(events)), max_size=5)))
    batches = [events[a:b] for a, b in zip([0, *cuts], [*cuts, len(events)], strict=True) if a < b]
    text, calls, reason = joined(streamed(batches))
    message = whole(events)["message"]
    assert text == (message["content"] or "")
    assert reason == "tool_calls"
    assert calls == [
        {
            "id": call["id"], "type": "function", "name": call["function"]["name"],
            "text": call["function"]["arguments"],
        }
        for call in message.get("tool_calls", ())
    ]  # fmt: skip


def test_a_name_in_two_pieces_is_one_name() -> None:
    pieces = (CallPiece(0, "wea"), CallPiece(0, "ther", "{}"))
    events: list[AnswerEvent] = [started(), Delta((1,), calls=pieces), END]
    _, (call,), _ = joined(streamed([events]))
    assert (call["name"], call["text"]) == ("weather", "{}")
    assert whole(events)["message"]["tool_calls"][0]["function"]["name"] == "weather"
