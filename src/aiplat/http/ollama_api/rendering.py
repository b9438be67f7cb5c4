"""Ollama's shapes of an answer: its lines, of which the last has how it ended. Pure.

A whole answer is one line that is also the last. Source: `ChatResponse`, `GenerateResponse` and
`Metrics` of Ollama's API reference.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal

import msgspec

from aiplat.domain.answers import Finished
from aiplat.domain.usage import Timings
from aiplat.http.arguments import arguments_object
from aiplat.http.generating import call_id
from aiplat.http.openai_api.embedding_rendering import check_vectors, numbers_of
from aiplat.http.openai_api.rendering import ContentLogprob, logprobs_of
from aiplat.http.said import Called, Said, refuse_cancelled

Kind = Literal["chat", "generate"]
DoneReason = Literal["stop", "length", "load"]
_UNSET = msgspec.UNSET
_NANOSECONDS = 1_000_000
"""Of a millisecond."""


class Function(msgspec.Struct, frozen=True):
    """What is called; `index` is its place among the answer's calls."""

    index: int
    name: str
    arguments: dict[str, object]


class FunctionCall(msgspec.Struct, frozen=True):
    """A call of a tool."""

    id: str
    function: Function


class LineMessage(msgspec.Struct, frozen=True, kw_only=True):
    """What a line of a chat adds."""

    role: Literal["assistant"] = "assistant"
    content: str
    tool_calls: list[FunctionCall] | msgspec.UnsetType = _UNSET


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A line: of a chat it has a message, else text; what follows `done` is in the last alone."""

    model: str
    created_at: str
    message: LineMessage | msgspec.UnsetType = _UNSET
    response: str | msgspec.UnsetType = _UNSET
    logprobs: list[ContentLogprob] | msgspec.UnsetType = _UNSET
    done: bool = False
    done_reason: DoneReason | msgspec.UnsetType = _UNSET
    total_duration: int | msgspec.UnsetType = _UNSET
    load_duration: int | msgspec.UnsetType = _UNSET
    prompt_eval_count: int | msgspec.UnsetType = _UNSET
    prompt_eval_duration: int | msgspec.UnsetType = _UNSET
    eval_count: int | msgspec.UnsetType = _UNSET
    eval_duration: int | msgspec.UnsetType = _UNSET


class Embeddings(msgspec.Struct, frozen=True, kw_only=True):
    """Texts as vectors, in their order."""

    model: str
    embeddings: list[list[float]]
    total_duration: int
    load_duration: int
    prompt_eval_count: int


class Lines:
    """Makes the lines of one answer.

    Arguments:
        kind: of which route.
        request_id: names the calls.
        model: the name that was asked for.
    """

    def __init__(self, kind: Kind, request_id: str, model: str) -> None:
        self._kind = kind
        self._request = request_id
        self._model = model

    def piece(
        self,
        text: str,
        calls: Sequence[Called] = (),
        logprobs: list[ContentLogprob] | None = None,
        end: Line | None = None,
    ) -> bytes:
        """A line that adds something, and the end where it has one."""
        line = end or Line(model=self._model, created_at=now())
        added = msgspec.structs.replace(
            line,
            message=self._message(text, calls) if self._kind == "chat" else _UNSET,
            response=text if self._kind == "generate" else _UNSET,
            logprobs=logprobs or _UNSET,
        )
        return msgspec.json.encode(added)

    def end(self, end: Finished) -> Line:
        """What the last line says of an answer's end.

        Raises:
            ShuttingDown: it was cancelled, and not by its reader, who would not ask.
        """
        refuse_cancelled(end)
        load, read, said = durations(end.timings)
        return Line(
            model=self._model,
            created_at=now(),
            done=True,
            done_reason="length" if end.reason == "length" else "stop",
            total_duration=_whole(end.timings.total_ms),
            load_duration=load,
            prompt_eval_count=end.usage.prompt_tokens,
            prompt_eval_duration=read,
            eval_count=end.usage.completion_tokens,
            eval_duration=said,
        )

    def whole(self, said: Said) -> bytes:
        """A complete answer in one line."""
        logprobs = logprobs_of(said.deltas)
        return self.piece(
            said.text, said.calls, logprobs.content if logprobs else None, self.end(said.end)
        )

    def loaded(self) -> bytes:
        """The only line of a request that had a model loaded."""
        end = Line(model=self._model, created_at=now(), done=True, done_reason="load")
        return self.piece("", end=end)

    def _message(self, text: str, calls: Sequence[Called]) -> LineMessage:
        if not calls:
            return LineMessage(content=text)
        made = [
            FunctionCall(
                call_id(self._request, 0, call.index),
                Function(call.index, call.name, arguments_object(call.arguments)),
            )
            for call in calls
        ]
        return LineMessage(content=text, tool_calls=made)


def embeddings_body(model: str, said: Said, wanted: int) -> bytes:
    """The JSON of the vectors of so many texts.

    Raises:
        EngineFailed: there are others than were asked for.
    """
    check_vectors(said.vectors, wanted)
    load, _, _ = durations(said.end.timings)
    return msgspec.json.encode(
        Embeddings(
            model=model,
            embeddings=[numbers_of(vector) for vector in said.vectors],
            total_duration=_whole(said.end.timings.total_ms),
            load_duration=load,
            prompt_eval_count=said.end.usage.prompt_tokens,
        )
    )


def embedding_body(said: Said) -> bytes:
    """The JSON of one text's vector, as the older route has it.

    Raises:
        EngineFailed: there is another number of them.
    """
    check_vectors(said.vectors, 1)
    return msgspec.json.encode({"embedding": numbers_of(said.vectors[0])})


def durations(timings: Timings) -> tuple[int, int, int]:
    """Nanoseconds until a processor began (it may have loaded the model), then until the first
    token, then until the end."""
    queue, first = timings.queue_ms, max(timings.queue_ms, timings.first_token_ms)
    return _whole(queue), _whole(first - queue), _whole(timings.total_ms - first)


def now() -> str:
    """The time of day, as Ollama writes it (RFC 3339, UTC)."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _whole(milliseconds: float) -> int:
    return max(0, round(milliseconds * _NANOSECONDS))
