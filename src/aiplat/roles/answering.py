"""An answer as a task reads it: a sink that keeps events until they are taken, in batches."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from aiplat.domain.answers import (
    AnswerEvent,
    Asking,
    Delta,
    Failed,
    Finished,
    Inference,
    Submission,
)


class Answer:
    """The events of one request, for one reading task. Open it with `answering`.

    What is kept is bounded by the submission's credit: more is granted only for what was taken.
    """

    def __init__(self, submission: Submission) -> None:
        self.submission = submission
        self.tokens = 0
        self.ended = False
        self._kept: list[AnswerEvent] = []
        self._arrived = trio.Event()
        self._asking: Asking | None = None

    def deliver(self, event: AnswerEvent) -> None:
        """Keep an event for the reader (`AnswerSink`)."""
        self._kept.append(event)
        self._arrived.set()

    async def next(self) -> list[AnswerEvent]:
        """All events that are there, at least one; waits for it.

        After the batch that holds `Finished` or `Failed`, `ended` is true and nothing comes.
        """
        while not self._kept:
            self._arrived = trio.Event()
            await self._arrived.wait()
        batch, self._kept = self._kept, []
        self._taken(batch)
        return batch

    def _taken(self, batch: list[AnswerEvent]) -> None:
        credit = 0
        for event in batch:
            if isinstance(event, Delta):
                self.tokens += len(event.ids)
                credit += event.cost
            elif isinstance(event, Finished | Failed):
                self.ended = True
        if credit and not self.ended and self._asking is not None:
            self._asking.accept(self.tokens, credit)

    def begin(self, inference: Inference) -> None:
        """Submit; raises what `Inference.submit` raises."""
        self._asking = inference.submit(self.submission, self)

    def cancel(self) -> None:
        """Ask for the end; it still comes as an event."""
        if self._asking is not None and not self.ended:
            self._asking.cancel()


@asynccontextmanager
async def answering(inference: Inference, submission: Submission) -> AsyncIterator[Answer]:
    """Submit a request and read its answer; leaving the block early cancels it.

    Raises:
        AiplatError: it was refused at once.
    """
    answer = Answer(submission)
    answer.begin(inference)
    try:
        yield answer
    finally:
        answer.cancel()
