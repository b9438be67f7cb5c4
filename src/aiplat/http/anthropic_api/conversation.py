"""The messages of Anthropic's request, as ours. Knows no socket.

Blocks become messages in their order: a tool's result one of the tool's, text one of who said it.
What follows from the same side is one message, as Anthropic has it. Thoughts of earlier answers are
left out, as Anthropic leaves them out of a request without thinking.
Source: `MessageParam` and `ContentBlockParam` of Anthropic's published client.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from aiplat.domain.chat import Message, Speaker, ToolCall
from aiplat.domain.errors import InvalidRequest, UnsupportedParameter, clip
from aiplat.http.arguments import arguments_text
from aiplat.http.openai_api.messages import Called, each_message
from aiplat.http.openai_api.tools import parse_call_id, parse_name
from aiplat.http.reading import Fields, object_at

_THOUGHTS = ("thinking", "redacted_thinking")
_SPEAKERS: dict[str, Speaker] = {"user": "user", "assistant": "assistant", "system": "system"}


def parse_conversation(fields: Fields) -> tuple[Message, ...]:
    """The fields `system` and `messages`.

    Raises:
        InvalidRequest: names the field, the value and the bound.
        UnsupportedParameter: something of it exists, but nothing here can honour it.
    """
    values = fields.array("messages")
    if not values:
        raise InvalidRequest("messages is missing or empty: send at least one.", param="messages")
    messages = each_message(values)
    talk = _Talk()
    system = "" if fields.raw("system") is None else _texts(fields, "system")
    if system:
        talk.add(Message("system", system))
    for message in messages:
        _take(message, talk)
    if talk.speaker == "assistant":
        raise UnsupportedParameter(
            "messages ends with one of the assistant's. To begin its answer for it (prefill) is "
            "not supported here: end with one of the user's.",
            param="messages",
        )
    return talk.whole()


class _Talk:
    """The conversation so far.

    What one side said on end is joined once, when it is over: thousands of blocks of one message
    would be copied as often else.
    """

    def __init__(self) -> None:
        self.called = Called()
        self._messages: list[Message] = []
        self._now: list[Message] = []

    def add(self, message: Message) -> None:
        """Go on; with what the same side said last, as one message."""
        if message.role != self.speaker or message.role not in _SPEAKERS:
            self._join()
        self._now.append(message)

    @property
    def speaker(self) -> str:
        """Who said the last of it; empty before anything was said."""
        return self._now[-1].role if self._now else ""

    def whole(self) -> tuple[Message, ...]:
        """All of it."""
        self._join()
        return tuple(self._messages)

    def _join(self) -> None:
        if len(self._now) > 1:
            content = "\n".join([said.content for said in self._now if said.content])
            calls = tuple([call for said in self._now for call in said.calls])
            self._messages.append(replace(self._now[0], content=content, calls=calls))
        else:
            self._messages += self._now
        self._now = []


def _take(fields: Fields, talk: _Talk) -> None:
    speaker, content = _SPEAKERS.get(fields.text("role") or ""), fields.raw("content")
    if speaker is None:
        raise fields.wrong("role", "'user' or 'assistant'")
    if isinstance(content, str):
        talk.add(Message(speaker, content))
        return
    for block in _blocks(fields, "content"):
        kind = block.text("type")
        if kind == "text":
            talk.add(Message(speaker, _text(block)))
        elif kind == "tool_result" and speaker == "user":
            talk.add(_result(block, talk.called))
        elif kind == "tool_use" and speaker == "assistant":
            talk.add(Message("assistant", "", calls=(_call(block, talk.called),)))
        elif kind not in _THOUGHTS or speaker != "assistant":
            raise _unknown(block, f"blocks that a message of the {speaker} may have here")


def _blocks(fields: Fields, name: str) -> Iterator[Fields]:
    """The blocks of a field that holds an array of them."""
    values = fields.raw(name)
    if not isinstance(values, list) or not values:
        raise fields.wrong(name, "a string or an array of content blocks")
    for place, value in enumerate(values):
        block = object_at(value, f"{fields.path(name)}[{place}]")
        block.inner("cache_control")
        yield block


def _text(block: Fields) -> str:
    text = block.text("text")
    if text is None:
        raise block.wrong("text", "a string")
    return text


def _texts(fields: Fields, name: str) -> str:
    """A field that holds a string, or blocks of text, each of which is a line of its own."""
    value = fields.raw(name)
    if isinstance(value, str):
        return value
    lines = []
    for block in _blocks(fields, name):
        if block.raw("type") != "text":
            raise _unknown(block, "blocks of type 'text'")
        lines.append(_text(block))
    return "\n".join(lines)


def _unknown(block: Fields, known: str) -> InvalidRequest | UnsupportedParameter:
    kind, path = block.text("type"), block.path("type")
    if kind is None:
        return block.wrong("type", "the kind of a content block")
    return UnsupportedParameter(
        f"{path} is {clip(kind)!r}, which is none of the {known}: the models here take text, and "
        "calls of tools.",
        param=path,
    )


def _call(block: Fields, called: Called) -> ToolCall:
    path = block.path("input")
    block.needed("input")
    value = block.raw("input")
    assert isinstance(value, dict)
    call = ToolCall(parse_call_id(block, "id"), parse_name(block), arguments_text(value, path))
    called.add((call,))
    return call


def _result(block: Fields, called: Called) -> Message:
    """A tool's result. Templates know no flag of failure: it is said in words."""
    call_id = parse_call_id(block, "tool_use_id")
    name = called.name_of(block, "tool_use_id", call_id)
    content = "" if block.raw("content") in (None, []) else _texts(block, "content")
    if block.flag("is_error"):
        content = f"Error: {content}"
    return Message("tool", content, call_id=call_id, name=name)
