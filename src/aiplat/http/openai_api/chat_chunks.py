"""The choices of a chat's stream. Pure.

Source: the published schema `CreateChatCompletionStreamResponse`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec

from aiplat.domain.answers import Delta, Finished
from aiplat.http.openai_api.calls import CallChunk, CallWriter, FunctionPiece
from aiplat.http.openai_api.rendering import (
    ChoiceLogprobs,
    FinishReason,
    completion_id,
    logprobs_of,
    reason_of,
)

_UNSET = msgspec.UNSET


class ChunkDelta(msgspec.Struct, frozen=True):
    """What a chunk adds to the message."""

    role: Literal["assistant"] | msgspec.UnsetType = _UNSET
    content: str | msgspec.UnsetType | None = _UNSET
    tool_calls: tuple[CallChunk, ...] | msgspec.UnsetType = _UNSET
    function_call: FunctionPiece | msgspec.UnsetType = _UNSET


class ChunkChoice(msgspec.Struct, frozen=True):
    """The one choice that a chunk is of."""

    delta: ChunkDelta
    finish_reason: FinishReason | None = None
    logprobs: ChoiceLogprobs | None = None
    index: int = 0


class ChatShape:
    """What chat completions write of their choices (`Shape`).

    Arguments:
        request_id: names the stream and its calls.
        is_old: tells of a call as `function_call`.
    """

    def __init__(self, request_id: str, is_old: bool = False) -> None:
        self.id = completion_id(request_id)
        self.object = "chat.completion.chunk"
        self._request = request_id
        self._is_old = is_old
        self._begun: set[int] = set()
        self._calls: dict[int, CallWriter] = {}

    def said(self, deltas: Sequence[Delta], index: int) -> list[msgspec.Struct]:
        """Of what the choice `index` said: its role once, its text, and its calls."""
        text = "".join([delta.text for delta in deltas])
        logprobs = logprobs_of(deltas)
        calls = list(self._called(deltas, index))
        if not (text or calls) and logprobs is None:
            return []
        out: list[msgspec.Struct] = self._role(index, "" if text else None)
        if text or logprobs is not None:
            delta = ChunkDelta(content=text) if text else ChunkDelta()
            out.append(ChunkChoice(delta, None, logprobs, index))
        return out + calls

    def ended(self, finished: Finished, index: int) -> list[msgspec.Struct]:
        """Of its end: an empty delta with the reason."""
        end = ChunkChoice(ChunkDelta(), reason_of(finished, self._is_old), index=index)
        return [*self._role(index, ""), end]

    def _role(self, index: int, content: str | None) -> list[msgspec.Struct]:
        """The first chunk of a choice; its content is null where no text is known to follow."""
        if index in self._begun:
            return []
        self._begun.add(index)
        return [ChunkChoice(ChunkDelta("assistant", content), index=index)]

    def _called(self, deltas: Sequence[Delta], index: int) -> Iterator[ChunkChoice]:
        pieces = [piece for delta in deltas for piece in delta.calls]
        if not pieces:
            return
        writer = self._calls.setdefault(index, CallWriter(self._request, index))
        for chunk in writer.feed(pieces):
            if not self._is_old:
                yield ChunkChoice(ChunkDelta(tool_calls=(chunk,)), index=index)
            elif not chunk.index:
                yield ChunkChoice(ChunkDelta(function_call=chunk.function), index=index)
