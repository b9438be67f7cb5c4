"""The grammar of a call that is written as ``<function=…>`` with a ``<parameter=…>`` for each
argument, as Qwen3-Coder writes it. Pure.

A text stands there as it is, without quotes, so of its schema only what a text can be held to is
kept: choices and length. All else is JSON.

What is read between the marks (`bodies`) ends at the first thing that looks like an end, so a text
holds none; one whose length is bounded holds no ``<`` at all, which costs llguidance least.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from aiplat.domain.errors import clip

Json = Callable[[Mapping[str, Any]], str]
"""Makes a part of a grammar of a JSON Schema."""

_TOP = {
    "type", "properties", "required", "additionalProperties", "title", "description", "$schema",
    "$defs", "definitions",
}  # fmt: skip
_TEXT = {"type", "title", "description", "default", "examples", "minLength", "maxLength"}
_END = json.dumps("\n</parameter>\n")

COMMON = "UNTIL: /(?s:.*)/ & ~/(?s:.*)<\\/(parameter|function)>(?s:.*)/"
"""What the rules of calls share: a text up to the end of its parameter."""


def unheld(schema: Mapping[str, Any]) -> str:
    """What of a schema a call cannot be held to, as a clause; empty where it can to all of it."""
    properties = schema.get("properties") or {}
    if schema.get("type", "object") != "object":
        return "it is no object"
    for key in schema:
        if key not in _TOP:
            return f"{key!r} stands at its top, and only properties are written there"
    for key in schema.get("required") or ():
        if key not in properties:
            return f"it requires {key!r}, which is none of its properties"
    for name, wanted in properties.items():
        if not name or name != name.strip() or set(name) & set("<>\n"):
            return f"{clip(name)!r} is no name that can be written there"
        if is_text(wanted) and choices_of(wanted) is None:
            for key in wanted:
                if key not in _TEXT:
                    return f"{key!r} of {clip(name)!r} cannot be kept to where text has no quotes"
    return ""


def call(name: str, schema: Mapping[str, Any], rule: str, json_of: Json) -> str:
    """The rule of a call: each property in its order; those that need not be may be left out.

    What `unheld` speaks of is not kept to, and all else is.

    Arguments:
        rule: what the rule is called.
    """
    parts, rules = [], []
    needed = schema.get("required") or ()
    for at, (key, wanted) in enumerate((schema.get("properties") or {}).items()):
        part = f"{rule}_{at}"
        head = json.dumps(f"<parameter={key}>\n")
        if is_text(wanted) and choices_of(wanted) is None:
            rules += [f"{part}_text[lazy]: {_text(wanted)}"]
            rules += [f"{part}: {head} {part}_text"]
        else:
            rules += [f"{part}: {head} {_value(wanted, schema, json_of)} {_END}"]
        parts.append(part if key in needed else f"{part}?")
    return "\n".join([f'{rule}: {_head(name)} {" ".join(parts)} "</function>"', *rules])


def free_call(name: str, rule: str) -> str:
    """The rule of a call that is held to no schema."""
    return (
        f'{rule}: {_head(name)} {rule}_any* "</function>"\n'
        f"{rule}_any[lazy]: /<parameter=[^>\\n]+>\\n/ UNTIL {_END}"
    )


def is_text(schema: object) -> bool:
    """Whether a value is text, and so stands without quotes."""
    if not isinstance(schema, Mapping):
        return False
    return schema.get("type") == "string" or choices_of(schema) is not None


def choices_of(schema: Mapping[str, Any]) -> list[str] | None:
    """The texts that a value may be; None where there are others, or it is none."""
    choices = [schema["const"]] if "const" in schema else schema.get("enum")
    if not choices or not all(isinstance(choice, str) for choice in choices):
        return None
    return list(choices)


def _head(name: str) -> str:
    return json.dumps(f"<function={name}>\n")


def _text(wanted: Mapping[str, Any]) -> str:
    """A text with the end of its parameter."""
    least, most = wanted.get("minLength", 0), wanted.get("maxLength", "")
    if not least and most == "":
        return f"UNTIL {_END}"
    return rf"/[^<]{{{least},{most}}}\n<\/parameter>\n/"


def _value(wanted: Any, whole: Mapping[str, Any], json_of: Json) -> str:
    """What stands for a value that is no free text: of choices of texts the texts themselves."""
    schema = wanted if isinstance(wanted, Mapping) else {}
    choices = choices_of(schema)
    if choices is not None:
        return "(" + " | ".join(json.dumps(choice) for choice in choices) + ")"
    return json_of({**_named_in(schema, whole), **schema})


def _named_in(schema: Mapping[str, Any], whole: Mapping[str, Any]) -> dict[str, Any]:
    """The definitions of the whole that a part of it refers to, and those that these do.

    All of them, where it refers to anything in another way than by their names.
    """
    kinds = {kind: whole[kind] for kind in ("$defs", "definitions") if kind in whole}
    found: dict[str, dict[str, Any]] = {kind: {} for kind in kinds}
    left: list[Any] = [schema]
    while left:
        one = left.pop()
        if isinstance(one, list):
            left += one
        elif isinstance(one, Mapping):
            left += one.values()
            if not isinstance(reference := one.get("$ref"), str):
                continue
            begin, _, rest = reference.partition("/")
            kind, _, name = rest.partition("/")
            if begin != "#" or name not in kinds.get(kind, ()):
                return kinds
            if name not in found[kind]:
                found[kind][name] = kinds[kind][name]
                left.append(kinds[kind][name])
    return {kind: named for kind, named in found.items() if named}
