"""Tools of a request, which may be called, and the calls that were made before."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from aiplat.domain.chat import ToolCall
from aiplat.domain.errors import AiplatError, UnsupportedParameter
from aiplat.http.openai_api.schemas import MAX_SCHEMA_BYTES, MAX_SCHEMA_DEPTH
from aiplat.http.openai_api.tools import Tooling, parse_calls, parse_tooling
from aiplat.http.reading import Fields
from tests.unit.http.openai_api.wrong import check_words, refusal

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = {"name": "weather", "description": "Of a city.", "parameters": SCHEMA}
TIME = {"name": "time"}


def tool(function: object) -> dict[str, Any]:
    return {"type": "function", "function": function}


TOOLS = [tool(WEATHER), tool(TIME)]


def parse(**fields: Any) -> Tooling:
    return parse_tooling(Fields(fields))


def refused(**fields: Any) -> AiplatError:
    return refusal(parse_tooling, fields)


def nested(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for _ in range(depth - 1):
        schema = {"items": schema}
    return schema


def test_tools_as_they_are_handed_on() -> None:
    assert parse(tools=TOOLS).tools == (WEATHER, TIME)
    assert parse() == parse(tools=None) == parse(tools=[]) == Tooling()
    strict = {**WEATHER, "strict": True}
    assert parse(tools=[tool({**strict, "something": "new"})]).tools == (strict,)
    plain = {"name": "f", "description": None, "parameters": None, "strict": False}
    assert parse(tools=[tool(plain)]).tools == ({"name": "f"},)


@pytest.mark.parametrize(
    ("choice", "found"),
    [
        (None, ("auto", "", 2)),
        ("none", ("none", "", 2)),
        ("auto", ("auto", "", 2)),
        ("required", ("required", "", 2)),
        (tool({"name": "time"}), ("required", "time", 2)),
        (
            {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [tool(TIME)]}},
            ("auto", "", 1),
        ),
        (
            {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": TOOLS}},
            ("required", "", 2),
        ),
    ],
)
def test_which_may_be_called(choice: object, found: tuple[str, str, int]) -> None:
    tooling = parse(tools=TOOLS, tool_choice=choice)
    assert (tooling.choice, tooling.tool, len(tooling.tools)) == found


def test_one_call_alone() -> None:
    assert parse(tools=TOOLS, parallel_tool_calls=False).one_call
    assert not parse(tools=TOOLS, parallel_tool_calls=True).one_call
    assert not parse(parallel_tool_calls=False).one_call


def test_functions_as_they_were_before_there_were_tools() -> None:
    tooling = parse(functions=[WEATHER, TIME], function_call={"name": "time"})
    assert tooling == Tooling(
        tools=(WEATHER, TIME), choice="required", tool="time", one_call=True, is_old=True
    )
    assert parse(functions=[TIME], function_call="none").choice == "none"
    assert parse(functions=[TIME]).choice == "auto"
    assert not parse(functions=[], function_call="auto").is_old


@pytest.mark.parametrize(
    ("fields", "param", "words"),
    [
        ({"tools": {}}, "tools", ["an array"]),
        ({"tools": [5]}, "tools[0]", ["an object", "5"]),
        ({"tools": [{}]}, "tools[0].type", ["'function'"]),
        ({"tools": [{"type": "function"}]}, "tools[0].function", ["an object", "null"]),
        ({"tools": [tool({})]}, "tools[0].function.name", ["1 to 64", "null"]),
        ({"tools": [tool({"name": ""})]}, "tools[0].function.name", ["1 to 64"]),
        ({"tools": [tool({"name": "a b"})]}, "tools[0].function.name", ["letters", "'a b'"]),
        ({"tools": [tool({"name": "é"})]}, "tools[0].function.name", ["letters"]),
        ({"tools": [tool({"name": "f\n"})]}, "tools[0].function.name", ["letters"]),
        ({"tools": [tool({"name": "x" * 65})]}, "tools[0].function.name", ["1 to 64"]),
        (
            {"tools": [tool({"name": "f", "description": 1})]},
            "tools[0].function.description", ["a string"],
        ),
        (
            {"tools": [tool({"name": "f", "strict": "yes"})]},
            "tools[0].function.strict", ["true or false"],
        ),
        (
            {"tools": [tool({"name": "f", "parameters": []})]},
            "tools[0].function.parameters", ["a JSON Schema"],
        ),
        (
            {"tools": [tool({"name": "f", "parameters": nested(MAX_SCHEMA_DEPTH + 1)})]},
            "tools[0].function.parameters", ["64 deep"],
        ),
        (
            {"tools": [tool({"name": "f", "parameters": {"title": "x" * MAX_SCHEMA_BYTES}})]},
            "tools[0].function.parameters", [f"{MAX_SCHEMA_BYTES}"],
        ),
        ({"tools": [tool(TIME), tool(TIME)]}, "tools[1]", ["'time'", "as another"]),
        ({"tools": [tool(TIME)] * 129}, "tools", ["128", "129"]),
        ({"tool_choice": "required"}, "tool_choice", ["no tools"]),
        ({"tools": TOOLS, "tool_choice": "any"}, "tool_choice", ["'any'"]),
        ({"tools": TOOLS, "tool_choice": 5}, "tool_choice", ["5"]),
        ({"tools": TOOLS, "tool_choice": {}}, "tool_choice.type", ["'function'"]),
        (
            {"tools": TOOLS, "tool_choice": tool({"name": "date"})},
            "tool_choice.function.name", ["'date'", "none of the tools"],
        ),
        ({"tool_choice": tool(TIME)}, "tool_choice.function.name", ["none of the tools"]),
        (
            {"tools": TOOLS, "tool_choice": {"type": "allowed_tools", "allowed_tools": {}}},
            "tool_choice.allowed_tools.mode", ["'auto'"],
        ),
        (
            {
                "tools": TOOLS,
                "tool_choice": {
                    "type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": []},
                },
            },
            "tool_choice.allowed_tools.tools", ["at least one"],
        ),
        ({"parallel_tool_calls": "no", "tools": TOOLS}, "parallel_tool_calls", ["true or false"]),
        ({"functions": [WEATHER], "tools": TOOLS}, "functions", ["tools alone"]),
        ({"functions": [{}]}, "functions[0].name", ["1 to 64"]),
        ({"functions": [TIME, TIME]}, "functions[1]", ["as another"]),
        ({"functions": [TIME] * 129}, "functions", ["128", "129"]),
        ({"function_call": {"name": "time"}}, "function_call", ["functions are given"]),
        ({"functions": [TIME], "function_call": "must"}, "function_call", ["'must'"]),
        ({"functions": [TIME], "function_call": {"name": "x"}}, "function_call.name", ["none of"]),
        ({"functions": [TIME], "tool_choice": "required"}, "tool_choice", ["tools are given"]),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_value_and_bound(
    fields: dict[str, Any], param: str, words: list[str]
) -> None:
    check_words(refused(**fields), param, [param, *words])


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": [{"type": "custom", "custom": {"name": "x"}}]}, "tools[0].type"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"tools": TOOLS, "tool_choice": {"type": "custom", "custom": {}}}, "tool_choice.type"),
    ],
)
def test_other_kinds_of_tools_are_refused_by_name(fields: dict[str, Any], param: str) -> None:
    error = refused(**fields)
    assert isinstance(error, UnsupportedParameter)
    assert error.param == param


def test_a_schema_may_be_as_deep_as_its_bound() -> None:
    deepest = nested(MAX_SCHEMA_DEPTH)
    (found,) = parse(tools=[tool({"name": "f", "parameters": deepest})]).tools
    assert found["parameters"] == deepest


# -- calls that were made before ---------------------------------------------------------------


def call(**fields: Any) -> dict[str, Any]:
    function = {"name": "time", "arguments": "{}"}
    return {"id": "call_1", "type": "function", "function": function, **fields}


def test_calls_of_an_assistant() -> None:
    found = parse_calls(Fields({"tool_calls": [call(), call(id="call_2")]}))
    assert found == (ToolCall("call_1", "time", "{}"), ToolCall("call_2", "time", "{}"))
    assert parse_calls(Fields({})) == parse_calls(Fields({"tool_calls": []})) == ()
    broken = {"name": "time", "arguments": '{"of": '}  # a model may have written it so
    assert parse_calls(Fields({"tool_calls": [call(function=broken)]}))[0].arguments == '{"of": '


@pytest.mark.parametrize(
    ("calls", "param", "words"),
    [
        ("x", "tool_calls", ["an array"]),
        ([None], "tool_calls[0]", ["an object", "null"]),
        ([call(type=None)], "tool_calls[0].type", ["'function'"]),
        ([call(id=None)], "tool_calls[0].id", ["id", "null"]),
        ([call(id="")], "tool_calls[0].id", ["256"]),
        ([call(id="x" * 257)], "tool_calls[0].id", ["256"]),
        ([call(function=None)], "tool_calls[0].function", ["an object"]),
        ([call(function={"name": "f"})], "tool_calls[0].function.arguments", ["JSON", "null"]),
        (
            [call(function={"name": "f", "arguments": {}})],
            "tool_calls[0].function.arguments", ["a string", "an object"],
        ),
        ([call(function={"arguments": ""})], "tool_calls[0].function.name", ["1 to 64"]),
        ([call()] * 129, "tool_calls", ["128", "129"]),
    ],
)  # fmt: skip
def test_calls_that_are_wrong(calls: object, param: str, words: list[str]) -> None:
    check_words(refusal(parse_calls, {"tool_calls": calls}), param, words)


def test_calls_of_another_kind() -> None:
    error = refusal(parse_calls, {"tool_calls": [call(type="custom")]})
    assert isinstance(error, UnsupportedParameter)
    assert error.param == "tool_calls[0].type"


@pytest.mark.parametrize("number", [2**64, -(2**63) - 1, 10**30])
def test_a_schema_with_a_number_that_the_wire_cannot_hold_is_refused(number: int) -> None:
    schema = {"properties": {"n": {"enum": [1, number]}}}
    error = refused(tools=[tool({"name": "f", "parameters": schema})])
    assert error.param == "tools[0].function.parameters"
    assert "64 bits" in str(error)


def test_a_schema_with_numbers_that_the_wire_holds_is_taken() -> None:
    schema = {"minimum": -(2**63), "maximum": 2**64 - 1, "multipleOf": 0.5, "default": True}
    (taken,) = parse(tools=[tool({"name": "f", "parameters": schema})]).tools
    assert taken["parameters"] == schema
    msgspec.msgpack.encode(taken)
