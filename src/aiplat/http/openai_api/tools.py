"""Tools of a request: which there are, which may be called, and calls that a model made before.

`parse_tooling` reads chat completions' form. The smaller parts are for APIs that write the same
things in other places. Source: OpenAI's published schemas `ChatCompletionTool`,
`ChatCompletionToolChoiceOption` and `ChatCompletionMessageToolCall`. Pure.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from aiplat.domain.chat import MAX_CALLS, MAX_NAME, MAX_TOOLS, ToolCall, ToolChoice
from aiplat.domain.errors import InvalidRequest, UnsupportedParameter, clip
from aiplat.http.openai_api.schemas import check_schema
from aiplat.http.reading import Fields, object_at

NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}", re.ASCII)
"""What OpenAI lets a function be called."""
MAX_ID_CHARS = 256


class Tooling(msgspec.Struct, frozen=True, kw_only=True):
    """What may be called. The fields are those of `Generate`, of the same names but for `choice`.

    Arguments:
        tools: each ``{"name", "description"?, "parameters"?, "strict"?}``.
        choice: whether a tool may be called, must not, or must be.
        tool: the only one that may be called; empty for any.
        one_call: at most one is called.
        is_old: they came as `functions`, and a call is told in the way of `function_call`.
    """

    tools: tuple[dict[str, Any], ...] = ()
    choice: ToolChoice = "auto"
    tool: str = ""
    one_call: bool = False
    is_old: bool = False


def parse_tooling(fields: Fields) -> Tooling:
    """The tools of a request to chat completions.

    Raises:
        InvalidRequest: names the field, the value and the bound.
        UnsupportedParameter: names a kind of tool that nothing here runs.
    """
    old = fields.array("functions")
    tools = parse_tools(fields)
    if not old:
        _refuse_alone(fields, "function_call", "functions")
        choice, tool, allowed = parse_choice(fields, tools)
        one = fields.flag("parallel_tool_calls") is False
        return Tooling(tools=allowed, choice=choice, tool=tool, one_call=one and bool(allowed))
    if tools:
        raise InvalidRequest(
            "tools and functions are both given, which say the same: send tools alone.",
            param="functions",
        )
    _refuse_alone(fields, "tool_choice", "tools")
    bound_tools(old, fields.path("functions"))
    found = [
        parse_function(object_at(value, f"{fields.path('functions')}[{place}]"))
        for place, value in enumerate(old)
    ]
    functions = distinct(found, fields.path("functions"))
    choice, tool = _old_choice(fields, functions)
    return Tooling(tools=functions, choice=choice, tool=tool, one_call=True, is_old=True)


def _refuse_alone(fields: Fields, name: str, missing: str) -> None:
    """Refuse a choice where there is nothing to choose from; "none" and "auto" say nothing then."""
    value = fields.raw(name)
    if value is not None and value not in ("none", "auto"):
        raise InvalidRequest(
            f"{fields.path(name)} is only allowed when {missing} are given.",
            param=fields.path(name),
        )


# -- which there are -------------------------------------------------------------------------


def parse_tools(fields: Fields) -> tuple[dict[str, Any], ...]:
    """The field `tools`: functions, each ``{"type": "function", "function": {…}}``.

    Raises:
        InvalidRequest: names the field, the value and the bound.
        UnsupportedParameter: one is of another kind.
    """
    path, values = fields.path("tools"), fields.array("tools") or []
    bound_tools(values, path)
    found = []
    for place, value in enumerate(values):
        tool = object_at(value, f"{path}[{place}]")
        require_function(tool)
        found.append(parse_function(tool.needed("function")))
    return distinct(found, path)


def parse_function(fields: Fields, schema: str = "parameters") -> dict[str, Any]:
    """A function that may be called, as `Generate.tools` holds it.

    Arguments keep to the schema wherever a call is forced; with `strict` also where the model may
    choose to call.

    Arguments:
        fields: its name, description, and schema of arguments.
        schema: what the field with the schema is called.

    Raises:
        InvalidRequest: names the field, the value and the bound.
    """
    tool: dict[str, Any] = {"name": parse_name(fields)}
    description, parameters = fields.text("description"), fields.raw(schema)
    if description:
        tool["description"] = description
    if parameters is not None:
        tool["parameters"] = check_schema(parameters, fields.path(schema))
    if fields.flag("strict"):
        tool["strict"] = True
    return tool


def parse_name(fields: Fields) -> str:
    """The field `name` of a function.

    Raises:
        InvalidRequest: it is missing, or holds what a name may not.
    """
    name = fields.text("name")
    if name is None or not NAME.fullmatch(name):
        raise fields.wrong("name", f"1 to {MAX_NAME} letters, digits, underscores and dashes")
    return name


def require_function(fields: Fields, kinds: str = "tools of type 'function'") -> None:
    """Raise `UnsupportedParameter` where the field `type` is not ``function``."""
    kind = fields.text("type")
    if kind is None:
        raise fields.wrong("type", "'function'")
    if kind != "function":
        raise UnsupportedParameter(
            f"{fields.path('type')} is {clip(kind)!r}, but only {kinds} are supported here.",
            param=fields.path("type"),
        )


def bound_tools(values: list[object], path: str) -> None:
    """Raise `InvalidRequest` where there are too many, before each is looked at."""
    if len(values) > MAX_TOOLS:
        raise InvalidRequest(
            f"{path} may hold at most {MAX_TOOLS} tools, but holds {len(values)}.", param=path
        )


def distinct(tools: list[dict[str, Any]], path: str) -> tuple[dict[str, Any], ...]:
    """The same tools.

    Raises:
        InvalidRequest: two have one name.
    """
    seen: set[str] = set()
    for place, tool in enumerate(tools):
        if tool["name"] in seen:
            raise InvalidRequest(
                f"{path}[{place}] is called {tool['name']!r}, as another one is.",
                param=f"{path}[{place}]",
            )
        seen.add(tool["name"])
    return tuple(tools)


# -- which may be called ---------------------------------------------------------------------

Chosen = tuple[ToolChoice, str, tuple[dict[str, Any], ...]]
"""Whether one is called, the only one (or empty), and those that remain to choose from."""


def parse_choice(fields: Fields, tools: tuple[dict[str, Any], ...]) -> Chosen:
    """The field `tool_choice`. Of `allowed_tools`, the model is shown no others.

    Raises:
        InvalidRequest: it is none, names a tool that is not there, or wants one where none is.
        UnsupportedParameter: it is of a kind that nothing here runs.
    """
    path, value = fields.path("tool_choice"), fields.raw("tool_choice")
    match value:
        case None:
            return "auto", "", tools
        case "none" | "auto":
            return value, "", tools
        case "required":
            _need_tools(tools, path)
            return "required", "", tools
        case dict():
            return _chosen(Fields(value, path), tools)
    raise fields.wrong("tool_choice", "'none', 'auto', 'required' or an object")


def _chosen(choice: Fields, tools: tuple[dict[str, Any], ...]) -> Chosen:
    if choice.raw("type") == "allowed_tools":
        return _allowed(choice.needed("allowed_tools"), tools)
    require_function(choice, "choices of type 'function' and 'allowed_tools'")
    function = choice.needed("function")
    return "required", known(parse_name(function), tools, function.path("name")), tools


def _allowed(allowed: Fields, tools: tuple[dict[str, Any], ...]) -> Chosen:
    mode, values = allowed.text("mode"), allowed.array("tools")
    if mode not in ("auto", "required"):
        raise allowed.wrong("mode", "'auto' or 'required'")
    if not values:
        raise allowed.wrong("tools", "an array of at least one tool")
    path = allowed.path("tools")
    bound_tools(values, path)
    names = set()
    for place, value in enumerate(values):
        tool = object_at(value, f"{path}[{place}]")
        require_function(tool)
        function = tool.needed("function")
        names.add(known(parse_name(function), tools, function.path("name")))
    return (
        ("required" if mode == "required" else "auto"),
        "",
        tuple([tool for tool in tools if tool["name"] in names]),
    )


def known(name: str, tools: tuple[dict[str, Any], ...], path: str) -> str:
    """The name of one of the tools.

    Raises:
        InvalidRequest: none is called so.
    """
    if all(tool["name"] != name for tool in tools):
        raise InvalidRequest(f"{path} is {clip(name)!r}, which is none of the tools.", param=path)
    return name


def _need_tools(tools: tuple[dict[str, Any], ...], path: str) -> None:
    if not tools:
        raise InvalidRequest(f"{path} wants a call, but there are no tools.", param=path)


def _old_choice(fields: Fields, tools: tuple[dict[str, Any], ...]) -> tuple[ToolChoice, str]:
    """The field `function_call` of a request."""
    value = fields.raw("function_call")
    match value:
        case None:
            return "auto", ""
        case "none" | "auto":
            return value, ""
        case dict():
            choice = Fields(value, fields.path("function_call"))
            return "required", known(parse_name(choice), tools, choice.path("name"))
    raise fields.wrong("function_call", "'none', 'auto' or an object")


# -- what was called -------------------------------------------------------------------------


def parse_calls(message: Fields) -> tuple[ToolCall, ...]:
    """The field `tool_calls` of an assistant's message.

    Raises:
        InvalidRequest: names the field, the value and the bound.
        UnsupportedParameter: one is of a kind that nothing here runs.
    """
    path, values = message.path("tool_calls"), message.array("tool_calls") or []
    if len(values) > MAX_CALLS:
        raise InvalidRequest(
            f"{path} may hold at most {MAX_CALLS} calls, but holds {len(values)}.", param=path
        )
    found = []
    for place, value in enumerate(values):
        call = object_at(value, f"{path}[{place}]")
        require_function(call, "calls of type 'function'")
        found.append(parse_call(call.needed("function"), parse_call_id(call, "id")))
    return tuple(found)


def parse_call(function: Fields, call_id: str) -> ToolCall:
    """A call that was made before: its name and its arguments, a string that holds JSON.

    Arguments that are no JSON are taken: a model may have written them, and should see them.
    """
    arguments = function.text("arguments")
    if arguments is None:
        raise function.wrong("arguments", "a string that holds JSON")
    return ToolCall(call_id, parse_name(function), arguments)


def parse_call_id(fields: Fields, name: str) -> str:
    """A field that holds the id of a call.

    Raises:
        InvalidRequest: it is missing, or too long.
    """
    call_id = fields.text(name)
    if not call_id or len(call_id) > MAX_ID_CHARS:
        raise fields.wrong(name, f"a call's id, a string of 1 to {MAX_ID_CHARS} characters")
    return call_id
