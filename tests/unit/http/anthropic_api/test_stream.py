"""Anthropic's events, and whole messages: the same text and calls however they were batched."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiplat.domain.answers import AnswerEvent, CallPiece, Delta, Failed, Finished, Queued
from aiplat.domain.deltas import join
from aiplat.domain.errors import ProcessorLost, ShuttingDown
from aiplat.domain.usage import Usage
from aiplat.http.anthropic_api.rendering import message_body
from aiplat.http.anthropic_api.stream import PING, MessageStream
from aiplat.http.said import Said
from tests.support.fake_node import finished, started

REQUEST = "req-0123456789abcdef01234567"
CALL = (
    Delta((2,), calls=(CallPiece(0, "look"),)),
    Delta((3,), calls=(CallPiece(0, "", '{"at":'),)),
    Delta((4,), calls=(CallPiece(0, "", '"sea"}'), CallPiece(1, "wait", "{}"))),
)


def written(batches: Sequence[Sequence[AnswerEvent]]) -> list[dict[str, Any]]:
    stream = MessageStream(REQUEST, "asked")
    data = b"".join(stream.feed(batch) for batch in batches)
    found = []
    for event in data.removesuffix(b"\n\n").split(b"\n\n"):
        name, line = event.split(b"\n")
        fields = msgspec.json.decode(line.removeprefix(b"data: "))
        assert name == b"event: " + fields["type"].encode()
        found.append(fields)
    return found


def blocks_of(events: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """The blocks of a stream, each its tool (or nothing) and what its pieces say."""
    blocks: list[tuple[str, str]] = []
    open_at = -1
    for event in events:
        match event["type"]:
            case "content_block_start":
                assert open_at == -1
                assert event["index"] == len(blocks)
                open_at = event["index"]
                blocks.append((event["content_block"].get("name", ""), ""))
            case "content_block_delta":
                assert event["index"] == open_at
                delta = event["delta"]
                name, text = blocks[-1]
                assert delta["type"] == ("input_json_delta" if name else "text_delta")
                blocks[-1] = (name, text + delta.get("text", "") + delta.get("partial_json", ""))
            case "content_block_stop":
                assert event["index"] == open_at
                open_at = -1
    assert open_at == -1
    return blocks


def whole(events: Sequence[AnswerEvent]) -> dict[str, Any]:
    said = Said()
    for event in events:
        said.take(event)
    return dict(msgspec.json.decode(message_body(REQUEST, "asked", said)))


def test_the_events_of_a_stream() -> None:
    end = Finished("stop", Usage(9, 2, 4), stop="END")
    events = written([[Queued(), started(9)], [Delta((1,), "a"), Delta((2,), "b")], [end]])
    assert events[0] == {
        "type": "message_start",
        "message": {
            "id": "msg_0123456789abcdef01234567", "type": "message", "role": "assistant",
            "model": "echo", "content": [], "stop_reason": None, "stop_sequence": None,
            "usage": {
                "input_tokens": 9, "cache_read_input_tokens": 0, "output_tokens": 0,
                "cache_creation_input_tokens": 0,
            },
        },
    }  # fmt: skip
    assert events[1:] == [
        {
            "type": "content_block_start", "index": 0,
            "content_block": {"text": "", "type": "text", "citations": None},
        },
        {"type": "ping"},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "ab"}},
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "stop_sequence", "stop_sequence": "END"},
            "usage": {
                "input_tokens": 5, "cache_read_input_tokens": 4, "output_tokens": 2,
                "cache_creation_input_tokens": 0,
            },
        },
        {"type": "message_stop"},
    ]  # fmt: skip


def test_calls_are_blocks_behind_the_text() -> None:
    events: list[AnswerEvent] = [
        started(), Delta((1,), "hm"), *CALL, Finished("tool_calls", Usage(5, 4)),
    ]  # fmt: skip
    found = written([[event] for event in events])
    assert blocks_of(found) == [("", "hm"), ("look", '{"at":"sea"}'), ("wait", "{}")]
    assert found[-2]["delta"]["stop_reason"] == "tool_use"
    message = whole(events)
    assert message["stop_reason"] == "tool_use"
    text, look, wait = message["content"]
    assert text["text"] == "hm"
    assert (look["name"], look["input"]) == ("look", {"at": "sea"})
    assert (wait["name"], wait["input"]) == ("wait", {})
    starts = [event for event in found if event["type"] == "content_block_start"]
    assert [start["content_block"]["id"] for start in starts[1:]] == [look["id"], wait["id"]]
    assert look["id"] != wait["id"]


def test_arguments_that_were_cut_are_told_as_text() -> None:
    events: list[AnswerEvent] = [started(), CALL[0], CALL[1], Finished("length", Usage(5, 2))]
    message = whole(events)
    assert message["stop_reason"] == "max_tokens"
    assert message["content"][0]["input"] == {"INVALID_JSON": '{"at":'}
    assert written([events])[-2]["delta"]["stop_reason"] == "max_tokens"


def test_an_answer_of_nothing() -> None:
    events: list[AnswerEvent] = [started(), Delta((1,)), finished(1)]
    kinds = [event["type"] for event in written([events])]
    assert kinds == ["message_start", "message_delta", "message_stop"]
    assert whole(events)["content"] == []


def test_nothing_is_written_before_something_is_said() -> None:
    stream = MessageStream(REQUEST, "asked")
    assert stream.comment() == b": waiting\n\n"
    assert stream.feed([Queued(), started(), Delta((1,))]) == b""
    assert stream.feed([Failed.of(ProcessorLost("Gone."))]) == b""
    assert isinstance(stream.failed, ProcessorLost)
    stream = MessageStream(REQUEST, "asked")
    assert stream.feed([started(), Delta((1,), "x"), Failed.of(ProcessorLost("Gone."))])
    assert isinstance(stream.failed, ProcessorLost)
    assert stream.feed([Delta((2,), "y"), finished(2)]) == b""
    assert stream.comment() == PING


def test_an_answer_that_was_cancelled_inside_is_a_failure() -> None:
    stream = MessageStream(REQUEST, "asked")
    stream.feed([started(), Delta((1,), "x"), Finished("cancelled", Usage(5, 1))])
    assert isinstance(stream.failed, ShuttingDown)
    assert not stream.complete
    with pytest.raises(ShuttingDown):
        whole([started(), Finished("cancelled", Usage(5, 1))])


texts = st.text(max_size=4)


@given(st.lists(texts, max_size=6), st.lists(st.lists(texts, max_size=4), max_size=3), st.data())
def test_any_batching_says_the_same(
    said: list[str], calls: list[list[str]], data: st.DataObject
) -> None:
    deltas = [Delta((place,), text) for place, text in enumerate(said)]
    for index, pieces in enumerate(calls):
        made = [CallPiece(index, f"f{index}"), *[CallPiece(index, "", text) for text in pieces]]
        deltas += [Delta((9,), calls=(piece,)) for piece in made]
    joined: list[Delta] = []
    for delta in deltas:
        beside: bool = data.draw(st.booleans())
        if joined and beside:
            joined[-1] = join(joined[-1], delta)
        else:
            joined.append(delta)
    batches: list[list[AnswerEvent]] = [[started()]]
    events: list[AnswerEvent] = [*joined, finished(len(deltas))]
    for event in events:
        if data.draw(st.booleans()):
            batches.append([])
        batches[-1].append(event)
    found = blocks_of(written(batches))
    text = [("", "".join(said))] if "".join(said) else []
    assert found == text + [(f"f{index}", "".join(one)) for index, one in enumerate(calls)]
    message = whole([event for batch in batches for event in batch])
    names = [block.get("name", "") for block in message["content"]]
    assert names == [name for name, _ in found]


def test_text_behind_a_call_is_a_block_of_its_own_at_the_end() -> None:
    between = Delta((5,), "so")
    found = written(
        [[started(), CALL[0], between, CALL[1], CALL[2], Delta((6,), "!"), finished(6)]]
    )
    assert blocks_of(found) == [("look", '{"at":"sea"}'), ("wait", "{}"), ("", "so!")]
