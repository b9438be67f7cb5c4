"""JSON Schemas of what is sent, written short. Pure.

Source: JSON Schema 2020-12, as OpenAPI 3.1 has it.
"""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]


def text(description: str = "", **more: Any) -> Schema:
    """A string; `more` are its bounds."""
    return _told({"type": "string", **more}, description)


def number(description: str, least: float | None = None, most: float | None = None) -> Schema:
    """A number, from `least` to `most`."""
    return _told(_bounded({"type": "number"}, least, most), description)


def whole(description: str, least: int | None = None, most: int | None = None) -> Schema:
    """A whole number, from `least` to `most`."""
    return _told(_bounded({"type": "integer"}, least, most), description)


def flag(description: str) -> Schema:
    """True or false."""
    return _told({"type": "boolean"}, description)


def one_of(description: str, *values: str) -> Schema:
    """One of some strings."""
    return _told({"enum": list(values)}, description)


def many(of: Schema, description: str = "", **more: Any) -> Schema:
    """An array; `more` are its bounds."""
    return _told({"type": "array", "items": of, **more}, description)


def any_of(description: str, *schemas: Schema) -> Schema:
    """What fits one of them."""
    return _told({"anyOf": list(schemas)}, description)


def table(properties: dict[str, Schema], *needed: str, description: str = "") -> Schema:
    """An object; fields that nobody names are tolerated."""
    made: Schema = {"type": "object", "properties": properties}
    if needed:
        made["required"] = list(needed)
    return _told(made, description)


def anything(description: str) -> Schema:
    """An object of any fields."""
    return _told({"type": "object"}, description)


def _bounded(schema: Schema, least: float | None, most: float | None) -> Schema:
    if least is not None:
        schema["minimum"] = least
    if most is not None:
        schema["maximum"] = most
    return schema


def _told(schema: Schema, description: str) -> Schema:
    return {**schema, "description": description} if description else schema
