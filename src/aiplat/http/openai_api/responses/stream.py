"""An answer's events as the bytes of a stream, and as what is stored of it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from aiplat.domain.answers import AnswerEvent, Delta, Failed, Finished, Queued, Started
from aiplat.domain.errors import AiplatError
from aiplat.http.openai_api.responses.answering import Answering
from aiplat.http.openai_api.responses.events import written
from aiplat.http.openai_api.responses.shapes import Response
from aiplat.http.said import refuse_cancelled

Keep = Callable[[Response], None]


class ResponseStream:
    """Turns batches of events into what is written (`EventStream`).

    Each of the two is called before the bytes that tell of it are given away, so that who reads
    them finds it stored.

    Arguments:
        answering: the answer.
        keep_begin: keeps the beginning of one whose id becomes known.
        keep_end: keeps the end of one that was kept.
    """

    def __init__(self, answering: Answering, keep_begin: Keep, keep_end: Keep) -> None:
        self.failed: AiplatError | None = None
        self.complete = False
        self.attempts: int | None = None
        self._answering = answering
        self._keep_begin = keep_begin
        self._keep_end = keep_end
        self._waiting = "waiting"
        self._is_kept = False
        self._is_over = False

    def comment(self) -> bytes:
        """What keeps a waiting stream alive."""
        return f": {self._waiting}\n\n".encode()

    def feed(self, events: Sequence[AnswerEvent], index: int = 0) -> bytes:
        """Write a batch; what came before a failure in it too."""
        if self.complete or self.failed is not None:
            return b""
        deltas: list[Delta] = []
        for event in events:
            match event:
                case Delta():
                    deltas.append(event)
                case Queued():
                    self._waiting = f"queued, {event.place} before it"
                case Started():
                    self._waiting, self.attempts = "working", event.attempts
                    self._answering.start(event)
                case Finished():
                    self._finish(deltas, event)
                    deltas = []
                case Failed():
                    self.failed = event.error()
        if deltas:
            self._answering.feed(deltas)
        return self._take()

    def _finish(self, deltas: list[Delta], event: Finished) -> None:
        if deltas:
            self._answering.feed(deltas)
        try:
            refuse_cancelled(event)
        except AiplatError as error:
            self.failed = error
            return
        self._answering.finish(event)
        self.complete = True

    def _take(self) -> bytes:
        events = self._answering.take()
        if self._answering.is_begun and not self._is_kept:
            self._is_kept = True
            self._keep_begin(self._answering.beginning)
        if self.complete:
            self._end()
        return b"".join(map(written, events))

    def fail(self, error: Exception) -> bytes:
        """What ends the stream of an answer that went wrong after its head was sent."""
        self._answering.fail(error)
        self._end()
        return b"".join(map(written, self._answering.take()))

    def leave(self) -> None:
        """Who asked is gone: what has come is what there is."""
        if self._is_kept and not self._is_over:
            self._answering.cancel()
            self._end()

    def _end(self) -> None:
        if self._is_kept and not self._is_over:
            self._is_over = True
            self._keep_end(self._answering.response)
