"""An answer's events as the bytes of a stream, and as what is stored of it. Pure."""

from __future__ import annotations

from collections.abc import Callable

from aiplat.domain.answers import Delta, Finished, Queued, Started
from aiplat.http.answer_stream import AnswerStream
from aiplat.http.openai_api.responses.answering import Answering
from aiplat.http.openai_api.responses.events import written
from aiplat.http.openai_api.responses.shapes import Response
from aiplat.http.said import refuse_cancelled

Keep = Callable[[Response], None]


class ResponseStream(AnswerStream):
    """Turns batches of events into what is written (`EventStream`).

    Each of the two is called before the bytes that tell of it are given away, so that who reads
    them finds it stored.

    Arguments:
        answering: the answer.
        keep_begin: keeps the beginning of one whose id becomes known.
        keep_end: keeps the end of one that was kept.
    """

    def __init__(self, answering: Answering, keep_begin: Keep, keep_end: Keep) -> None:
        super().__init__()
        self._answering = answering
        self._keep_begin = keep_begin
        self._keep_end = keep_end
        self._waiting = "waiting"
        self._deltas: list[Delta] = []
        self._is_kept = False
        self._is_over = False

    def comment(self) -> bytes:
        """What keeps a waiting stream alive."""
        return f": {self._waiting}\n\n".encode()

    def _queue(self, event: Queued) -> None:
        self._waiting = f"queued, {event.place} before it"

    def _start(self, event: Started) -> None:
        self._waiting = "working"
        self._answering.start(event)

    def _take(self, delta: Delta) -> None:
        self._deltas.append(delta)

    def _flush(self) -> None:
        if self._deltas:
            deltas, self._deltas = self._deltas, []
            self._answering.feed(deltas)

    def _finish(self, event: Finished) -> None:
        self._flush()
        refuse_cancelled(event)
        self._answering.finish(event)

    def _given(self) -> bytes:
        events = self._answering.take()
        if self._answering.is_begun and not self._is_kept:
            self._is_kept = True
            self._keep_begin(self._answering.beginning)
        if self.complete:
            self._keep_last()
        return b"".join(map(written, events))

    def fail(self, error: Exception) -> bytes:
        """What ends the stream of an answer that went wrong after its head was sent."""
        self._answering.fail(error)
        self._keep_last()
        return b"".join(map(written, self._answering.take()))

    def leave(self) -> None:
        """Who asked is gone: what has come is what there is."""
        if self._is_kept and not self._is_over:
            self._answering.cancel()
            self._keep_last()

    def _keep_last(self) -> None:
        if self._is_kept and not self._is_over:
            self._is_over = True
            self._keep_end(self._answering.response)
