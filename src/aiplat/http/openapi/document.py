"""The OpenAPI document, made of the operations and of the types that are sent.

Source: OpenAPI 3.1.0.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import msgspec

import aiplat
from aiplat.http.errors import statuses
from aiplat.http.openapi import shapes
from aiplat.http.openapi.operation import EVENTS, LINES, Errors, Operation
from aiplat.http.openapi.schemas import Schema

_REF = "#/components/schemas/{name}"
_TEXT = (
    "What a node of aiplat answers at its front door. A field that is null counts as not given; "
    "one that nothing here can honour is refused by name; what nobody knows is tolerated."
)
_ERROR_TYPES: dict[Errors, Any] = {
    "openai": shapes.ErrorBody,
    "health": shapes.ErrorBody,
    "anthropic": shapes.AnthropicError,
    "ollama": shapes.OllamaError,
    "either": (shapes.ErrorBody, shapes.AnthropicError),
}
_OVERLOADED = 529
_STREAMS = {
    EVENTS: "Server-sent events, the data of each of which is JSON.",
    LINES: "Lines of JSON, of which the last has done: true.",
}
_PARAMETER = re.compile(r"\{(\w+)\}")


def document(operations: Iterable[Operation]) -> dict[str, Any]:
    """Make it.

    Arguments:
        operations: all that are described.
    """
    operations = tuple(operations)
    types, components = _types_of(operations)
    paths: dict[str, dict[str, Any]] = {}
    for one in operations:
        error = _schema(_ERROR_TYPES[one.errors], types)
        paths.setdefault(one.path, {})[one.method] = _operation(
            one, _schema(one.answer, types), error
        )
    made = {
        "openapi": "3.1.0",
        "info": {"title": "aiplat", "version": aiplat.__version__, "description": _TEXT},
        "tags": [{"name": name} for name in dict.fromkeys(one.tag for one in operations)],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "header": {"type": "apiKey", "in": "header", "name": "x-api-key"},
            },
        },
    }
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(made))  # without tuples
    return plain


def _types_of(operations: Iterable[Operation]) -> tuple[dict[Any, Schema], Schema]:
    """The schema of each type that is sent, and what those refer to."""
    sent = [one.answer for one in operations] + list(_ERROR_TYPES.values())
    types = list(dict.fromkeys(kind for answer in sent for kind in _kinds(answer)))
    made, components = msgspec.json.schema_components(
        types, schema_hook=_any_json, ref_template=_REF
    )
    return dict(zip(types, made, strict=True)), components


def _any_json(kind: type) -> Schema:
    """What a field of the type `object` may hold."""
    if kind is object:
        return {"description": "Any JSON."}
    raise NotImplementedError(kind)


def _kinds(answer: Any) -> tuple[Any, ...]:
    if isinstance(answer, dict):
        return ()
    return answer if isinstance(answer, tuple) else (answer,)


def _schema(answer: Any, types: dict[Any, Schema]) -> Schema:
    if isinstance(answer, dict):
        return answer
    found = [types[kind] for kind in _kinds(answer)]
    return found[0] if len(found) == 1 else {"anyOf": found}


def _operation(one: Operation, answer: Schema, error: Schema) -> dict[str, Any]:
    told: dict[str, Any] = {
        "operationId": one.name,
        "tags": [one.tag],
        "summary": one.summary,
        "responses": _responses(one, answer, error),
    }
    if one.text:
        told["description"] = one.text
    if one.access != "open":
        told["security"] = [{"bearer": []}, {"header": []}]
    if parameters := _parameters(one):
        told["parameters"] = parameters
    if one.sent is not None:
        media: dict[str, Any] = {"schema": one.sent}
        if one.example is not None:
            media["example"] = one.example
        told["requestBody"] = {"required": True, "content": {"application/json": media}}
    return told


def _parameters(one: Operation) -> list[dict[str, Any]]:
    named = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in _PARAMETER.findall(one.path)
    ]
    return named + [
        {"name": name, "in": "query", "schema": schema}
        for name, schema in (one.query or {}).items()
    ]


def _responses(one: Operation, answer: Schema, error: Schema) -> dict[str, Any]:
    content = {one.media: {"schema": answer}}
    if one.stream:
        # OpenAPI 3.1 has no words for the parts of a stream.
        content[one.stream] = {"schema": {"description": _STREAMS[one.stream]}}
    found: dict[str, Any] = {
        "200": {"description": "The answer.", "headers": _headers(one), "content": content}
    }
    for status, words in statuses().items():
        if one.access == "open" and status in (401, 429):
            continue
        if one.errors == "anthropic" and status == 503:
            status = _OVERLOADED
        found[str(status)] = {
            "description": words,
            "content": {"application/json": {"schema": error}},
        }
    if one.errors == "either":
        found[str(_OVERLOADED)] = found["503"]
    if one.errors == "health":
        found["503"] = {
            "description": "What is missing.",
            "content": {"application/json": {"schema": {"anyOf": [answer, error]}}},
        }
    return found


def _headers(one: Operation) -> dict[str, Any]:
    names = {"x-request-id": "Names the request, also in the node's log."}
    if one.sent is not None:
        names["x-aiplat-queue-ms"] = "Milliseconds that it waited for a processor."
        names["x-aiplat-attempts"] = "How many processors were tried."
    if one.access == "key":
        for kind in ("requests", "tokens"):
            names[f"x-ratelimit-limit-{kind}"] = "Of the key's limit, where it has one."
            names[f"x-ratelimit-remaining-{kind}"] = "What is left of it."
            names[f"x-ratelimit-reset-{kind}"] = "When it is whole again, such as 6m0s."
    return {
        name: {"description": words, "schema": {"type": "string"}} for name, words in names.items()
    }
