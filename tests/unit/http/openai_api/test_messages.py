"""The messages of a chat request: whose they are, what they say, and what they answer."""

from __future__ import annotations

from typing import Any

import pytest

from aiplat.domain.chat import Message, ToolCall
from aiplat.domain.errors import UnsupportedParameter
from aiplat.http.openai_api.messages import parse_messages
from aiplat.http.reading import Fields
from tests.unit.http.openai_api.wrong import check_words, refusal

USER = {"role": "user", "content": "hi"}
CALL = {"id": "call_1", "type": "function", "function": {"name": "time", "arguments": "{}"}}
CALLED = {"role": "assistant", "content": None, "tool_calls": [CALL]}


def parse(*messages: Any) -> tuple[Message, ...]:
    return parse_messages(Fields({"messages": list(messages)}))


def test_developers_are_the_system_and_parts_are_joined() -> None:
    parts = [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]
    found = parse({"role": "developer", "content": "be"}, {**USER, "content": parts})
    assert found == (Message("system", "be"), Message("user", "one\ntwo"))


def test_a_name_is_taken() -> None:
    assert parse({**USER, "name": "ann"}) == (Message("user", "hi"),)


def test_an_answer_of_ours_can_be_sent_back_as_clients_do() -> None:
    said: dict[str, Any] = {
        "role": "assistant", "content": "hi", "refusal": None, "annotations": [], "audio": None,
        "function_call": None, "tool_calls": None,
    }  # fmt: skip
    assert parse(USER, said, USER)[1] == Message("assistant", "hi")


def test_refusals_are_what_the_assistant_said() -> None:
    part = {"type": "refusal", "refusal": "No."}
    assert parse({"role": "assistant", "content": [part]})[0].content == "No."
    assert parse({"role": "assistant", "refusal": "No."})[0].content == "No."
    both = {"role": "assistant", "content": "Well.", "refusal": "No."}
    assert parse(both)[0].content == "Well.\nNo."


def test_calls_and_what_tools_said() -> None:
    found = parse(USER, CALLED, {"role": "tool", "tool_call_id": "call_1", "content": "noon"})
    assert found[1:] == (
        Message("assistant", "", calls=(ToolCall("call_1", "time", "{}"),)),
        Message("tool", "noon", call_id="call_1", name="time"),
    )


def test_a_call_beside_text_and_a_tool_that_says_it_in_parts() -> None:
    parts = [{"type": "text", "text": "no"}, {"type": "text", "text": "on"}]
    found = parse(
        {**CALLED, "content": "Let me see."},
        {"role": "tool", "tool_call_id": "call_1", "content": parts},
    )
    assert found[0].content == "Let me see."
    assert found[1].content == "no\non"


def test_functions_as_they_were_before_there_were_tools() -> None:
    def called(name: str) -> dict[str, Any]:
        return {"role": "assistant", "function_call": {"name": name, "arguments": "{}"}}

    found = parse(
        called("time"), {"role": "function", "name": "time", "content": "noon"},
        called("time"), {"role": "function", "name": "time", "content": None},
    )  # fmt: skip
    assert found == (
        Message("assistant", "", calls=(ToolCall("call_1", "time", "{}"),)),
        Message("tool", "noon", call_id="call_1", name="time"),
        Message("assistant", "", calls=(ToolCall("call_2", "time", "{}"),)),
        Message("tool", "", call_id="call_2", name="time"),
    )


@pytest.mark.parametrize(
    ("messages", "param", "words"),
    [
        ([{"role": "cat", "content": ""}], "messages[0].role", ["'cat'"]),
        ([{"role": []}], "messages[0].role", ["a string"]),
        ([{**USER, "name": 5}], "messages[0].name", ["a string", "5"]),
        ([{"role": "user", "content": None}], "messages[0].content", ["null"]),
        ([{"role": "assistant"}], "messages[0].content", ["no calls"]),
        ([{"role": "assistant", "tool_calls": []}], "messages[0].content", ["no calls"]),
        ([{"role": "assistant", "content": 5}], "messages[0].content", ["5"]),
        ([{"role": "assistant", "refusal": 5}], "messages[0].refusal", ["a string"]),
        ([{"role": "user", "content": [5]}], "messages[0].content[0]", ["an object"]),
        ([{"role": "user", "content": [{}]}], "messages[0].content[0].type", ["'text'"]),
        ([{**CALLED, "tool_calls": [5]}], "messages[0].tool_calls[0]", ["an object"]),
        ([{"role": "tool", "content": "x"}], "messages[0].tool_call_id", ["id", "null"]),
        (
            [USER, {"role": "tool", "content": "x", "tool_call_id": "call_9"}],
            "messages[1].tool_call_id", ["'call_9'", "no earlier message"],
        ),
        (
            [CALLED, {"role": "tool", "tool_call_id": "call_1"}],
            "messages[1].content", ["a string", "null"],
        ),
        ([{"role": "function", "content": "x"}], "messages[0].name", ["null"]),
        (
            [{"role": "function", "name": "f", "content": "x"}],
            "messages[0].name", ["'f'", "no earlier message"],
        ),
        (
            [{"role": "assistant", "function_call": {"name": "f"}}],
            "messages[0].function_call.arguments", ["JSON"],
        ),
    ],
)  # fmt: skip
def test_what_is_wrong(messages: list[Any], param: str, words: list[str]) -> None:
    check_words(refusal(parse_messages, {"messages": messages}), param, words)


@pytest.mark.parametrize(
    ("message", "param"),
    [
        ({"content": [{"type": "image_url", "image_url": {"url": "x"}}]}, "content[0].type"),
        ({"content": [{"type": "input_audio"}]}, "content[0].type"),
        ({"content": [{"type": "file"}]}, "content[0].type"),
        ({"content": [{"type": "refusal", "refusal": "x"}]}, "content[0].type"),
        ({"content": "x", "tool_calls": [CALL]}, "tool_calls"),
        ({"content": "x", "tool_call_id": "call_1"}, "tool_call_id"),
        ({"role": "assistant", "audio": {"id": "x"}}, "audio"),
    ],
)
def test_pictures_sounds_and_what_is_no_business_of_the_speaker(
    message: dict[str, Any], param: str
) -> None:
    error = refusal(parse_messages, {"messages": [{"role": "user", **message}]})
    assert isinstance(error, UnsupportedParameter)
    assert error.param == f"messages[0].{param}"
