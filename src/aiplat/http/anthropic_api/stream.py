"""An answer's events as the events of Anthropic's stream. Pure: events in, bytes out.

A message begins, then its blocks one after another, each with a start, pieces and a stop; then its
end. Source: Anthropic's published description of streamed messages, and its client's types.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from aiplat.domain.answers import CallPiece, Delta, Finished, Started
from aiplat.domain.usage import Usage
from aiplat.http.answer_stream import AnswerStream
from aiplat.http.anthropic_api.rendering import (
    AnswerMessage,
    TextBlock,
    ToolUseBlock,
    message_id,
    reason_of,
    tool_use_id,
    usage_of,
)


def sse(kind: str, **fields: object) -> bytes:
    """An event of Anthropic's: its name, and an object of that type."""
    data = msgspec.json.encode({"type": kind, **fields})
    return b"event: " + kind.encode() + b"\ndata: " + data + b"\n\n"


PING = sse("ping")
_WAITING = b": waiting\n\n"


class MessageStream(AnswerStream):
    """Turns batches of events into what is written (`EventStream`).

    Text that comes after a call is kept until the end, as a block of its own: how events were
    joined on their way then changes no block.

    Arguments:
        request_id: names the message.
        model: the name that was asked for, until a processor says its own.
    """

    def __init__(self, request_id: str, model: str) -> None:
        super().__init__()
        self._request = request_id
        self._model = model
        self._prompt_tokens = 0
        self._out: list[bytes] = []
        self._begun = False
        self._blocks = 0
        self._open = ""
        self._call = -1
        self._pieces: list[str] = []
        self._late: list[str] = []

    def comment(self) -> bytes:
        """What keeps a waiting stream alive: a ping once it was begun."""
        return PING if self._begun else _WAITING

    def _start(self, event: Started) -> None:
        self._model = event.manifest.name
        self._prompt_tokens = event.prompt_tokens

    def _take(self, delta: Delta) -> None:
        if delta.text:
            if self._call < 0:
                self._text(delta.text)
            else:
                self._late.append(delta.text)
        for piece in delta.calls:
            self._piece(piece)

    def _text(self, text: str) -> None:
        if self._open != "text":
            self._open_block("text", TextBlock(""))
        self._pieces.append(text)

    def _piece(self, piece: CallPiece) -> None:
        if piece.index != self._call:
            self._call = piece.index
            use = tool_use_id(self._request, piece.index)
            self._open_block("tool_use", ToolUseBlock(id=use, name=piece.name, input={}))
        self._pieces.append(piece.arguments)

    # -- a message and its blocks ----------------------------------------------------------------

    def _begin(self) -> None:
        if self._begun:
            return
        self._begun = True
        message = AnswerMessage(
            id=message_id(self._request),
            model=self._model,
            content=(),
            stop_reason=None,
            stop_sequence=None,
            usage=usage_of(Usage(self._prompt_tokens, 0)),
        )
        self._out.append(sse("message_start", message=message))

    def _open_block(self, kind: str, block: TextBlock | ToolUseBlock) -> None:
        """Begin the next block, after the end of the one before."""
        self._begin()
        self._stop()
        self._open = kind
        self._out.append(sse("content_block_start", index=self._blocks, content_block=block))
        if not self._blocks:
            self._out.append(PING)

    def _flush(self) -> None:
        """Write what came of the open block since it was last done."""
        added = "".join(self._pieces)
        self._pieces.clear()
        if not added:
            return
        delta: Mapping[str, str] = {"type": "text_delta", "text": added}
        if self._open == "tool_use":
            delta = {"type": "input_json_delta", "partial_json": added}
        self._out.append(sse("content_block_delta", index=self._blocks, delta=delta))

    def _stop(self) -> None:
        """End the open block, if one is."""
        if self._open:
            self._flush()
            self._out.append(sse("content_block_stop", index=self._blocks))
            self._blocks += 1
            self._open = ""

    def _finish(self, event: Finished) -> None:
        reason, sequence = reason_of(event, self._call >= 0)
        self._begin()
        if self._late:
            self._text("".join(self._late))
        self._stop()
        self._out.append(
            sse(
                "message_delta",
                delta={"stop_reason": reason, "stop_sequence": sequence},
                usage=usage_of(event.usage),
            )
        )
        self._out.append(sse("message_stop"))

    def _given(self) -> bytes:
        out, self._out = self._out, []
        return b"".join(out)
