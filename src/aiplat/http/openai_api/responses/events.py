"""The events of a stream of the Responses API, each with its number in the stream. Pure.

Source: OpenAI's published schema `ResponseStreamEvent`, and the types of its clients.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from aiplat.http.openai_api.rendering import ContentLogprob
from aiplat.http.openai_api.responses.items import OutputItem, OutputText
from aiplat.http.openai_api.responses.shapes import ErrorEvent, Response


class _Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """What every event has."""

    sequence_number: int


class _OfResponse(_Event, frozen=True, kw_only=True):
    response: Response


class Created(_OfResponse, frozen=True, kw_only=True, tag="response.created"):
    """The answer has an id."""


class InProgress(_OfResponse, frozen=True, kw_only=True, tag="response.in_progress"):
    """A model works on it."""


class Completed(_OfResponse, frozen=True, kw_only=True, tag="response.completed"):
    """It ended well."""


class Incomplete(_OfResponse, frozen=True, kw_only=True, tag="response.incomplete"):
    """It was cut at its bound of tokens."""


class FailedEvent(_OfResponse, frozen=True, kw_only=True, tag="response.failed"):
    """It went wrong."""


class _OfItem(_Event, frozen=True, kw_only=True):
    output_index: int
    item: OutputItem


class ItemAdded(_OfItem, frozen=True, kw_only=True, tag="response.output_item.added"):
    """An item begins."""


class ItemDone(_OfItem, frozen=True, kw_only=True, tag="response.output_item.done"):
    """An item is whole."""


class _OfPart(_Event, frozen=True, kw_only=True):
    item_id: str
    output_index: int
    content_index: int = 0
    part: OutputText


class PartAdded(_OfPart, frozen=True, kw_only=True, tag="response.content_part.added"):
    """A message's text begins."""


class PartDone(_OfPart, frozen=True, kw_only=True, tag="response.content_part.done"):
    """A message's text is whole."""


class TextDelta(_Event, frozen=True, kw_only=True, tag="response.output_text.delta"):
    """More of a message's text."""

    item_id: str
    output_index: int
    content_index: int = 0
    delta: str
    logprobs: Sequence[ContentLogprob] = ()


class TextDone(_Event, frozen=True, kw_only=True, tag="response.output_text.done"):
    """All of a message's text."""

    item_id: str
    output_index: int
    content_index: int = 0
    text: str
    logprobs: Sequence[ContentLogprob] = ()


class ArgumentsDelta(
    _Event, frozen=True, kw_only=True, tag="response.function_call_arguments.delta"
):
    """More of a call's arguments."""

    item_id: str
    output_index: int
    delta: str


class ArgumentsDone(_Event, frozen=True, kw_only=True, tag="response.function_call_arguments.done"):
    """All of a call's arguments."""

    item_id: str
    output_index: int
    name: str
    arguments: str


Event = (
    Created | InProgress | Completed | Incomplete | FailedEvent | ItemAdded | ItemDone | PartAdded
    | PartDone | TextDelta | TextDone | ArgumentsDelta | ArgumentsDone | ErrorEvent
)  # fmt: skip


def written(event: Event) -> bytes:
    """An event as the stream has it (HTML standard, 9.2)."""
    name = str(event.__struct_config__.tag).encode()
    return b"event: " + name + b"\ndata: " + msgspec.json.encode(event) + b"\n\n"
