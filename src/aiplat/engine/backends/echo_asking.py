"""What every request to `echo` does, whatever it is for. Knows the time only as it is told."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Literal

from aiplat.domain.answers import (
    AnswerEvent,
    AnswerSink,
    Failed,
    Finished,
    Started,
    Submission,
)
from aiplat.domain.errors import AiplatError, DeadlineExceeded
from aiplat.domain.models import Manifest
from aiplat.domain.usage import Timings, Usage

Reason = Literal["stop", "length", "cancelled"]

NEVER = float("inf")
"""The time of the next round of one that has ended."""


class EchoAsking(ABC):
    """A request to `echo` (`Asking`), which goes on in rounds.

    Arguments:
        submission: what is asked.
        sink: where its events go.
        now: seconds; its deadline counts from here.
        wake: called when it can go on.
    """

    __slots__ = (
        "_began", "_cancelled", "_deadline", "_events", "_first", "_sink", "_started", "_wake",
        "ended",
    )  # fmt: skip

    def __init__(
        self, submission: Submission, sink: AnswerSink, now: float, wake: Callable[[], None]
    ) -> None:
        self._sink, self._wake = sink, wake
        self._events: list[AnswerEvent] = []
        self._cancelled = self._started = self.ended = False
        self._began, self._deadline = now, now + submission.deadline_ms / 1000
        self._first = 0.0

    def tell(self, event: AnswerEvent) -> None:
        """Deliver `event` at the next round; `submit` may not have returned yet."""
        self._events.append(event)

    def accept(self, tokens: int, credit: int) -> None:
        """Take more credit (`Asking`)."""
        self._grant(credit)
        self._wake()

    def cancel(self) -> None:
        """End at the next round (`Asking`)."""
        self._cancelled = True
        self._wake()

    def fail(self, error: AiplatError) -> None:
        """End with `error`."""
        self.ended = True
        self._sink.deliver(Failed.of(error, self._usage()))

    def idle(self, now: float) -> float:
        """A round while it waits for a slot; gives the time of its next."""
        self._speak()
        return NEVER if self._is_over(now, has_slot=False) else self._deadline

    def step(self, now: float, rate: float, burst: int, manifest: Manifest) -> float:
        """A round in a slot; gives the time of its next.

        Arguments:
            rate: tokens, or vectors, a second; 0 for no pause.
            burst: of them at most in this round.
            manifest: whose answer it is.
        """
        self._speak()
        if self._is_over(now, has_slot=True):
            return NEVER
        if not self._started:
            self._started, self._first = True, now
            self._sink.deliver(Started(manifest, self._prompt_tokens()))
        return self._go_on(now, rate, burst)

    def _speak(self) -> None:
        while self._events:
            self._sink.deliver(self._events.pop(0))

    def _is_over(self, now: float, *, has_slot: bool) -> bool:
        if self._cancelled:
            self._end("cancelled", now)
        elif now >= self._deadline:
            late = self._too_late(self._deadline - self._began, has_slot=has_slot)
            self.fail(DeadlineExceeded(late))
        return self.ended

    def _end(self, reason: Reason, now: float, stop: str = "") -> float:
        self.ended = True
        first = (self._first - self._began) * 1000 if self._started else 0.0
        timings = Timings(first, first, (now - self._began) * 1000)
        self._sink.deliver(Finished(reason, self._usage(), timings, stop=stop))
        return NEVER

    @abstractmethod
    def _grant(self, credit: int) -> None:
        """Add to what may be sent."""

    @abstractmethod
    def _prompt_tokens(self) -> int:
        """How many it has."""

    @abstractmethod
    def _usage(self) -> Usage:
        """What it came to so far."""

    @abstractmethod
    def _too_late(self, seconds: float, *, has_slot: bool) -> str:
        """What is said when its deadline of so many seconds has passed."""

    @abstractmethod
    def _go_on(self, now: float, rate: float, burst: int) -> float:
        """Give what is due (`step`)."""
