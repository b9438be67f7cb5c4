"""The grammars of answers that call tools, in llguidance's variant of Lark. Pure.

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


def is_strict(work: Generate) -> bool:
    """Whether the arguments of a call that the model may make are held to their schema."""
    return any(tool.get("strict") for tool in callable_tools(work))


def calls_grammar(
    form: Format, tools: Sequence[Mapping[str, Any]], spell: Spell, *, one: bool
) -> str:
    """The grammar of an answer that is calls and nothing else.

    Arguments:
        tools: those that may be called.
        one: whether there is one call, no more.
    """
    begin = "" if form.bare else spell(form.begin)  # Llama's own instructions ask for bare JSON
    return f"start: {begin} calls\n" + _calls(form, tools, spell, one=one or form.one)


def free_grammar(
    form: Format, tools: Sequence[Mapping[str, Any]], spell: Spell, *, one: bool
) -> str:
    """The grammar of an answer that is text, in which calls may follow to its end.

    As llguidance's `StructTag` has it: a mark that is text ends the text wherever it comes, for its
    lexeme is lazy; one that is a token is in no text.

    Arguments:
        tools: those that may be called.
        one: whether there is one call, no more.
    """
    mark = spell(form.begin)
    lazy = "[lazy]" if mark.startswith('"') else ""
    bare, text = (" | calls", f" & ~/{_BARE_CALL}/") if form.bare else ("", "")
    rules = [
        f"start: TEXT | head calls{bare}",
        f"head{lazy}: TEXT {mark}",
        f"TEXT: /(?s:.*)/{text}",
    ]
    return "\n".join(rules) + "\n" + _calls(form, tools, spell, one=one or form.one)


_BARE_CALL = r'\s*\{\s*"(name|type|function|parameters|arguments)"(?s:.*)'
"""What is read as a call without a mark (`finding`), be it one or not."""

_QUOTED_ARGUMENTS = json.dumps(ARGUMENTS)


def _calls(form: Format, tools: Sequence[Mapping[str, Any]], spell: Spell, *, one: bool) -> str:
    """The rule `calls`: what follows the first mark."""
    rules = [_rule(form, place, tool) for place, tool in enumerate(tools)]
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
    return "\n".join([calls, f"any: {some}", *rules]) + "\n"


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
