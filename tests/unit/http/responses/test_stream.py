"""The stream of the Responses API: which events, in which order, of the client's exact types."""

from __future__ import annotations

import msgspec
import pytest

from aiplat.domain.answers import (
    CallPiece,
    Delta,
    Failed,
    Finished,
    Logprobs,
    Queued,
    TokenLogprob,
)
from aiplat.domain.errors import NoProcessor, ProcessorLost, RateLimited
from aiplat.domain.usage import Usage
from tests.support.fake_node import finished, started
from tests.unit.http.responses.helpers import NOW, RESPONSE, Streamed, exact_response

MESSAGE = ["output_item.added", "content_part.added", "output_text.delta", "output_text.done",
           "content_part.done", "output_item.done"]  # fmt: skip
CALL = ["output_item.added", "function_call_arguments.delta", "function_call_arguments.done",
        "output_item.done"]  # fmt: skip
TOOLS = [{"type": "function", "name": "look", "parameters": {"type": "object"}}]


def call(index: int, *arguments: str, name: str = "look") -> Delta:
    first, *rest = arguments
    pieces = [CallPiece(index, name, first), *(CallPiece(index, "", one) for one in rest)]
    return Delta((1,), calls=tuple(pieces))


def plain(response: object) -> object:
    return msgspec.json.decode(msgspec.json.encode(response))


def test_a_text_that_comes_at_once() -> None:
    told = Streamed().feed([Queued(), started(), Delta((1,), "a"), Delta((2,), "b"), finished(2)])
    assert told.types == ["created", "in_progress", *MESSAGE, "completed"]
    assert told.events[4]["delta"] == "ab"
    assert told.stream.complete and told.stream.attempts == 1


def test_a_text_that_comes_token_by_token() -> None:
    told = Streamed().feed(
        [Queued()], [started()], [Delta((1,), "a")], [Delta((2,))], [Delta((3,), "b")],
        [finished(3)],
    )  # fmt: skip
    deltas = [event for event in told.events if event["type"] == "response.output_text.delta"]
    assert [event["delta"] for event in deltas] == ["a", "b"]
    assert {event["item_id"] for event in deltas} == {told.events[2]["item"]["id"]}
    assert told.events[-1]["response"]["output"][0]["content"][0]["text"] == "ab"


def test_what_the_first_and_the_last_event_say() -> None:
    told = Streamed(instructions="be short", metadata={"a": "b"}, temperature=0.5).feed(
        [started(), Delta((1,), "a"), finished(1)]
    )
    first, last = told.events[0]["response"], told.events[-1]["response"]
    assert first["id"] == last["id"] == RESPONSE
    assert (first["status"], first["output"], first["usage"]) == ("in_progress", [], None)
    assert (first["completed_at"], last["completed_at"]) == (None, NOW + 5)
    assert first["model"] == "echo", "the one that answers, and not the one that was asked"
    assert last["status"] == "completed"
    assert last["usage"] == {
        "input_tokens": 5,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": 1,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 6,
    }
    same = first.keys() - {"status", "output", "usage", "completed_at"}
    assert {name: first[name] for name in same} == {name: last[name] for name in same}
    assert (first["instructions"], first["metadata"]) == ("be short", {"a": "b"})


def test_a_call_alone() -> None:
    told = Streamed(tools=TOOLS).feed([started(), call(0, '{"a"', ":1}"), finished(2)])
    assert told.types == ["created", "in_progress", *CALL, "completed"]
    (item,) = told.events[-1]["response"]["output"]
    assert (item["name"], item["arguments"], item["status"]) == ("look", '{"a":1}', "completed")
    assert item["id"].startswith("fc_") and item["call_id"].startswith("call_")
    assert told.events[2]["item"]["arguments"] == "", "they come as deltas"
    assert told.events[4] == {
        "type": "response.function_call_arguments.done", "sequence_number": 4, "output_index": 0,
        "item_id": item["id"], "name": "look", "arguments": '{"a":1}',
    }  # fmt: skip


def test_a_call_without_arguments_has_no_delta() -> None:
    told = Streamed(tools=TOOLS).feed([started(), call(0, ""), finished(2)])
    assert told.types == [
        "created", "in_progress", "output_item.added", "function_call_arguments.done",
        "output_item.done", "completed",
    ]  # fmt: skip


def test_text_then_two_calls_then_text() -> None:
    told = Streamed(tools=TOOLS).feed(
        [started(), Delta((1,), "so:"), call(0, "{}")], [call(1, "{"), call(1, "}", name="")],
        [Delta((5,), "done"), finished(5)],
    )  # fmt: skip
    assert told.types == ["created", "in_progress", *MESSAGE, *CALL, *CALL, *MESSAGE, "completed"]
    output = told.events[-1]["response"]["output"]
    assert [item["type"] for item in output] == [
        "message", "function_call", "function_call", "message",
    ]  # fmt: skip
    assert len({item["id"] for item in output}) == 4
    assert output[1]["call_id"] != output[2]["call_id"]
    assert [event["output_index"] for event in told.events if "output_index" in event] == (
        [0] * 6 + [1] * 4 + [2] * 4 + [3] * 6
    )


def test_an_answer_of_nothing_is_an_empty_message() -> None:
    told = Streamed().feed([started(), finished(0)])
    assert told.types == [
        "created", "in_progress", "output_item.added", "content_part.added", "output_text.done",
        "content_part.done", "output_item.done", "completed",
    ]  # fmt: skip
    assert told.events[-1]["response"]["output"][0]["content"][0]["text"] == ""


def test_an_answer_that_is_cut() -> None:
    told = Streamed(max_output_tokens=1).feed(
        [started(), Delta((1,), "a"), Finished("length", Usage(5, 1))]
    )
    assert told.types[-1] == "incomplete"
    last = told.events[-1]["response"]
    assert (last["status"], last["incomplete_details"]) == (
        "incomplete", {"reason": "max_output_tokens"},
    )  # fmt: skip
    assert last["output"][0]["status"] == "incomplete"
    assert told.events[-2]["item"]["status"] == "incomplete"
    assert (last["max_output_tokens"], last["completed_at"]) == (1, None)


def token(text: str, logprob: float = -0.5) -> Logprobs:
    return Logprobs((TokenLogprob(1, text, logprob),), ((TokenLogprob(2, "x", -2.0),),))


def test_log_probabilities_come_with_the_text_of_their_tokens() -> None:
    wanted = {"include": ["message.output_text.logprobs"], "top_logprobs": 1}
    told = Streamed(**wanted).feed(
        [started(), Delta((1,), "", token("a"))], [Delta((2,), "ab", token("b"))],
        [Delta((3,), "", token("c"))], [Delta((), "c"), finished(3)],
    )  # fmt: skip
    deltas = [event for event in told.events if event["type"] == "response.output_text.delta"]
    names = [[one["token"] for one in event["logprobs"]] for event in deltas]
    assert names == [["a", "b"], ["c"]]
    part = told.events[-1]["response"]["output"][0]["content"][0]
    assert [one["token"] for one in part["logprobs"]] == ["a", "b", "c"]
    assert part["logprobs"][0]["top_logprobs"] == [{"token": "x", "logprob": -2.0, "bytes": [120]}]
    assert told.events[-1]["response"]["top_logprobs"] == 1


def test_log_probabilities_of_a_call_are_not_those_of_text() -> None:
    told = Streamed(tools=TOOLS).feed(
        [started(), Delta((1,), "a", token("a")), Delta((2,), "", token("<call>"))],
        [call(0, "{}"), Delta((3,), "b", token("b")), finished(3)],
    )  # fmt: skip
    first, _, second = told.events[-1]["response"]["output"]
    assert [one["token"] for one in first["content"][0]["logprobs"]] == ["a"]
    assert [one["token"] for one in second["content"][0]["logprobs"]] == ["b"]


def test_a_failure_before_anything_was_said_has_no_answer() -> None:
    told = Streamed().feed([Queued(), started(), Failed.of(NoProcessor("Nobody is there."))])
    assert (told.data, told.kept) == (b"", [])
    assert isinstance(told.stream.failed, NoProcessor)
    told.data += told.stream.fail(told.stream.failed)  # as when a comment was sent before
    assert told.events == [{
        "type": "error", "code": "no_processor", "message": "Nobody is there.", "param": None,
        "sequence_number": 0,
    }]  # fmt: skip
    assert told.kept == [], "nobody knows its id"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ProcessorLost("It left."), "server_error"),
        (RateLimited("Too much."), "rate_limit_exceeded"),
        (ZeroDivisionError("a secret"), "server_error"),
    ],
)
def test_a_failure_amid_the_text_is_told_by_the_answer(error: Exception, code: str) -> None:
    told = Streamed().feed([started(), Delta((1,), "half")])
    told.data += told.stream.fail(error)
    assert told.types == ["created", "in_progress", *MESSAGE[:3], "failed"]
    last = told.events[-1]["response"]
    assert (last["status"], last["error"]["code"]) == ("failed", code)
    assert "secret" not in last["error"]["message"]
    assert last["output"][0]["content"][0]["text"] == "half"
    assert last["output"][0]["status"] == "incomplete"


def test_what_came_with_a_failure_is_told_before_it() -> None:
    told = Streamed().feed([started(), Delta((1,), "half"), Failed.of(ProcessorLost("It left."))])
    assert told.types == ["created", "in_progress", *MESSAGE[:3]]
    assert isinstance(told.stream.failed, ProcessorLost)
    assert told.stream.feed([Delta((2,), "more")]) == b""


def test_a_cancelled_answer_is_a_failure_for_who_still_reads() -> None:
    told = Streamed().feed([started(), Delta((1,), "a"), Finished("cancelled", Usage(5, 1))])
    assert told.stream.failed is not None and not told.stream.complete


def test_it_is_kept_before_it_is_told() -> None:
    told = Streamed()
    told.feed([Queued()], [started()])
    assert told.kept == []
    told.feed([Delta((1,), "a")])
    assert [one.status for one in told.kept] == ["in_progress"]
    told.feed([Delta((2,), "b"), finished(2)])
    assert [one.status for one in told.kept] == ["in_progress", "completed"]
    assert plain(told.kept[0]) == told.events[0]["response"]
    assert plain(told.kept[1]) == told.events[-1]["response"]
    told.stream.leave()
    assert len(told.kept) == 2


def test_one_whose_reader_left_is_kept_as_cancelled() -> None:
    told = Streamed(tools=TOOLS).feed([started(), Delta((1,), "a"), call(0, '{"ha')])
    told.stream.leave()
    told.stream.leave()
    first, last = told.kept
    assert (first.status, last.status) == ("in_progress", "cancelled")
    body = exact_response(msgspec.json.encode(last))
    assert [item["status"] for item in body["output"]] == ["completed", "incomplete"]
    assert body["output"][1]["arguments"] == '{"ha'


def test_a_comment_says_how_it_waits() -> None:
    told = Streamed()
    assert told.stream.comment() == b": waiting\n\n"
    told.feed([Queued(place=3, reason="<a peer's words>")])
    assert told.stream.comment() == b": queued, 3 before it\n\n"
    told.feed([started()])
    assert told.stream.comment() == b": working\n\n"
