"""Messages and tools in the form that chat templates take: OpenAI's, arguments as objects. Pure."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from aiplat.domain.chat import Generate, Message, ToolCall
from aiplat.domain.errors import InvalidRequest

_OBJECT = msgspec.json.Decoder(dict[str, Any])
_SHORT = 9


def tools_for(work: Generate) -> list[dict[str, Any]] | None:
    """The tools that a template is given; None where none may be called."""
    if not work.tools or work.tool_choice == "none":
        return None
    return [{"type": "function", "function": _shown(tool)} for tool in work.tools]


def _shown(tool: dict[str, Any]) -> dict[str, Any]:
    """What a model is told of a tool: how its calls are held is no word for it."""
    return {name: value for name, value in tool.items() if name != "strict"}


def uses_tools(work: Generate) -> bool:
    """Whether the prompt speaks of tools: those that may be called, or calls that were made."""
    return tools_for(work) is not None or any(message.calls for message in work.messages)


def messages_for(work: Generate, *, short_ids: bool = False) -> list[dict[str, Any]]:
    """The messages of a conversation.

    Arguments:
        short_ids: whether the template takes ids of calls of nine letters and digits alone.

    Raises:
        InvalidRequest: a call's arguments are no JSON object.
    """
    return [_message(message, short_ids) for message in work.messages]


def _message(message: Message, short_ids: bool) -> dict[str, Any]:
    told: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.calls:
        told["tool_calls"] = [_call(call, short_ids) for call in message.calls]
    if message.call_id:
        told["tool_call_id"] = _id(message.call_id, short_ids)
    if message.name:
        told["name"] = message.name
    return told


def _call(call: ToolCall, short_ids: bool) -> dict[str, Any]:
    try:
        arguments = _OBJECT.decode(call.arguments or "{}")
    except (ValueError, RecursionError):
        raise InvalidRequest(
            "A message holds a call of a tool whose arguments are no JSON object: send them as the "
            "answer gave them.",
            param="messages",
        ) from None
    function = {"name": call.name, "arguments": arguments}
    return {"id": _id(call.id, short_ids), "type": "function", "function": function}


def _id(own: str, short: bool) -> str:
    return hashlib.sha256(own.encode()).hexdigest()[:_SHORT] if short else own
