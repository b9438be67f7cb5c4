"""The fields `tools` and `tool_choice` of a request to the Responses API. Pure.

A function stands flat there, beside its type. Source: OpenAI's published schemas `FunctionTool`,
`ToolChoiceFunction` and `ToolChoiceAllowed`.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec.structs import replace

from aiplat.domain.chat import ToolChoice
from aiplat.domain.errors import InvalidRequest
from aiplat.http.openai_api.responses.refused import refuse_in_tool
from aiplat.http.openai_api.tools import (
    bound_tools,
    distinct,
    known,
    parse_function,
    parse_name,
    require_function,
)
from aiplat.http.reading import Fields, object_at

Tools = tuple[dict[str, Any], ...]


class Chosen(msgspec.Struct, frozen=True, kw_only=True):
    """What may be called, and how the answer tells of it.

    Arguments:
        tools: those that the model is shown, as `Generate.tools` has them.
        choice: whether one is called; `tool` is the only one, or empty.
        told_tools: all of them, as the API writes them.
        told_choice: the choice likewise.
    """

    tools: Tools = ()
    choice: ToolChoice = "auto"
    tool: str = ""
    told_tools: Tools = ()
    told_choice: str | dict[str, Any] = "auto"


def parse_tooling(fields: Fields) -> Chosen:
    """What a request says of tools.

    Raises:
        InvalidRequest: names the field, the value and the bound.
        UnsupportedParameter: names a kind of tool that nothing here runs.
    """
    values = fields.array("tools") or []
    bound_tools(values, "tools")
    found, told = [], []
    for place, value in enumerate(values):
        tool = object_at(value, f"tools[{place}]")
        require_function(tool)
        refuse_in_tool(tool)
        found.append(parse_function(tool))
        told.append(_told(found[-1], strict=bool(tool.flag("strict"))))
    tools = distinct(found, "tools")
    chosen = _choice(fields, tools)
    if chosen.choice == "required" and not tools:
        raise InvalidRequest(
            "tool_choice wants a call, but there are no tools.", param="tool_choice"
        )
    return replace(chosen, told_tools=tuple(told))


def _choice(fields: Fields, tools: Tools) -> Chosen:
    choice = fields.raw("tool_choice")
    match choice:
        case None | "auto":
            return Chosen(tools=tools)
        case "none" | "required":
            return Chosen(tools=tools, choice=choice, told_choice=choice)
        case dict():
            return _chosen(Fields(choice, "tool_choice"), tools)
    raise fields.wrong("tool_choice", "'none', 'auto', 'required' or an object")


def _told(tool: dict[str, Any], *, strict: bool) -> dict[str, Any]:
    return {
        "type": "function",
        "name": tool["name"],
        "description": tool.get("description"),
        "parameters": tool.get("parameters"),
        "strict": strict,
    }


def _chosen(choice: Fields, tools: Tools) -> Chosen:
    if choice.raw("type") == "allowed_tools":
        return _allowed(choice, tools)
    require_function(choice, "choices of type 'function' and 'allowed_tools'")
    name = known(parse_name(choice), tools, choice.path("name"))
    return Chosen(
        tools=tools, choice="required", tool=name, told_choice={"type": "function", "name": name}
    )


def _allowed(choice: Fields, tools: Tools) -> Chosen:
    """Of `allowed_tools`, the model is shown no others."""
    mode, values = choice.text("mode"), choice.array("tools")
    if mode not in ("auto", "required"):
        raise choice.wrong("mode", "'auto' or 'required'")
    if not values:
        raise choice.wrong("tools", "an array of at least one tool")
    path, names = choice.path("tools"), list[str]()
    bound_tools(values, path)
    for place, value in enumerate(values):
        tool = object_at(value, f"{path}[{place}]")
        require_function(tool)
        names.append(known(parse_name(tool), tools, tool.path("name")))
    allowed = [{"type": "function", "name": name} for name in names]
    return Chosen(
        tools=tuple([tool for tool in tools if tool["name"] in names]),
        choice="required" if mode == "required" else "auto",
        told_choice={"type": "allowed_tools", "mode": mode, "tools": allowed},
    )
