"""The messages of a chat request. Knows no socket.

A `name` on a message that is no tool's is taken and has no effect: no template here takes one.
Source: OpenAI's published schema `ChatCompletionRequestMessage`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from aiplat.domain.chat import MAX_MESSAGES, Message, Speaker, ToolCall, check_messages
from aiplat.domain.errors import InvalidRequest, UnsupportedParameter, clip
from aiplat.http.openai_api.tools import parse_call, parse_call_id, parse_calls
from aiplat.http.openai_api.unsupported import refuse_in_message
from aiplat.http.reading import Fields, object_at

_SPEAKERS: dict[str, Speaker] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}


def parse_messages(fields: Fields) -> tuple[Message, ...]:
    """The field `messages`.

    Raises:
        InvalidRequest: names the field, the value and the bound.
        UnsupportedParameter: something of it exists, but nothing here can honour it.
    """
    values = fields.array("messages")
    if values is None:
        raise InvalidRequest("messages is missing: send at least one message.", param="messages")
    called = Called()
    messages = tuple([_message(one, called) for one in each_message(values)])
    check_messages(messages)
    return messages


def each_message(values: Sequence[object]) -> Iterator[Fields]:
    """The messages of any API's field `messages`, one after another.

    Raises:
        InvalidRequest: there are more than are taken, or one is no object.
    """
    if len(values) > MAX_MESSAGES:
        raise InvalidRequest(
            f"messages holds {len(values)} messages, but at most {MAX_MESSAGES} are taken.",
            param="messages",
        )
    return (object_at(value, f"messages[{at}]") for at, value in enumerate(values))


class Called:
    """The calls of the messages so far, by which what tools said is told whose it is."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._last: dict[str, str] = {}
        self._old = 0

    def add(self, calls: tuple[ToolCall, ...]) -> None:
        """Hear of an assistant's calls."""
        for call in calls:
            self._names[call.id] = call.name
            self._last[call.name] = call.id

    def new_id(self) -> str:
        """What a call is called that came without an id, as `function_call` does."""
        self._old += 1
        return f"call_{self._old}"

    def name_of(self, fields: Fields, field: str, call_id: str) -> str:
        """The tool that was called.

        Raises:
            InvalidRequest: no earlier message has a call of that id.
        """
        if call_id not in self._names:
            path = fields.path(field)
            raise InvalidRequest(
                f"{path} is {clip(call_id)!r}, but no earlier message of the assistant has a call "
                "with that id.",
                param=path,
            )
        return self._names[call_id]

    def last_id(self, fields: Fields, name: str) -> str:
        """The latest call of a function.

        Raises:
            InvalidRequest: it was not called.
        """
        if name not in self._last:
            path = fields.path("name")
            raise InvalidRequest(
                f"{path} is {clip(name)!r}, but no earlier message of the assistant calls that "
                "function.",
                param=path,
            )
        return self._last[name]


def _message(fields: Fields, called: Called) -> Message:
    role = fields.text("role")
    if role is None or role not in _SPEAKERS:
        raise fields.wrong("role", "system, developer, user, assistant or tool")
    refuse_in_message(fields, role)
    name = fields.text("name")
    if role == "assistant":
        return _assistant(fields, called)
    if role == "tool":
        call_id = parse_call_id(fields, "tool_call_id")
        tool = called.name_of(fields, "tool_call_id", call_id)
        return Message("tool", parse_content(fields), call_id=call_id, name=tool)
    if role == "function":
        if not name:
            raise fields.wrong("name", "the name of the function")
        content = "" if fields.raw("content") is None else parse_content(fields)
        return Message("tool", content, call_id=called.last_id(fields, name), name=name)
    return Message(_SPEAKERS[role], parse_content(fields))


def _assistant(fields: Fields, called: Called) -> Message:
    calls = parse_calls(fields)
    old = fields.inner("function_call")
    if old is not None:
        calls += (parse_call(old, called.new_id()),)
    called.add(calls)
    refusal = fields.text("refusal")
    if fields.raw("content") is not None:
        said = parse_content(fields, refusals=True)
        return Message("assistant", "\n".join(filter(None, (said, refusal))), calls=calls)
    if refusal is None and not calls:
        raise fields.wrong("content", "a string or an array of text parts, as there are no calls")
    return Message("assistant", refusal or "", calls=calls)


def parse_content(fields: Fields, *, refusals: bool = False) -> str:
    """The field `content`: a string, or parts of text, each of which is a line of its own.

    Arguments:
        fields: of the message.
        refusals: whether a part may be a refusal, as the assistant's may.

    Raises:
        InvalidRequest: names the field and the value.
        UnsupportedParameter: a part is no text.
    """
    value = fields.raw("content")
    if isinstance(value, str):
        return value
    if not isinstance(value, list) or not value:
        raise fields.wrong("content", "a string or an array of text parts")
    path = fields.path("content")
    return "\n".join(
        [_part(object_at(part, f"{path}[{at}]"), refusals) for at, part in enumerate(value)]
    )


def _part(fields: Fields, refusals: bool) -> str:
    kind = fields.text("type")
    if kind is None:
        raise fields.wrong("type", "'text'")
    name = "refusal" if refusals and kind == "refusal" else "text"
    if kind != name:
        raise UnsupportedParameter(
            f"{fields.path('type')} is {clip(kind)!r}, but the models here take text only.",
            param=fields.path("type"),
        )
    text = fields.text(name)
    if text is None:
        raise fields.wrong(name, "a string")
    return text
