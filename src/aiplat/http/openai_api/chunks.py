"""An answer's events as the chunks of OpenAI's stream. Pure: events in, bytes out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from aiplat.domain.answers import AnswerEvent, Delta, Failed, Finished, Queued, Started
from aiplat.domain.errors import AiplatError
from aiplat.domain.usage import Usage
from aiplat.http.openai_api.rendering import (
    ChoiceLogprobs,
    CompletionUsage,
    FinishReason,
    completion_id,
    fingerprint,
    logprobs_of,
    reason_of,
    usage_of,
)
from aiplat.http.said import together

DONE = b"data: [DONE]\n\n"
_UNSET = msgspec.UNSET


class ChunkDelta(msgspec.Struct, frozen=True):
    """What a chunk adds to the message."""

    role: Literal["assistant"] | msgspec.UnsetType = _UNSET
    content: str | msgspec.UnsetType = _UNSET


class ChunkChoice(msgspec.Struct, frozen=True):
    """The one choice that a chunk is of."""

    delta: ChunkDelta
    finish_reason: FinishReason | None = None
    logprobs: ChoiceLogprobs | None = None
    index: int = 0


class Chunk(msgspec.Struct, frozen=True, kw_only=True):
    """One event of the stream."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    system_fingerprint: str | None
    choices: tuple[ChunkChoice, ...]
    usage: CompletionUsage | msgspec.UnsetType | None = _UNSET


class ChunkStream:
    """Turns batches of events into what is written.

    Arguments:
        request_id: names the stream.
        model: the name that was asked for, until a processor says its own.
        created: Unix time, in seconds.
        include_usage: whether a last chunk has the usage, and each before it a null.
        choices: how many answers the stream has, one piece after another.

    Attributes:
        failed: the error that ended the answer; text that came before it is still written.
        complete: the answer ended well, and everything of it was fed.
        waiting: what a comment says while there is nothing to write.
        attempts: how many were tried; None while nobody works on it.
    """

    def __init__(
        self,
        request_id: str,
        model: str,
        created: int,
        include_usage: bool,
        choices: int = 1,
    ) -> None:
        self.failed: AiplatError | None = None
        self.complete = False
        self.waiting = "waiting"
        self.attempts: int | None = None
        self._id = completion_id(request_id)
        self._model = model
        self._created = created
        self._fingerprint: str | None = None
        self._include_usage = include_usage
        self._choices = choices
        self._begun: set[int] = set()
        self._usages: list[Usage] = []

    @property
    def is_over(self) -> bool:
        """Whether nothing more is written: all ended well, or one failed."""
        return self.complete or self.failed is not None

    def comment(self) -> bytes:
        """What keeps a waiting stream alive (`EventStream`)."""
        return f": {self.waiting}\n\n".encode()

    def feed(self, events: Sequence[AnswerEvent], index: int = 0) -> bytes:
        """Write a batch of one choice: its text in one chunk, and the end if it holds it."""
        if self.is_over:
            return b""
        out: list[bytes] = []
        deltas: list[Delta] = []
        for event in events:
            match event:
                case Delta():
                    deltas.append(event)
                case Queued():
                    self.waiting = _describe(event)
                case Started():
                    self._start(event)
                case Finished():
                    self._write(out, deltas, index)
                    self._finish(out, event, index)
                case Failed():
                    self._write(out, deltas, index)
                    self.failed = event.error()
                    return b"".join(out)
        if not out:
            self._write(out, deltas, index)
        return b"".join(out)

    def _start(self, event: Started) -> None:
        self.waiting = "working"
        self.attempts = event.attempts
        self._model = event.manifest.name
        self._fingerprint = fingerprint(event)

    def _write(self, out: list[bytes], deltas: list[Delta], index: int) -> None:
        text = "".join(delta.text for delta in deltas)
        logprobs = logprobs_of(deltas)
        if text or logprobs is not None:
            self._role(out, index)
            choice = ChunkChoice(ChunkDelta(content=text), None, logprobs, index)
            out.append(self._chunk((choice,)))

    def _role(self, out: list[bytes], index: int) -> None:
        if index not in self._begun:
            self._begun.add(index)
            first = ChunkDelta(role="assistant", content="")
            out.append(self._chunk((ChunkChoice(first, index=index),)))

    def _finish(self, out: list[bytes], event: Finished, index: int) -> None:
        try:
            reason = reason_of(event)
        except AiplatError as error:
            self.failed = error
            return
        self._role(out, index)
        out.append(self._chunk((ChunkChoice(ChunkDelta(), reason, index=index),)))
        self._usages.append(event.usage)
        if len(self._usages) < self._choices:
            return
        if self._include_usage:
            out.append(self._chunk((), usage_of(together(self._usages))))
        out.append(DONE)
        self.complete = True

    def _chunk(
        self, choices: tuple[ChunkChoice, ...], usage: CompletionUsage | None = None
    ) -> bytes:
        chunk = Chunk(
            id=self._id,
            created=self._created,
            model=self._model,
            system_fingerprint=self._fingerprint,
            choices=choices,
            usage=usage if self._include_usage else _UNSET,
        )
        return b"data: " + msgspec.json.encode(chunk) + b"\n\n"


def _describe(event: Queued) -> str:
    """The comment of a request that waits. Its reason is left out: a peer may have written it."""
    if event.expected_wait_ms:
        return f"queued, {event.place} before it, about {event.expected_wait_ms / 1000:.0f} s"
    return f"queued, {event.place} before it"
