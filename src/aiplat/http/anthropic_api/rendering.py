"""Anthropic's shapes of an answer: the whole message, and the parts that its events share. Pure.

Source: `Message`, `Usage` and the content blocks of Anthropic's published client.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from aiplat.domain.answers import Finished
from aiplat.domain.usage import Usage
from aiplat.http.arguments import arguments_object
from aiplat.http.generating import call_id
from aiplat.http.said import Said, refuse_cancelled

StopReason = Literal["end_turn", "max_tokens", "stop_sequence", "tool_use"]


class TextBlock(msgspec.Struct, frozen=True, tag="text", tag_field="type"):
    """Text of an answer."""

    text: str
    citations: None = None


class ToolUseBlock(msgspec.Struct, frozen=True, kw_only=True, tag="tool_use", tag_field="type"):
    """A call of a tool."""

    id: str
    name: str
    input: dict[str, object]


class MessageUsage(msgspec.Struct, frozen=True):
    """Tokens. Those of the prompt are parted by whether their work was done before."""

    input_tokens: int
    cache_read_input_tokens: int
    output_tokens: int
    cache_creation_input_tokens: int = 0


class AnswerMessage(msgspec.Struct, frozen=True, kw_only=True):
    """An answer; in a stream's first event one that has neither content nor end."""

    id: str
    type: Literal["message"] = "message"
    role: Literal["assistant"] = "assistant"
    model: str
    content: tuple[TextBlock | ToolUseBlock, ...]
    stop_reason: StopReason | None
    stop_sequence: str | None
    usage: MessageUsage


def message_id(request_id: str) -> str:
    """The answer's id: the request's, behind Anthropic's prefix."""
    return f"msg_{request_id.removeprefix('req-')}"


def tool_use_id(request_id: str, index: int) -> str:
    """What the `index`-th call of an answer is called."""
    return f"toolu_{call_id(request_id, 0, index).removeprefix('call_')}"


def usage_of(usage: Usage) -> MessageUsage:
    """Tokens in Anthropic's words."""
    cached = min(usage.cached_tokens, usage.prompt_tokens)
    return MessageUsage(usage.prompt_tokens - cached, cached, usage.completion_tokens)


def reason_of(end: Finished, calls: bool) -> tuple[StopReason, str | None]:
    """Why an answer ended, and the stop sequence if one ended it.

    Arguments:
        end: of the answer.
        calls: whether it called a tool.

    Raises:
        ShuttingDown: it was cancelled, and not by its reader, who would not ask.
    """
    refuse_cancelled(end)
    if end.reason == "length":
        return "max_tokens", None
    if end.reason == "tool_calls" or calls:
        return "tool_use", None
    return ("stop_sequence", end.stop) if end.stop else ("end_turn", None)


def message_body(request_id: str, model: str, said: Said) -> bytes:
    """The JSON of a whole message.

    Arguments:
        request_id: names it.
        model: the name that was asked for.
        said: a complete answer.

    Raises:
        ShuttingDown: as `reason_of`.
    """
    text, calls = said.text, said.calls
    uses = [
        ToolUseBlock(
            id=tool_use_id(request_id, call.index),
            name=call.name,
            input=arguments_object(call.arguments),
        )
        for call in calls
    ]
    reason, sequence = reason_of(said.end, bool(calls))
    return msgspec.json.encode(
        AnswerMessage(
            id=message_id(request_id),
            model=said.started.manifest.name if said.started else model,
            content=(*([TextBlock(text)] if text else []), *uses),
            stop_reason=reason,
            stop_sequence=sequence,
            usage=usage_of(said.end.usage),
        )
    )
