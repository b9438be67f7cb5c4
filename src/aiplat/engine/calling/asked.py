"""The grammars of answers that call tools, in llguidance's variant of Lark. Pure.

Source: llguidance, docs/syntax.md and docs/json_schema.md. Each tool's schema stands alone in its
own ``%json``, so that what it refers to (``#/$defs/…``) is found.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aiplat.domain.chat import Generate
from aiplat.engine.calling import xml_calls
from aiplat.engine.calling.formats import ARGUMENTS, Format

COMPACT = {"whitespace_flexible": False, "item_separator": ", ?", "key_separator": ": ?"}
"""How JSON is written: a small model that may write space at will writes nothing else."""

MOST_CALLS = 16
"""Of an answer that is held to calls."""

_PLAIN = {"type", "properties", "required", "title", "description", "$defs", "$schema"}

Spell = Callable[[str], str]
"""How a mark stands in a grammar: as text in quotes, or as ``<[id]>`` where it is a token."""


def callable_tools(work: Generate) -> list[dict[str, Any]]:
    """The tools that an answer may call."""
    if work.tool_choice == "none":
        return []
    return [tool for tool in work.tools if not work.tool or tool["name"] == work.tool]


def must_call(work: Generate) -> bool:
    """Whether the answer has to be a call."""
    if not work.tools or work.tool_choice == "none":
        return False
    return work.tool_choice == "required" or bool(work.tool)


def arguments_schema(tool: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON Schema of a tool's arguments: always an object.

    Where nothing is said of other properties there are none: a small model would invent some.
    """
    given = tool.get("parameters")
    schema: dict[str, Any] = dict(given) if isinstance(given, Mapping) and given else {}
    schema.pop("x-guidance", None)
    if not schema:
        return {"type": "object", "properties": {}, "additionalProperties": False}
    if not any(name in schema for name in ("type", "$ref", "anyOf", "allOf", "oneOf")):
        schema["type"] = "object"
    if "properties" in schema and set(schema) <= _PLAIN:
        schema["additionalProperties"] = False
    return schema


def json_rule(schema: Mapping[str, Any]) -> str:
    """A schema as a part of a grammar."""
    return "%json " + json.dumps({**schema, "x-guidance": COMPACT})


def is_strict(work: Generate) -> bool:
    """Whether the arguments of a call that the model may make are held to their schema."""
    return any(tool.get("strict") for tool in callable_tools(work))


def held_tools(work: Generate) -> list[dict[str, Any]]:
    """The tools whose arguments are held to their schema: where the model is free, strict ones."""
    free = work.grammar is None and not must_call(work)
    return [tool for tool in callable_tools(work) if tool.get("strict") or not free]


def arguments_rule(tool: Mapping[str, Any], *, held: bool) -> str:
    """A tool's arguments as a part of a grammar; of one that is not held, any object."""
    return json_rule(arguments_schema(tool) if held else {"type": "object"})


def calls_grammar(
    form: Format, tools: Sequence[Mapping[str, Any]], spell: Spell, *, one: bool
) -> str:
    """The grammar of an answer that is calls and nothing else.

    Arguments:
        tools: those that may be called.
        one: whether there is one call, no more.
    """
    begin = "" if form.bare else spell(form.begin)  # Llama's own instructions ask for bare JSON
    rules = call_rules(form, tools, [True] * len(tools), spell, one=one)
    return f"start: {begin} calls\n{rules}"


def call_rules(
    form: Format,
    tools: Sequence[Mapping[str, Any]],
    held: Sequence[bool],
    spell: Spell,
    *,
    one: bool,
) -> str:
    """The rule `calls`, and what it is made of: what follows the first mark.

    Arguments:
        held: for each of the tools, whether its arguments keep to their schema.
    """
    one = one or form.one
    rules = [_rule(form, place, tool, held[place]) for place, tool in enumerate(tools)]
    some = " | ".join(f"call_{place}" for place in range(len(tools)))
    gap = '"\\n"' if form.body in ("object", "xml") and not form.bare else ""
    end = spell(form.end) if form.end else ""
    if form.body == "list":
        more = "" if one else f'("," " "? any){{0,{MOST_CALLS - 1}}}'
        calls = f'calls: "[" any {more} "]" {end}'
    else:
        line = '"\\n"?' if form.end else ""
        more = "" if one else f"({line} {spell(form.begin)} one){{0,{MOST_CALLS - 1}}}"
        calls = f"calls: one {more}\none: {gap} any {gap} {end}"
    if form.body == "named":
        rules = [rule.replace(_QUOTED_ARGUMENTS, spell(ARGUMENTS)) for rule in rules]
    if form.body == "xml":
        rules.append(xml_calls.COMMON)
    return "\n".join([calls, f"any: {some}", *rules]) + "\n"


_QUOTED_ARGUMENTS = json.dumps(ARGUMENTS)


def _rule(form: Format, place: int, tool: Mapping[str, Any], held: bool) -> str:
    name, rule = str(tool["name"]), f"call_{place}"
    if form.body == "xml":
        schema = arguments_schema(tool)
        if not held or (xml_calls.unheld(schema) and not schema.get("properties")):
            return xml_calls.free_call(name, rule)
        return xml_calls.call(name, schema, rule, json_rule)
    arguments = arguments_rule(tool, held=held)
    match form.body:
        case "named":
            return f"{rule}: {json.dumps(name)} {_QUOTED_ARGUMENTS} {arguments}"
        case "function":
            return f"{rule}: {json.dumps(name + '>')} {arguments}"
        case _:
            word = "parameters" if form.body == "parameters" else "arguments"
            head = f'{{"name": {json.dumps(name)}, "{word}": '
            return f'{rule}: {json.dumps(head)} {arguments} "}}"'
