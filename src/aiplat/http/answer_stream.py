"""How an API's stream takes an answer's events, whatever it writes of them. Pure."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from aiplat.domain.answers import AnswerEvent, Delta, Failed, Finished, Queued, Started
from aiplat.domain.errors import AiplatError


class AnswerStream(ABC):
    """Turns batches of one answer's events into what is written (`EventStream`).

    Attributes:
        failed: the error that ended the answer; what came before it is still written.
        complete: the answer ended well, and everything of it was fed.
        attempts: how many processors were tried; None while nobody works on it.
    """

    def __init__(self) -> None:
        self.failed: AiplatError | None = None
        self.complete = False
        self.attempts: int | None = None

    @abstractmethod
    def comment(self) -> bytes:
        """What keeps a waiting stream alive; empty where the format has no such thing."""

    def feed(self, events: Sequence[AnswerEvent], index: int = 0) -> bytes:
        """Write a batch: what it adds, in as few pieces as may be, and the end if it holds it."""
        if self.complete or self.failed is not None:
            return b""
        for event in events:
            match event:
                case Delta():
                    self._take(event)
                case Queued():
                    self._queue(event)
                case Started():
                    self.attempts = event.attempts
                    self._start(event)
                case Finished():
                    self._end(event)
                case Failed():
                    self.failed = event.error()
        self._flush()
        return self._given()

    def _end(self, event: Finished) -> None:
        try:
            self._finish(event)
        except AiplatError as error:
            self.failed = error
        else:
            self.complete = True

    def _queue(self, event: Queued) -> None:  # noqa: B027  # few formats tell of it
        """Hear that it waits."""

    def _start(self, event: Started) -> None:  # noqa: B027  # few formats tell of it
        """Hear who works on it; a later one, after a move, has the last word."""

    @abstractmethod
    def _take(self, delta: Delta) -> None:
        """Gather what is said."""

    @abstractmethod
    def _flush(self) -> None:
        """Write what was gathered since it was last done."""

    @abstractmethod
    def _finish(self, event: Finished) -> None:
        """Write the end.

        Raises:
            AiplatError: it is no good one; nothing of it was written.
        """

    @abstractmethod
    def _given(self) -> bytes:
        """All that was written, and not given away yet."""
