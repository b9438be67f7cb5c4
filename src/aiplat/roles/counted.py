"""Requests under way, counted until their end whoever serves them."""

from __future__ import annotations

from aiplat.domain.answers import (
    AnswerEvent,
    AnswerSink,
    Asking,
    Failed,
    Finished,
    Inference,
    Submission,
)
from aiplat.domain.errors import AiplatError


class Counted:
    """An `Inference` around another that knows what it has under way.

    `active` holds the requests that have not ended, `taken` how many there ever were.
    """

    def __init__(self, inference: Inference) -> None:
        self.inference = inference
        self.active: set[UnderWay] = set()
        self.taken = 0

    def fail_all(self, error: AiplatError) -> None:
        """End all that is under way with an error; what it still says is dropped."""
        for under_way in list(self.active):
            under_way.deliver(Failed.of(error))

    def submit(self, submission: Submission, sink: AnswerSink) -> Asking:
        """Hand it on; raises what the other raises, and then counts nothing."""
        under_way = UnderWay(submission.id, sink, self.active)
        asking = self.inference.submit(submission, under_way)
        self.active.add(under_way)
        self.taken += 1
        return asking


class UnderWay:
    """A request's sink around the asker's, which notes the end."""

    def __init__(self, request: str, sink: AnswerSink, active: set[UnderWay]) -> None:
        self.request = request
        self._sink = sink
        self._active = active
        self._ended = False

    def deliver(self, event: AnswerEvent) -> None:
        """Pass it on (`AnswerSink`)."""
        if self._ended:
            return
        if isinstance(event, Finished | Failed):
            self._ended = True
            self._active.discard(self)
        self._sink.deliver(event)
