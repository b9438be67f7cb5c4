"""An upstream's stream as it is heard: pieces of bytes in, text with its credit out. Pure."""

from __future__ import annotations

from typing import Literal

from aiplat.domain.answers import CallPiece, Submission
from aiplat.domain.chat import Generate
from aiplat.domain.errors import AiplatError, EngineFailed, UnsupportedParameter, clip
from aiplat.domain.usage import Usage
from aiplat.engine.backends.upstream.called import Called, Miscalled
from aiplat.engine.backends.upstream.chunks import Chunk, Scored, Unreadable, read_chunk
from aiplat.engine.backends.upstream.failures import MAX_SENTENCE
from aiplat.engine.backends.upstream.key import Key
from aiplat.engine.backends.upstream.pending import Pending
from aiplat.engine.backends.upstream.sse import EventStream, Oversized

Reason = Literal["stop", "length", "tool_calls"]

_BROKEN = ("abort", "error", "cancelled", "")
"""Finish reasons of servers that gave up."""


class Hearing:
    """What came of one answer so far.

    Arguments:
        model: whose answer it is, for sentences.
        submission: says the reader's credit.
        work: says whether log-probabilities were asked for.
        key: of the upstream; it is cut out of what that says.

    Attributes:
        pending: what came and was not delivered.
        news: counts the chunks that bring the answer on.
        done: the upstream said that nothing more comes.
    """

    def __init__(self, model: str, submission: Submission, work: Generate, key: Key) -> None:
        self.pending = Pending(submission.credit)
        self.news = 0
        self.done = False
        self._model = model
        self._key = key
        self._tops = work.sampling.logprobs
        self._may_call = bool(work.tools)
        self._called = Called(one=work.one_call)
        self._events = EventStream()
        self._finish: str | None = None
        self._usage: Usage | None = None

    @property
    def finished(self) -> bool:
        """Whether the answer's text is whole, though its usage may still come."""
        return self.done or self._finish is not None

    @property
    def usage(self) -> Usage:
        """As the upstream counts; else the pieces that came, which are tokens with most servers."""
        return self._usage or Usage(0, self.pending.pieces, exact=False)

    @property
    def reason(self) -> Reason:
        """Why it ended."""
        if self._finish == "length":
            return "length"
        return "tool_calls" if self._called.count else "stop"

    def feed(self, piece: bytes) -> None:
        """Take what came.

        Raises:
            AiplatError: the upstream failed, or it is no stream of chunks.
        """
        try:
            for data in self._events.feed(piece):
                self._event(data)
                if self.done:
                    return
        except Oversized as fault:
            raise self._failed(f"sent {fault}") from None

    def close(self) -> None:
        """Take the end of the stream.

        Raises:
            AiplatError: it ended before the answer did.
        """
        if not self.done and (last := self._events.close()) is not None:
            self._event(last)
        if not self.finished:
            raise self._failed("ended in the middle of its answer")

    def _event(self, data: bytes) -> None:
        if data.strip() == b"[DONE]":
            self.done = True
            return
        try:
            chunk = read_chunk(data)
        except Unreadable as fault:
            raise self._failed(
                f"sent what is no part of an answer ({clip(str(fault), 120)})"
            ) from None
        if chunk.error is not None:
            said = self._key.scrubbed(chunk.error.strip().encode("utf-8", "replace")).decode()
            raise self._failed(f"failed: {clip(said, MAX_SENTENCE) or 'it does not say why'}")
        self._chunk(chunk)

    def _chunk(self, chunk: Chunk) -> None:
        if chunk.usage is not None:
            self._usage = chunk.usage
        if (chunk.text or chunk.scored or chunk.calls) and self._finish is None:
            self.pending.put(chunk.text, self._scores(chunk), self._calls(chunk))
        self.news += bool(chunk.text or chunk.thinks or chunk.scored or chunk.calls)
        if chunk.finish and self._finish is None:
            self._finish = self._known(chunk.finish)

    def _calls(self, chunk: Chunk) -> list[CallPiece]:
        if not chunk.calls:
            return []
        if not self._may_call:
            raise self._failed("calls a tool, and was given none")
        try:
            return self._called.pieces(chunk.calls)
        except Miscalled as fault:
            raise self._failed(str(fault)) from None

    def _scores(self, chunk: Chunk) -> list[Scored]:
        if self._tops is None:
            return []
        if not chunk.scored and not chunk.calls and self.pending.pieces == 0:
            raise UnsupportedParameter(
                f"The upstream of {self._model} gives no log-probabilities: leave logprobs out.",
                param="logprobs",
            )
        return [Scored(one.token, one.top[: self._tops]) for one in chunk.scored]

    def _known(self, finish: str) -> str:
        if finish in _BROKEN:
            raise self._failed(f"gave up in the middle of its answer ({finish})")
        if finish == "content_filter":
            raise EngineFailed(
                f"The upstream of {self._model} withheld the answer: its content filter says no.",
                recoverable=False,
            )
        return finish

    def _failed(self, why: str) -> AiplatError:
        return EngineFailed(f"The upstream of {self._model} {why}.".replace("..", "."))
