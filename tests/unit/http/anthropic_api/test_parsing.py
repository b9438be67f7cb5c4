"""A request of Anthropic's: what is taken, and with which words the rest is refused."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from aiplat.domain.chat import Generate, Message, Sampling, ToolCall
from aiplat.domain.errors import AiplatError, UnsupportedParameter
from aiplat.http.anthropic_api import conversation
from aiplat.http.anthropic_api.parsing import MessagesRequest, parse_count, parse_message

USER = {"role": "user", "content": "hi"}
SCHEMA = {"type": "object", "properties": {}}
TOOL = {"name": "look", "input_schema": SCHEMA}
USE = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"at": "sea"}}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "blue"}


def parse(**fields: Any) -> MessagesRequest:
    body = {"model": "echo", "max_tokens": 7, "messages": [USER], **fields}
    return parse_message(msgspec.json.encode(body))


def refused(**fields: Any) -> AiplatError:
    with pytest.raises(AiplatError) as caught:
        parse(**fields)
    return caught.value


def said(*messages: Any, **fields: Any) -> tuple[Message, ...]:
    return parse(messages=list(messages), **fields).work.messages


def test_many_blocks_of_one_side_are_joined_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a body of thousands would hold the loop up: each would be copied with all before it."""
    joined: list[Message] = []

    def replace(message: Message, **fields: Any) -> Message:
        joined.append(message)
        return msgspec.structs.replace(message, **fields)

    monkeypatch.setattr(conversation, "replace", replace)
    lines = [{"type": "text", "text": line} for line in ("a", "", "b", "c")]
    asked = {"role": "user", "content": lines}
    (message,) = said(asked, {"role": "user", "content": "d"})
    assert message == Message("user", "a\nb\nc\nd")
    assert len(joined) == 1


def test_the_least_request() -> None:
    asked = parse()
    assert asked.work == Generate((Message("user", "hi"),), Sampling(max_tokens=7))
    assert (asked.model, asked.stream) == ("echo", False)


def test_all_that_sampling_has() -> None:
    asked = parse(temperature=1, top_p=0.5, top_k=3, stop_sequences=["a", "b"], stream=True)
    assert asked.work.sampling == Sampling(
        temperature=1.0, top_p=0.5, top_k=3, max_tokens=7, stop=("a", "b")
    )
    assert asked.stream


def test_blocks_of_text_and_what_follows_from_one_side_are_one_message() -> None:
    marked = {"type": "text", "text": "b", "cache_control": {"type": "ephemeral"}}
    system = [{"type": "text", "text": "s"}, {"type": "text", "text": "t"}]
    found = said(
        {"role": "user", "content": [{"type": "text", "text": "a"}, marked]},
        {"role": "user", "content": "c"},
        system=system,
    )
    assert found == (Message("system", "s\nt"), Message("user", "a\nb\nc"))


def test_calls_and_results_keep_their_order() -> None:
    found = said(
        USER,
        {"role": "assistant", "content": [{"type": "text", "text": "hm"}, USE]},
        {"role": "user", "content": [RESULT, {"type": "text", "text": "and?"}]},
        tools=[TOOL],
    )
    assert found[1:] == (
        Message("assistant", "hm", calls=(ToolCall("toolu_1", "look", '{"at":"sea"}'),)),
        Message("tool", "blue", call_id="toolu_1", name="look"),
        Message("user", "and?"),
    )


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (None, ""),
        ([], ""),
        ([{"type": "text", "text": "x"}, {"type": "text", "text": "y"}], "x\ny"),
    ],
)
def test_the_content_of_a_result(content: Any, text: str) -> None:
    turns = ({"role": "assistant", "content": [USE]},)
    result = {**RESULT, "content": content}
    assert said(USER, *turns, {"role": "user", "content": [result]})[-1].content == text
    failed = {**result, "is_error": True}
    assert said(USER, *turns, {"role": "user", "content": [failed]})[-1].content == f"Error: {text}"


def test_thoughts_of_earlier_answers_are_left_out() -> None:
    thought = {"type": "thinking", "thinking": "hm", "signature": "x"}
    found = said(
        USER, {"role": "assistant", "content": [thought, {"type": "text", "text": "yes"}]}, USER
    )
    assert found[1] == Message("assistant", "yes")


@pytest.mark.parametrize(
    ("choice", "found"),
    [
        (None, ("auto", "", False)),
        ({"type": "auto"}, ("auto", "", False)),
        ({"type": "none"}, ("none", "", False)),
        ({"type": "any", "disable_parallel_tool_use": True}, ("required", "", True)),
        ({"type": "tool", "name": "look"}, ("required", "look", False)),
    ],
)
def test_the_choice_of_a_tool(choice: Any, found: tuple[str, str, bool]) -> None:
    work = parse(tools=[TOOL], tool_choice=choice).work
    assert (work.tool_choice, work.tool, work.one_call) == found
    assert work.tools == ({"name": "look", "parameters": SCHEMA},)


def test_the_form_of_an_answer() -> None:
    wanted = {"type": "json_schema", "schema": SCHEMA}
    for fields in ({"output_config": {"format": wanted}}, {"output_format": wanted}):
        assert parse(**fields).work.grammar == wanted
    assert refused(output_format={"type": "xml"}).param == "output_format.type"


def test_a_count_needs_no_bound_of_an_answer() -> None:
    body = {"model": "echo", "messages": [USER], "tools": [TOOL], "system": "s"}
    work = parse_count(msgspec.json.encode(body)).work
    assert work.only_count
    assert work.sampling == Sampling(max_tokens=1)


@pytest.mark.parametrize(
    "fields",
    [
        {"thinking": {"type": "disabled"}}, {"thinking": {"type": "adaptive"}},
        {"service_tier": "standard_only"}, {"metadata": {"user_id": "u"}}, {"container": None},
        {"context_management": {"edits": []}}, {"speed": "standard"}, {"mcp_servers": []},
        {"cache_control": {"type": "ephemeral"}}, {"what_nobody_knows": 1},
        {"output_config": {"effort": "high"}}, {"tools": [{**TOOL, "type": "custom"}]},
        {"tools": [{**TOOL, "cache_control": {"type": "ephemeral"}, "strict": True}]},
    ],
)  # fmt: skip
def test_what_asks_for_nothing_more_is_taken(fields: dict[str, Any]) -> None:
    parse(**fields)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, "thinking"),
        ({"container": "c"}, "container"),
        ({"context_management": {"edits": [{"type": "x"}]}}, "context_management"),
        ({"mcp_servers": [{}]}, "mcp_servers"),
        ({"speed": "fast"}, "speed"),
        ({"inference_geo": "eu"}, "inference_geo"),
        ({"privacy": "machine"}, "privacy"),
        ({"output_config": {"effort": "low"}}, "output_config.effort"),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools[0].type"),
        ({"tools": [{**TOOL, "defer_loading": True}]}, "tools[0].defer_loading"),
        ({"messages": [USER, {"role": "assistant", "content": "Th"}]}, "messages"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image", "source": {}}]}]},
            "messages[0].content[0].type",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "document"}]}]},
            "messages[0].content[0].type",
        ),
        (
            {
                "messages": [
                    USER, {"role": "assistant", "content": [USE]},
                    {"role": "user", "content": [{**RESULT, "content": [{"type": "image"}]}]},
                ]
            },
            "messages[2].content[0].content[0].type",
        ),
    ],
)  # fmt: skip
def test_what_is_out_of_reach_is_refused_by_name(fields: dict[str, Any], param: str) -> None:
    error = refused(**fields)
    assert isinstance(error, UnsupportedParameter)
    assert error.param == param


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": None}, "model"),
        ({"max_tokens": None}, "max_tokens"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"temperature": 1.5}, "temperature"),
        ({"top_p": 2}, "top_p"),
        ({"top_k": -1}, "top_k"),
        ({"stop_sequences": [""]}, "stop_sequences"),
        ({"stop_sequences": ["x"] * 17}, "stop_sequences"),
        ({"stop_sequences": [1]}, "stop_sequences[0]"),
        ({"messages": []}, "messages"),
        ({"messages": [1]}, "messages[0]"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": []}]}, "messages[0].content"),
        (
            {"messages": [{"role": "user", "content": [RESULT]}]},
            "messages[0].content[0].tool_use_id",
        ),
        ({"system": 1}, "system"),
        ({"service_tier": "gold"}, "service_tier"),
        ({"metadata": {"user_id": "u" * 1025}}, "metadata.user_id"),
        ({"tools": [{"name": "look"}]}, "tools[0].input_schema"),
        ({"tools": [{"name": "a b", "input_schema": {}}]}, "tools[0].name"),
        ({"tools": [TOOL, TOOL]}, "tools[1]"),
        ({"tool_choice": {"type": "any"}}, "tool_choice"),
        ({"tools": [TOOL], "tool_choice": {"type": "x"}}, "tool_choice.type"),
        ({"tools": [TOOL], "tool_choice": {"type": "tool", "name": "y"}}, "tool_choice.name"),
    ],
)
def test_what_is_wrong_is_named(fields: dict[str, Any], param: str) -> None:
    assert refused(**fields).param == param
