"""One try of a request on one processor: a sink that is closed when another is tried."""

from __future__ import annotations

from aiplat.domain.answers import AnswerEvent, AnswerSink


class Attempt:
    """The sink of one try (`AnswerSink`).

    Arguments:
        sink: the request.
    """

    __slots__ = ("_sink",)

    def __init__(self, sink: AnswerSink) -> None:
        self._sink: AnswerSink | None = sink

    @property
    def is_over(self) -> bool:
        """Whether it hands on nothing more."""
        return self._sink is None

    def end(self) -> None:
        """Hand on nothing more: another processor is tried, or the request is over."""
        self._sink = None

    def deliver(self, event: AnswerEvent) -> None:
        """Hand it on, unless it is over."""
        if self._sink is not None:
            self._sink.deliver(event)
