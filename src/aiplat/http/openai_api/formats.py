"""What form an answer shall have: from a format of a request to `Generate.grammar`. Pure.

Structured answers are held by a grammar in the engine, so a schema is always kept to: `strict`
false is no less here. An answer that ends at its `max_tokens` is cut in the middle, as OpenAI's is.
Whether the word "JSON" stands in the messages is not looked at: OpenAI wants it against endless
blanks, which a grammar does not allow.
Source: OpenAI's published schemas `ResponseFormatText`, `…JsonObject` and `…JsonSchema`.
"""

from __future__ import annotations

from typing import Any

from aiplat.domain.errors import UnsupportedParameter, clip
from aiplat.http.openai_api.schemas import check_schema
from aiplat.http.openai_api.tools import parse_name
from aiplat.http.reading import Fields

Grammar = dict[str, Any]


def parse_response_format(fields: Fields) -> Grammar | None:
    """The field `response_format` of a request to chat completions; None asks for plain text.

    Raises:
        InvalidRequest: names the field, the value and the bound.
        UnsupportedParameter: it is of a type that nothing here can hold.
    """
    wanted = fields.inner("response_format")
    if wanted is None:
        return None
    if wanted.raw("type") != "json_schema":
        return parse_format(wanted)
    return parse_named_schema(wanted.needed("json_schema"))


def parse_format(wanted: Fields) -> Grammar | None:
    """A format whose schema stands beside its type, as the Responses API writes it.

    Raises:
        InvalidRequest: names the field, the value and the bound.
        UnsupportedParameter: it is of a type that nothing here can hold.
    """
    kind = wanted.text("type")
    match kind:
        case None:
            raise wanted.wrong("type", "'text', 'json_object' or 'json_schema'")
        case "text":
            return None
        case "json_object":
            return {"type": "json_object"}
        case "json_schema":
            return parse_named_schema(wanted)
    raise UnsupportedParameter(
        f"{wanted.path('type')} is {clip(kind)!r}, but only 'text', 'json_object' and "
        "'json_schema' are supported here.",
        param=wanted.path("type"),
    )


def parse_named_schema(fields: Fields) -> Grammar:
    """The fields `name`, `description`, `schema` and `strict` of a structured answer.

    Raises:
        InvalidRequest: names the field, the value and the bound.
    """
    parse_name(fields)
    fields.text("description")
    fields.flag("strict")
    return {
        "type": "json_schema",
        "schema": check_schema(fields.raw("schema"), fields.path("schema")),
    }
