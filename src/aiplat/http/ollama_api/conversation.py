"""The messages of Ollama's chat, as ours. Knows no socket.

Its calls have often no id, and a tool's result is told whose it is by the tool's name or by its
place: calls are answered in their order then. Source: `Message` of Ollama's API reference.
"""

from __future__ import annotations

from aiplat.domain.chat import MAX_CALLS, Message, Speaker, ToolCall
from aiplat.domain.errors import InvalidRequest
from aiplat.http.arguments import arguments_text
from aiplat.http.neutral import refuse_wanted
from aiplat.http.ollama_api.unsupported import MESSAGE
from aiplat.http.openai_api.messages import each_message
from aiplat.http.openai_api.tools import parse_call_id, parse_name
from aiplat.http.reading import Fields, object_at

_SPEAKERS: dict[str, Speaker] = {
    "system": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
}


def parse_conversation(fields: Fields) -> tuple[Message, ...]:
    """The field `messages`; none stand for a model that shall be loaded.

    Raises:
        InvalidRequest: names the field, the value and the bound.
        UnsupportedParameter: something of it exists, but nothing here can honour it.
    """
    unanswered: list[ToolCall] = []
    messages = each_message(fields.array("messages") or [])
    return tuple([_message(one, unanswered) for one in messages])


def _message(fields: Fields, unanswered: list[ToolCall]) -> Message:
    role = _SPEAKERS.get(fields.text("role") or "")
    if role is None:
        raise fields.wrong("role", "system, user, assistant or tool")
    refuse_wanted(fields, MESSAGE)
    content = fields.text("content") or ""
    if role == "assistant":
        calls = _calls(fields)
        unanswered[:] = calls
        return Message("assistant", content, calls=calls)
    if fields.raw("tool_calls") not in (None, []):
        raise fields.wrong("tool_calls", f"left out of a message of the {role}")
    if role == "tool":
        call_id, name = _answered(fields, unanswered)
        return Message("tool", content, call_id=call_id, name=name)
    return Message(role, content)


def _calls(fields: Fields) -> tuple[ToolCall, ...]:
    values, path = fields.array("tool_calls") or [], fields.path("tool_calls")
    if len(values) > MAX_CALLS:
        raise InvalidRequest(
            f"{path} may hold at most {MAX_CALLS} calls, but holds {len(values)}.", param=path
        )
    return tuple([_call(object_at(value, f"{path}[{at}]"), at) for at, value in enumerate(values)])


def _call(fields: Fields, place: int) -> ToolCall:
    """A call; one without an id is called after its place, which is enough within a turn."""
    function = fields.needed("function")
    call_id = f"call_{place}" if not fields.raw("id") else parse_call_id(fields, "id")
    name, text = parse_name(function), "{}"
    value = function.raw("arguments")
    if value is not None:
        function.needed("arguments")
        assert isinstance(value, dict)
        text = arguments_text(value, function.path("arguments"))
    return ToolCall(call_id, name, text)


def _answered(fields: Fields, unanswered: list[ToolCall]) -> tuple[str, str]:
    """The id and tool of the call that a tool's message answers, as far as that can be told."""
    call_id = fields.text("tool_call_id") and parse_call_id(fields, "tool_call_id")
    name = fields.text("tool_name") or fields.text("name") or ""
    for call in unanswered:
        if (call.id == call_id) if call_id else (not name or call.name == name):
            unanswered.remove(call)
            return call.id, call.name
    return call_id or "", name
