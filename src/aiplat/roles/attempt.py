"""One try of a request on one processor: a sink that is closed when another is tried."""

from __future__ import annotations

from aiplat.domain.answers import AnswerEvent, AnswerSink


class Attempt:
    """The sink of one try (`AnswerSink`).

    Arguments:
        sink: the request.
    """

    __slots__ = ("_sink", "is_over")

    def __init__(self, sink: AnswerSink) -> None:
        self._sink = sink
        self.is_over = False

    def deliver(self, event: AnswerEvent) -> None:
        """Hand it on, unless another processor was tried since."""
        if not self.is_over:
            self._sink.deliver(event)
