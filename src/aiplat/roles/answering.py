"""An answer as a task reads it: a sink that keeps events until they are taken, in batches."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
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


def _silent() -> None:
    """Nothing."""


class Answer:
    """The events of one request, for one reading task. Open it with `answering`.

    What is kept is bounded by the submission's credit: more is granted only for what was taken.

    Arguments:
        submission: what is asked.
        ring: called at each event, for a reader of several answers.
    """

    def __init__(self, submission: Submission, ring: Callable[[], None] = _silent) -> None:
        self.submission = submission
        self.tokens = 0
        self.ended = False
        self._kept: list[AnswerEvent] = []
        self._arrived = trio.Event()
        self._asking: Asking | None = None
        self._ring = ring

    def deliver(self, event: AnswerEvent) -> None:
        """Keep an event for the reader (`AnswerSink`)."""
        self._kept.append(event)
        self._arrived.set()
        self._ring()
        if isinstance(event, Finished | Failed):  # who refers back to it goes now, not at a
            self._asking, self._ring = None, _silent  # garbage collection

    async def next(self) -> list[AnswerEvent]:
        """All events that are there, at least one; waits for it.

        After the batch that holds `Finished` or `Failed`, `ended` is true and nothing comes.
        """
        while not self._kept:
            self._arrived = trio.Event()
            await self._arrived.wait()
        return self.take()

    def take(self) -> list[AnswerEvent]:
        """All events that are there, maybe none."""
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


class Choices:
    """Several answers to one question, for one reading task. Open them with `answering_all`."""

    def __init__(self, submissions: Sequence[Submission]) -> None:
        self._bell = trio.Event()
        self.answers = [Answer(submission, self._ring) for submission in submissions]

    @property
    def ended(self) -> bool:
        """Whether all have ended."""
        return all(answer.ended for answer in self.answers)

    async def next(self) -> list[tuple[int, list[AnswerEvent]]]:
        """All events that are there, at least one, with the place of their answer; waits for it."""
        while True:
            self._bell = trio.Event()
            taken = [(place, answer.take()) for place, answer in enumerate(self.answers)]
            ready = [(place, batch) for place, batch in taken if batch]
            if ready:
                return ready
            await self._bell.wait()

    def cancel(self) -> None:
        """Ask for the end of all that have not ended."""
        for answer in self.answers:
            answer.cancel()

    def _ring(self) -> None:
        self._bell.set()


@asynccontextmanager
async def answering_all(
    inference: Inference, submissions: Sequence[Submission]
) -> AsyncIterator[Choices]:
    """Submit several requests and read their answers; leaving the block early cancels them.

    Raises:
        AiplatError: one was refused at once; then none goes on.
    """
    choices = Choices(submissions)
    try:
        for answer in choices.answers:
            answer.begin(inference)
        yield choices
    finally:
        choices.cancel()
        choices.answers.clear()  # they ring it: what is left of it goes with its reader
