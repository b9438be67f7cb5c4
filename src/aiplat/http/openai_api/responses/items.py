"""The items of a conversation: what is asked and what is answered, in one form for both. Pure.

Source: OpenAI's published schemas `InputItem` and `OutputItem`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Literal

import msgspec

from aiplat.http.openai_api.rendering import ContentLogprob

ItemStatus = Literal["in_progress", "completed", "incomplete"]
ItemRole = Literal["user", "assistant", "system", "developer"]


class InputText(msgspec.Struct, frozen=True, tag="input_text", tag_field="type"):
    """A part of what was asked."""

    text: str


class OutputText(msgspec.Struct, frozen=True, tag="output_text", tag_field="type"):
    """A part of what was answered. `annotations` are of tools that nothing here runs."""

    text: str
    annotations: tuple[()] = ()
    logprobs: Sequence[ContentLogprob] = ()


class Refusal(msgspec.Struct, frozen=True, tag="refusal", tag_field="type"):
    """What another model said in an answer's place; none here writes one."""

    refusal: str


Part = InputText | OutputText | Refusal


class MessageItem(msgspec.Struct, frozen=True, tag="message", tag_field="type"):
    """A message."""

    id: str
    status: ItemStatus
    role: ItemRole
    content: tuple[Part, ...]

    @property
    def text(self) -> str:
        """Its text, each part a line of its own."""
        return "\n".join(map(text_of, self.content))


class CallItem(msgspec.Struct, frozen=True, tag="function_call", tag_field="type"):
    """A call of a function, with its arguments as JSON text."""

    id: str
    status: ItemStatus
    call_id: str
    name: str
    arguments: str


class CallOutputItem(msgspec.Struct, frozen=True, tag="function_call_output", tag_field="type"):
    """What a called function gave."""

    id: str
    status: ItemStatus
    call_id: str
    output: str | tuple[InputText, ...]

    @property
    def text(self) -> str:
        """Its text, each part a line of its own."""
        if isinstance(self.output, str):
            return self.output
        return "\n".join(part.text for part in self.output)


Item = MessageItem | CallItem | CallOutputItem
OutputItem = MessageItem | CallItem

_ITEMS = msgspec.json.Decoder(tuple[Item, ...])


def text_of(part: Part) -> str:
    """The text of a part."""
    return part.refusal if isinstance(part, Refusal) else part.text


def item_id(prefix: str, request: str, kind: str, place: int) -> str:
    """What an item is called.

    Arguments:
        prefix: OpenAI's, such as ``msg``.
        request: the id of the request.
        kind: ``in`` or ``out``.
        place: its place among those of its kind.
    """
    digest = hashlib.sha256(f"{request}/{kind}/{place}".encode()).hexdigest()
    return f"{prefix}_{digest[:32]}"


def items_in(data: bytes) -> tuple[Item, ...]:
    """Items as they were stored."""
    return _ITEMS.decode(data)
