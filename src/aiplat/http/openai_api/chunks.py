"""An answer's events as the chunks of OpenAI's streams, chat's and completions'. Pure.

What one choice says is shaped by the API (`Shape`); how chunks follow one another is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from aiplat.domain.answers import AnswerEvent, Delta, Failed, Finished, Queued, Started
from aiplat.domain.errors import AiplatError
from aiplat.domain.usage import Usage
from aiplat.http.openai_api.rendering import CompletionUsage, fingerprint, usage_of
from aiplat.http.said import refuse_cancelled, together

DONE = b"data: [DONE]\n\n"


class Chunk(msgspec.Struct, frozen=True, kw_only=True):
    """One event of the stream, of one choice, or of none where it has the usage."""

    id: str
    object: str
    created: int
    model: str
    system_fingerprint: str | None
    choices: tuple[msgspec.Struct, ...]
    usage: CompletionUsage | msgspec.UnsetType | None = msgspec.UNSET


class Shape(Protocol):
    """What one API writes of its choices, a chunk for each struct.

    Attributes:
        id: names the stream.
        object: what a chunk of it is called.
    """

    id: str
    object: str

    def said(self, deltas: Sequence[Delta], index: int) -> list[msgspec.Struct]:
        """Of what the choice `index` said; nothing when there is nothing to say."""

    def ended(self, finished: Finished, index: int) -> list[msgspec.Struct]:
        """Of its end, which is a good one."""


class ChunkStream:
    """Turns batches of events into what is written (`EventStream`).

    Arguments:
        shape: of the API.
        model: the name that was asked for, until a processor says its own.
        created: Unix time, in seconds.
        include_usage: whether a last chunk has the usage, and each before it a null.
        choices: how many answers the stream has, one piece after another.
        sum_up: what those came to, of each one's usage in their order.

    Attributes:
        failed: the error that ended the answer; text that came before it is still written.
        complete: the answer ended well, and everything of it was fed.
        waiting: what a comment says while there is nothing to write.
        attempts: how many were tried; None while nobody works on it.
    """

    def __init__(
        self,
        shape: Shape,
        model: str,
        created: int,
        include_usage: bool,
        choices: int = 1,
        sum_up: Callable[[Sequence[Usage]], Usage] = together,
    ) -> None:
        self.failed: AiplatError | None = None
        self.complete = False
        self.waiting = "waiting"
        self.attempts: int | None = None
        self._shape = shape
        self._model = model
        self._created = created
        self._fingerprint: str | None = None
        self._include_usage = include_usage
        self._choices = choices
        self._sum_up = sum_up
        self._usages: dict[int, Usage] = {}

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
                    self._write(out, self._shape.said(deltas, index))
                    self._finish(out, event, index)
                    return b"".join(out)
                case Failed():
                    self._write(out, self._shape.said(deltas, index))
                    self.failed = event.error()
                    return b"".join(out)
        self._write(out, self._shape.said(deltas, index))
        return b"".join(out)

    def _start(self, event: Started) -> None:
        self.waiting = "working"
        self.attempts = event.attempts
        self._model = event.manifest.name
        self._fingerprint = fingerprint(event)

    def _write(self, out: list[bytes], choices: Sequence[msgspec.Struct]) -> None:
        out += [self._chunk((choice,)) for choice in choices]

    def _finish(self, out: list[bytes], event: Finished, index: int) -> None:
        try:
            refuse_cancelled(event)
        except AiplatError as error:
            self.failed = error
            return
        self._write(out, self._shape.ended(event, index))
        self._usages[index] = event.usage
        if len(self._usages) < self._choices:
            return
        if self._include_usage:
            usages = [usage for _, usage in sorted(self._usages.items())]
            out.append(self._chunk((), usage_of(self._sum_up(usages))))
        out.append(DONE)
        self.complete = True

    def _chunk(
        self, choices: tuple[msgspec.Struct, ...], usage: CompletionUsage | None = None
    ) -> bytes:
        chunk = Chunk(
            id=self._shape.id,
            object=self._shape.object,
            created=self._created,
            model=self._model,
            system_fingerprint=self._fingerprint,
            choices=choices,
            usage=usage if self._include_usage else msgspec.UNSET,
        )
        return b"data: " + msgspec.json.encode(chunk) + b"\n\n"


def _describe(event: Queued) -> str:
    """The comment of a request that waits. Its reason is left out: a peer may have written it."""
    if event.expected_wait_ms:
        return f"queued, {event.place} before it, about {event.expected_wait_ms / 1000:.0f} s"
    return f"queued, {event.place} before it"
