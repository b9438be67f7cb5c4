"""Requests to the Responses API: what is taken, and what is refused by name."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from aiplat.domain.chat import Generate, Message, Sampling, ToolCall
from aiplat.domain.errors import AiplatError, InvalidRequest, UnsupportedParameter
from aiplat.http.openai_api.responses.parsing import ResponseRequest, parse_request
from aiplat.http.openai_api.responses.shapes import begun
from tests.unit.http.responses.helpers import NOW, REQUEST, exact_response

FUNCTION = {
    "type": "function",
    "name": "look",
    "description": "Looks.",
    "parameters": {"type": "object", "properties": {}},
    "strict": True,
}
OTHER = {"type": "function", "name": "take"}
CALL = {"type": "function_call", "call_id": "c1", "name": "look", "arguments": "{}"}
OUTPUT = {"type": "function_call_output", "call_id": "c1", "output": "seen"}
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}


def parse(**fields: Any) -> ResponseRequest:
    return parse_request(msgspec.json.encode({"input": "hi"} | fields), REQUEST)


def work(**fields: Any) -> Generate:
    return parse(**fields).work()


def refused(**fields: Any) -> AiplatError:
    with pytest.raises((InvalidRequest, UnsupportedParameter)) as caught:
        work(**fields)
    return caught.value


def told(**fields: Any) -> dict[str, Any]:
    """The object that an answer begins with, looked at exactly."""
    return exact_response(msgspec.json.encode(begun(parse(**fields), REQUEST, NOW)))


def test_the_least() -> None:
    asked = parse()
    assert asked.work() == Generate((Message("user", "hi"),))
    assert (asked.model, asked.store, asked.stream, asked.previous) == ("", True, False, "")


def test_who_asks_is_told_again_and_nothing_where_nobody_is_named() -> None:
    assert "user" not in told()  # OpenAI's published schema has no null there
    assert told(user="ann")["user"] == "ann"


def test_all_that_is_about_sampling() -> None:
    wanted = {"temperature": 0.5, "top_p": 0.9, "max_output_tokens": 20, "top_logprobs": 3,
              "include": ["message.output_text.logprobs"]}  # fmt: skip
    assert work(**wanted).sampling == Sampling(
        temperature=0.5, top_p=0.9, max_tokens=20, logprobs=3
    )
    assert told(**wanted)["max_output_tokens"] == 20


def test_messages_in_all_their_forms() -> None:
    found = work(
        instructions="Be kind.",
        input=[
            {"role": "developer", "content": "Be brief."},
            {"type": "message", "role": "user", "content": [
                {"type": "input_text", "text": "one"}, {"type": "input_text", "text": "two"}]},
            {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant",
             "content": [{"type": "output_text", "text": "three", "annotations": []},
                         {"type": "refusal", "refusal": "no"}]},
            {"role": "assistant", "content": "four"},
        ],
    )  # fmt: skip
    assert found.messages == (
        Message("system", "Be kind."),
        Message("system", "Be brief."),
        Message("user", "one\ntwo"),
        Message("assistant", "three\nno"),
        Message("assistant", "four"),
    )


def test_calls_and_what_came_of_them() -> None:
    found = work(
        input=[
            {"role": "user", "content": "look"}, {"role": "assistant", "content": "I do."},
            CALL, CALL | {"call_id": "c2", "name": "take"},
            OUTPUT | {"call_id": "c2", "output": [{"type": "input_text", "text": "taken"}]},
            OUTPUT, CALL | {"call_id": "c3"}, OUTPUT | {"call_id": "c3"},
        ]
    )  # fmt: skip
    assert found.messages == (
        Message("user", "look"),
        Message(
            "assistant", "I do.",
            calls=(ToolCall("c1", "look", "{}"), ToolCall("c2", "take", "{}")),
        ),
        Message("tool", "taken", call_id="c2", name="take"),
        Message("tool", "seen", call_id="c1", name="look"),
        Message("assistant", "", calls=(ToolCall("c3", "look", "{}"),)),
        Message("tool", "seen", call_id="c3", name="look"),
    )  # fmt: skip


def test_a_call_and_its_output_belong_together() -> None:
    error = refused(input=[CALL])
    assert "No tool output found for function call c1" in str(error)
    error = refused(input=[OUTPUT, CALL])
    assert "No tool call found for function call output with call_id c1" in str(error)
    assert error.param == "input"


def test_items_have_names_of_their_own_or_the_same_each_time() -> None:
    items = parse(input=[{"role": "user", "content": "a"}, CALL | {"id": "fc_9"}, OUTPUT]).items
    again = parse(input=[{"role": "user", "content": "a"}, CALL | {"id": "fc_9"}, OUTPUT]).items
    assert items == again
    assert (items[0].id[:4], items[1].id, items[2].id[:4]) == ("msg_", "fc_9", "fco_")


def test_tools() -> None:
    found = work(tools=[FUNCTION, OTHER], parallel_tool_calls=False)
    assert found.tools == (
        {name: value for name, value in FUNCTION.items() if name != "type"},
        {"name": "take"},
    )
    assert (found.tool_choice, found.tool, found.one_call) == ("auto", "", True)
    seen = told(tools=[FUNCTION, OTHER], parallel_tool_calls=False)
    assert seen["tools"] == [
        FUNCTION,
        OTHER | {"description": None, "parameters": None, "strict": False},
    ]
    assert (seen["tool_choice"], seen["parallel_tool_calls"]) == ("auto", False)


@pytest.mark.parametrize(
    ("choice", "shown", "wanted", "only"),
    [
        ("none", 2, "none", ""),
        ("required", 2, "required", ""),
        ({"type": "function", "name": "take"}, 2, "required", "take"),
        ({"type": "allowed_tools", "mode": "auto", "tools": [OTHER]}, 1, "auto", ""),
        ({"type": "allowed_tools", "mode": "required", "tools": [OTHER]}, 1, "required", ""),
    ],
)
def test_tool_choices(choice: Any, shown: int, wanted: str, only: str) -> None:
    found = work(tools=[FUNCTION, OTHER], tool_choice=choice)
    assert (len(found.tools), found.tool_choice, found.tool) == (shown, wanted, only)
    assert told(tools=[FUNCTION, OTHER], tool_choice=choice)["tool_choice"] == choice


def test_formats() -> None:
    assert work(text={"format": {"type": "text"}}).grammar is None
    assert work(text={"format": {"type": "json_object"}}).grammar == {"type": "json_object"}
    wanted = {"type": "json_schema", "name": "thing", "schema": SCHEMA, "strict": True}
    assert work(text={"format": wanted}).grammar == {"type": "json_schema", "schema": SCHEMA}
    seen = told(text={"format": wanted, "verbosity": "medium"})["text"]
    assert seen == {"format": wanted, "verbosity": "medium"}
    assert told()["text"] == {"format": {"type": "text"}, "verbosity": "medium"}


def test_what_names_somebody_is_told_again() -> None:
    labels = {"user": "u", "safety_identifier": "s", "prompt_cache_key": "k"}
    seen = told(**labels, metadata={"a": "b"}, previous_response_id="resp_1", store=False)
    assert {name: seen[name] for name in labels} == labels
    assert (seen["metadata"], seen["previous_response_id"], seen["store"]) == (
        {"a": "b"}, "resp_1", False,
    )  # fmt: skip


def test_values_that_ask_for_nothing_are_taken() -> None:
    parse(
        background=False, conversation=None, service_tier="auto", truncation="disabled",
        reasoning={"effort": "none", "summary": None}, text={"verbosity": "medium"},
        include=["reasoning.encrypted_content"], prompt_cache_retention="in_memory", tools=[],
        max_tool_calls=None, stream=True, stream_options={"include_obfuscation": False},
        some_new_field={"a": 1},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("background", True), ("conversation", "conv_1"), ("conversation", {"id": "conv_1"}),
        ("prompt", {"id": "pmpt_1"}), ("max_tool_calls", 3), ("truncation", "auto"),
        ("service_tier", "priority"), ("reasoning", {"effort": "low"}),
        ("reasoning", {"summary": "auto"}), ("text", {"verbosity": "low"}),
        ("context_management", [{"type": "compaction"}]), ("moderation", {"model": "m"}),
        ("prompt_cache_retention", "24h"), ("privacy", "machine"), ("image", {"detail": "low"}),
        ("tools", [{"type": "web_search"}]), ("tools", [{"type": "custom", "name": "x"}]),
        ("tools", [FUNCTION | {"defer_loading": True}]),
        ("tools", [FUNCTION | {"async": True}]),
        ("input", [{"type": "item_reference", "id": "msg_1"}]),
        ("input", [{"type": "reasoning", "summary": []}]),
        ("input", [{"role": "user", "content": [{"type": "input_image", "image_url": "u"}]}]),
        ("input", [{"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}]),
        ("input", [{"role": "user", "content": [{"type": "input_audio"}]}]),
        ("text", {"format": {"type": "grammar"}}),
        ("messages", [{"role": "user", "content": "hi"}]), ("max_tokens", 3), ("seed", 7),
        ("stop", ["x"]), ("n", 2), ("response_format", {"type": "json_object"}),
        ("logprobs", True), ("reasoning_effort", "low"),
    ],
)  # fmt: skip
def test_what_is_known_and_not_here_is_refused_by_name(field: str, value: Any) -> None:
    error = refused(**{field: value})
    assert isinstance(error, UnsupportedParameter)
    assert (error.param or "").startswith(field) and field in str(error)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": None}, "input"), ({"input": []}, "input"), ({"input": 3}, "input"),
        ({"input": [3]}, "input[0]"), ({"input": [{}]}, "input[0].type"),
        ({"input": [{"role": "tool", "content": "x"}]}, "input[0].role"),
        ({"input": [{"role": ["user"], "content": "x"}]}, "input[0].role"),
        ({"input": [{"role": "user"}]}, "input[0].content"),
        ({"input": [{"role": "user", "content": []}]}, "input[0].content"),
        ({"input": [{"role": "user", "content": [{}]}]}, "input[0].content[0].type"),
        ({"input": [{"role": "user", "content": [{"type": "input_text"}]}]},
         "input[0].content[0].text"),
        ({"input": [{"role": "user", "content": "x", "id": ""}]}, "input[0].id"),
        ({"input": [{"role": "user", "content": "x"}] * 4097}, "input"),
        ({"input": [CALL | {"call_id": ""}]}, "input[0].call_id"),
        ({"input": [CALL | {"arguments": {}}]}, "input[0].arguments"),
        ({"input": [CALL | {"name": "a b"}]}, "input[0].name"),
        ({"input": [CALL, OUTPUT | {"output": 3}]}, "input[1].output"),
        ({"instructions": 3}, "instructions"), ({"model": 3}, "model"),
        ({"store": "yes"}, "store"), ({"stream": 1}, "stream"),
        ({"stream_options": {}}, "stream_options"),
        ({"previous_response_id": ""}, "previous_response_id"),
        ({"previous_response_id": "x" * 300}, "previous_response_id"),
        ({"max_output_tokens": 0}, "max_output_tokens"), ({"temperature": 3}, "temperature"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"top_logprobs": 21, "include": ["message.output_text.logprobs"]}, "top_logprobs"),
        ({"include": ["everything"]}, "include[0]"), ({"include": [[]]}, "include[0]"),
        ({"metadata": {"a": 1}}, "metadata.a"), ({"user": "x" * 2000}, "user"),
        ({"tools": [OTHER, OTHER]}, "tools[1]"), ({"tools": [{"type": "function"}]},
                                                  "tools[0].name"),
        ({"tool_choice": "required"}, "tool_choice"), ({"tool_choice": 3}, "tool_choice"),
        ({"tool_choice": {"type": "function", "name": "no"}, "tools": [OTHER]},
         "tool_choice.name"),
        ({"tool_choice": {"type": "allowed_tools", "mode": "some", "tools": [OTHER]},
          "tools": [OTHER]}, "tool_choice.mode"),
        ({"text": {"format": {"type": "json_schema", "name": "x"}}}, "text.format.schema"),
        ({"text": {"format": {"type": "json_schema", "schema": SCHEMA}}}, "text.format.name"),
        ({"text": {"format": {}}}, "text.format.type"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(fields: dict[str, Any], param: str) -> None:
    error = refused(**fields)
    assert not isinstance(error, UnsupportedParameter)
    assert error.param == param


def test_to_go_on_needs_no_input() -> None:
    assert parse(input=None, previous_response_id="resp_1").items == ()
