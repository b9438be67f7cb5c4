"""Reads what a model wrote between the marks of a call. Pure: it may have written anything."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from aiplat.engine.calling.formats import Format
from aiplat.engine.calling.xml_calls import is_text

_SCAN = json.JSONDecoder()
_BETWEEN = re.compile(r"[\s;,]*")
_NAMED = re.compile(r"\s*([^\s\[\]{}]+)\s*(?:\[CALL_ID\][^\[\]{}]*)?\[ARGS\](.*)\Z", re.DOTALL)
_XML = re.compile(r"\s*<function=([^>\n]+)>(.*?)</function>(?=\s*(?:<function=|\Z))\s*", re.DOTALL)
_PARAMETER = re.compile(
    r"\s*<parameter=([^>\n]+)>(.*?)</parameter>(?=\s*(?:<parameter=|\Z))\s*", re.DOTALL
)
_FUNCTION = re.compile(r"\s*([^>\s{]+)>(.*)\Z", re.DOTALL)
_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_OBJECTS = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_TEXT = msgspec.json.Decoder(str)

Schemas = Mapping[str, Mapping[str, Any]]
"""The JSON Schema of the arguments of each tool that may be called, by its name."""


class Call(NamedTuple):
    """A call that was read: of the tool `name`, with `arguments` as the JSON text of an object."""

    name: str
    arguments: str


class Unread(Exception):
    """It is no call, or none of a tool that there is."""


def read_calls(body: str, form: Format, tools: Schemas) -> list[Call]:
    """The calls in `body`, at least one.

    Raises:
        Unread: it is anything else.
    """
    try:
        calls = list(_calls(body, form, tools))
    except (ValueError, RecursionError) as fault:  # msgspec's and json's errors are ValueErrors
        raise Unread from fault
    if not calls or any(call.name not in tools for call in calls):
        raise Unread
    return calls


def _calls(body: str, form: Format, tools: Schemas) -> Iterator[Call]:
    if form.body == "xml":
        yield from _xml(body, tools)
        return
    head = _FUNCTION if form.body == "function" else _NAMED if form.short_ids else None
    named = head.match(body) if head is not None else None
    if named is None:
        yield from _json(body)
    else:
        yield Call(named[1], _arguments(named[2].strip().encode()))


def _json(body: str) -> Iterator[Call]:
    """Objects and lists of objects, with nothing but commas and semicolons between them."""
    at = _BETWEEN.match(body).end()  # type: ignore[union-attr]  # it matches nothing too
    while at < len(body):
        _, end = _SCAN.raw_decode(body, at)
        value = body[at:end].encode()
        for told in _OBJECTS.decode(value) if value[:1] == b"[" else [_OBJECT.decode(value)]:
            yield _object(told)
        at = _BETWEEN.match(body, end).end()  # type: ignore[union-attr]  # so it does here


def _object(told: dict[str, msgspec.Raw]) -> Call:
    if "function" in told and "name" not in told:  # as OpenAI writes it
        told = _OBJECT.decode(told["function"])
    given = told.get("arguments", told.get("parameters"))
    name = _TEXT.decode(told.get("name", msgspec.Raw(b"null")))
    return Call(name, "{}" if given is None else _arguments(bytes(given)))


def _arguments(raw: bytes) -> str:
    """The text of an object, as it was written; some models write it as a string of JSON."""
    if raw[:1] == b'"':
        raw = _TEXT.decode(raw).strip().encode()
    if raw == b"null":
        return "{}"
    _OBJECT.decode(raw)
    return raw.decode()


def _xml(body: str, tools: Schemas) -> Iterator[Call]:
    at = 0
    while at < len(body):
        one = _XML.match(body, at)
        if one is None:
            raise Unread
        yield Call(one[1].strip(), _parameters(one[2], tools.get(one[1].strip(), {})))
        at = one.end()


def _parameters(body: str, schema: Mapping[str, Any]) -> str:
    """An object of its ``<parameter=…>``; what shall be text is, all else is JSON where it can."""
    properties = schema.get("properties")
    given: dict[str, Any] = {}
    at = 0
    while at < len(body.rstrip()):
        one = _PARAMETER.match(body, at)
        if one is None:
            raise Unread
        name, text = one[1].strip(), one[2].removeprefix("\n").removesuffix("\n")
        wanted = properties.get(name) if isinstance(properties, Mapping) else None
        given[name] = text if is_text(wanted) else _value(text)
        at = one.end()
    return json.dumps(given, ensure_ascii=False)


def _value(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.MsgspecError:
        return text
