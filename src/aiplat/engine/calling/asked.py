"""The grammars of answers that must call a tool, in llguidance's variant of Lark. Pure.

Source: llguidance, docs/syntax.md and docs/json_schema.md. Each tool's schema stands alone in its
own ``%json``, so that what it refers to (``#/$defs/…``) is found.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aiplat.domain.chat import Generate
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


def calls_grammar(
    form: Format, tools: Sequence[Mapping[str, Any]], spell: Spell, *, one: bool
) -> str:
    """The grammar of an answer that is calls and nothing else.

    Arguments:
        tools: those that may be called.
        one: whether there is one call, no more.
    """
    one = one or form.one
    rules = [_rule(form, place, tool) for place, tool in enumerate(tools)]
    some = " | ".join(f"call_{place}" for place in range(len(tools)))
    begin, end = _marks(form, spell)
    if form.body == "list":
        more = "" if one else f'("," " "? any){{0,{MOST_CALLS - 1}}}'
        start = f'start: {begin} "[" any {more} "]" {end}'
    else:
        times = "" if one else f"{{1,{MOST_CALLS}}}"
        gap = '"\\n"?' if form.end else ""
        start = f"start: marked{times}\nmarked: {begin} any {end} {'' if one else gap}"
    if form.body == "named":
        rules = [rule.replace(_QUOTED_ARGUMENTS, spell(ARGUMENTS)) for rule in rules]
    return "\n".join([start, f"any: {some}", *rules]) + "\n"


_QUOTED_ARGUMENTS = json.dumps(ARGUMENTS)


def _marks(form: Format, spell: Spell) -> tuple[str, str]:
    if form.bare:  # Llama's own instructions ask for bare JSON
        return "", ""
    gap = '"\\n"' if form.body in ("object", "xml") else ""
    end = spell(form.end) if form.end else ""
    return f"{spell(form.begin)} {gap}", f"{gap} {end}"


def _rule(form: Format, place: int, tool: Mapping[str, Any]) -> str:
    name, schema = str(tool["name"]), arguments_schema(tool)
    rule = f"call_{place}: "
    match form.body:
        case "named":
            return f"{rule}{json.dumps(name)} {_QUOTED_ARGUMENTS} {json_rule(schema)}"
        case "function":
            return f"{rule}{json.dumps(name + '>')} {json_rule(schema)}"
        case "xml":
            return rule + _xml(name, schema, place)
        case _:
            word = "parameters" if form.body == "parameters" else "arguments"
            head = f'{{"name": {json.dumps(name)}, "{word}": '
            return f'{rule}{json.dumps(head)} {json_rule(schema)} "}}"'


def _xml(name: str, schema: Mapping[str, Any], place: int) -> str:
    """Each property in its order; those that need not be may be left out."""
    parts, rules = [], []
    properties = schema.get("properties")
    needed = schema.get("required") or ()
    shared = {key: schema[key] for key in ("$defs", "definitions") if key in schema}
    for at, (key, wanted) in enumerate(properties.items() if properties else ()):
        rule = f"call_{place}_{at}"
        head = json.dumps(f"<parameter={key}>\n")
        if isinstance(wanted, Mapping) and wanted.get("type") == "string" and "enum" not in wanted:
            # Up to the first line that begins with the end of a parameter.
            rules.append(f"{rule}_text[lazy]: /(?s:.*)\\n<\\/parameter>\\n/")
            rules.append(f"{rule}: {head} {rule}_text")
        else:
            value = _xml_value(wanted, shared)
            rules.append(f"{rule}: {head} {value} {json.dumps(chr(10) + '</parameter>' + chr(10))}")
        parts.append(rule if key in needed else f"{rule}?")
    head = json.dumps(f"<function={name}>\n")
    return "\n".join([f'{head} {" ".join(parts)} "</function>"', *rules])


def _xml_value(wanted: Any, shared: Mapping[str, Any]) -> str:
    """What stands for a value that is no free text: of an enum of texts the texts themselves."""
    choices = wanted.get("enum") if isinstance(wanted, Mapping) else None
    if choices and all(isinstance(choice, str) for choice in choices):
        return "(" + " | ".join(json.dumps(choice) for choice in choices) + ")"
    schema = wanted if isinstance(wanted, Mapping) else {}
    return json_rule({**shared, **schema})
