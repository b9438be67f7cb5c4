"""Items as the messages that a model is shown. Pure.

A model's text and the calls that it made after it are one message of it, as templates want it. A
call and what came of it belong together: one without the other is refused, as OpenAI does.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from aiplat.domain.chat import Message, Speaker, ToolCall
from aiplat.domain.errors import InvalidRequest, clip
from aiplat.http.openai_api.responses.items import (
    CallItem,
    CallOutputItem,
    Item,
    ItemRole,
    MessageItem,
)

_SPEAKERS: dict[ItemRole, Speaker] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
}


def messages_of(items: Iterable[Item], instructions: str = "") -> tuple[Message, ...]:
    """The conversation, the oldest first.

    Arguments:
        items: a call that was cut in the middle is left out: nobody can have answered it.
        instructions: the system's, before all.

    Raises:
        InvalidRequest: a call, or what came of one, stands alone.
    """
    messages = [Message("system", instructions)] if instructions else []
    names: dict[str, str] = {}
    open_calls: dict[str, None] = {}
    for item in items:
        match item:
            case MessageItem():
                messages.append(Message(_SPEAKERS[item.role], item.text))
            case CallItem() if item.status == "completed":
                names[item.call_id] = item.name
                open_calls[item.call_id] = None
                _add_call(messages, ToolCall(item.call_id, item.name, item.arguments))
            case CallOutputItem():
                messages.append(_answer(item, names))
                open_calls.pop(item.call_id, None)
    if open_calls:
        raise InvalidRequest(
            f"No tool output found for function call {clip(next(iter(open_calls)))}: send an item "
            "of type function_call_output with that call_id.",
            param="input",
        )
    return tuple(messages)


def _add_call(messages: list[Message], call: ToolCall) -> None:
    last = messages[-1] if messages else None
    if last is not None and last.role == "assistant":
        messages[-1] = replace(last, calls=(*last.calls, call))
    else:
        messages.append(Message("assistant", "", calls=(call,)))


def _answer(item: CallOutputItem, names: dict[str, str]) -> Message:
    if item.call_id not in names:
        raise InvalidRequest(
            f"No tool call found for function call output with call_id {clip(item.call_id)}: the "
            "call must stand before it, in input or in the answer that it goes on from.",
            param="input",
        )
    return Message("tool", item.text, call_id=item.call_id, name=names[item.call_id])
