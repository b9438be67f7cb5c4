"""What form an answer must have, as a grammar; and the bounds of a schema. Pure.

Whether the grammar library can do a schema it tells itself (`backends.slots.grammars`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from aiplat.domain.chat import Generate
from aiplat.domain.errors import InvalidRequest
from aiplat.domain.nesting import is_deeper
from aiplat.engine.calling.asked import (
    Spell,
    callable_tools,
    calls_grammar,
    is_strict,
    json_rule,
    must_call,
)
from aiplat.engine.calling.choosing import NO_ASIDES, Asides, free_grammar
from aiplat.engine.calling.formats import Format

_ANY_OBJECT = {"type": "object"}


def needs_grammar(work: Generate) -> bool:
    """Whether the answer is held to a form."""
    return work.grammar is not None or must_call(work) or is_strict(work)


def answer_schema(work: Generate) -> dict[str, Any] | None:
    """The JSON Schema of the answer; None where none was asked for.

    Raises:
        InvalidRequest: it is no JSON object, or the form is none that is known.
    """
    if work.grammar is None:
        return None
    if work.grammar.get("type") == "json_object":
        return _ANY_OBJECT
    schema = work.grammar.get("schema")
    if work.grammar.get("type") != "json_schema" or not isinstance(schema, Mapping):
        raise InvalidRequest(
            "response_format must be json_object, or json_schema with a schema that is a JSON "
            "object.",
            param="response_format",
        )
    return {name: value for name, value in schema.items() if name != "x-guidance"}


def grammar_of(
    work: Generate, form: Format | None, spell: Spell, asides: Asides = NO_ASIDES
) -> str:
    """The grammar of the answer, in llguidance's Lark; empty where it is free.

    Arguments:
        form: how the model writes calls of tools; None where it has none.
        spell: how a mark stands in the grammar.
        asides: tokens that are no text, and may stand in an answer that may call.
    """
    schema, tools = answer_schema(work), callable_tools(work)
    if must_call(work) and form is not None:
        return calls_grammar(form, tools, spell, one=work.one_call)
    if schema is None:
        if form is None or not is_strict(work):
            return ""
        return free_grammar(form, tools, spell, asides, one=work.one_call)
    answer = f"answer: {json_rule(schema)}\n"
    if not tools or form is None:
        return f"start: answer\n{answer}"
    calls = calls_grammar(form, tools, spell, one=work.one_call)
    return f"start: answer | called\n{answer}" + calls.replace("start:", "called:", 1)


def check_schemas(work: Generate, most_bytes: int, most_depth: int) -> None:
    """Refuse a schema that is too much to look at.

    Arguments:
        most_bytes: of its JSON text.
        most_depth: of objects and lists within each other.

    Raises:
        InvalidRequest: says which, with both numbers.
    """
    if work.grammar is not None:
        _check(work.grammar, "response_format", most_bytes, most_depth)
    for tool in work.tools:
        _check(tool, "tools", most_bytes, most_depth)


def _check(schema: Mapping[str, Any], param: str, most_bytes: int, most_depth: int) -> None:
    if is_deeper(schema, most_depth):
        raise InvalidRequest(
            f"A schema in {param} is deeper than {most_depth} objects and lists within each other: "
            "make it flatter.",
            param=param,
        )
    size = len(msgspec.json.encode(schema))
    if size > most_bytes:
        raise InvalidRequest(
            f"A schema in {param} has {size} bytes, but at most {most_bytes} are taken: make it "
            "smaller.",
            param=param,
        )
