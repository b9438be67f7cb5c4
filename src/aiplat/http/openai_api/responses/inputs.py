"""The field `input` of a request: its items, checked and given names. Pure.

A message may be written without its `type`, and with `content` as one string. What is no text is
refused by name, as is what only OpenAI's own tools write.
"""

from __future__ import annotations

from aiplat.domain.chat import MAX_MESSAGES
from aiplat.domain.errors import InvalidRequest, UnsupportedParameter, clip
from aiplat.http.openai_api.responses.items import (
    CallItem,
    CallOutputItem,
    InputText,
    Item,
    ItemRole,
    MessageItem,
    OutputText,
    Part,
    Refusal,
    item_id,
)
from aiplat.http.openai_api.tools import parse_call, parse_call_id
from aiplat.http.reading import Fields, object_at

_ROLES: dict[str, ItemRole] = {
    "user": "user",
    "assistant": "assistant",
    "system": "system",
    "developer": "developer",
}
_MAX_ID_CHARS = 256


def parse_input(fields: Fields, request: str) -> tuple[Item, ...]:
    """The field `input`; no items where it is not given.

    Arguments:
        request: the request's id, which names items that come without a name.

    Raises:
        InvalidRequest: names the field, the value and the bound.
        UnsupportedParameter: an item, or a part of one, is of a kind that nothing here reads.
    """
    value = fields.raw("input")
    if value is None:
        return ()
    if isinstance(value, str):
        name = item_id("msg", request, "in", 0)
        return (MessageItem(name, "completed", "user", (InputText(value),)),)
    if not isinstance(value, list):
        raise fields.wrong("input", "a string or an array of items")
    if len(value) > MAX_MESSAGES:
        raise InvalidRequest(
            f"input holds {len(value)} items, but at most {MAX_MESSAGES} are taken.", param="input"
        )
    return tuple(
        [_item(object_at(one, f"input[{at}]"), request, at) for at, one in enumerate(value)]
    )


def _item(fields: Fields, request: str, place: int) -> Item:
    kind = fields.text("type")
    if kind is None and fields.raw("role") is not None:
        kind = "message"
    match kind:
        case None:
            raise fields.wrong("type", "'message', 'function_call' or 'function_call_output'")
        case "message":
            return _message(fields, _id(fields, "msg", request, place))
        case "function_call":
            call_id = parse_call_id(fields, "call_id")
            call = parse_call(fields, call_id)
            name = _id(fields, "fc", request, place)
            return CallItem(name, "completed", call_id, call.name, call.arguments)
        case "function_call_output":
            name = _id(fields, "fco", request, place)
            return CallOutputItem(
                name, "completed", parse_call_id(fields, "call_id"), _output(fields)
            )
    raise UnsupportedParameter(
        f"{fields.path('type')} is {clip(kind)!r}, but only 'message', 'function_call' and "
        "'function_call_output' are supported here.",
        param=fields.path("type"),
    )


def _id(fields: Fields, prefix: str, request: str, place: int) -> str:
    """An item's own name, as of an answer before, or a new one."""
    given = fields.text("id")
    if given is not None and not 1 <= len(given) <= _MAX_ID_CHARS:
        raise fields.wrong("id", f"a string of 1 to {_MAX_ID_CHARS} characters")
    return given or item_id(prefix, request, "in", place)


def _message(fields: Fields, name: str) -> MessageItem:
    role = _ROLES.get(fields.text("role") or "")
    if role is None:
        raise fields.wrong("role", "system, developer, user or assistant")
    value = fields.raw("content")
    content: tuple[Part, ...]
    if isinstance(value, str):
        content = (OutputText(value) if role == "assistant" else InputText(value),)
    elif isinstance(value, list) and value:
        path = fields.path("content")
        content = tuple(
            [_part(object_at(one, f"{path}[{at}]"), role) for at, one in enumerate(value)]
        )
    else:
        raise fields.wrong("content", "a string or an array of text parts")
    return MessageItem(name, "completed", role, content)


def _part(fields: Fields, role: ItemRole) -> Part:
    kind = fields.text("type")
    if kind is None:
        raise fields.wrong("type", "'input_text' or 'output_text'")
    if role == "assistant" and kind == "refusal":
        return Refusal(_text(fields, "refusal"))
    if kind not in ("input_text", "output_text"):
        raise UnsupportedParameter(
            f"{fields.path('type')} is {clip(kind)!r}, but the models here take text only.",
            param=fields.path("type"),
        )
    text = _text(fields, "text")
    return OutputText(text) if role == "assistant" else InputText(text)


def _text(fields: Fields, name: str) -> str:
    text = fields.text(name)
    if text is None:
        raise fields.wrong(name, "a string")
    return text


def _output(fields: Fields) -> str | tuple[InputText, ...]:
    value = fields.raw("output")
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        raise fields.wrong("output", "a string or an array of text parts")
    path = fields.path("output")
    parts = [_part(object_at(one, f"{path}[{at}]"), "user") for at, one in enumerate(value)]
    return tuple([part for part in parts if isinstance(part, InputText)])
