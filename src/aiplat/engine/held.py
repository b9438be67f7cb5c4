"""A request in the node's hands while an engine's process works on it."""

from __future__ import annotations

from typing import Protocol

from aiplat.domain.answers import AnswerEvent, AnswerSink, Delta, Started, Submission
from aiplat.domain.usage import Usage


class Desk(Protocol):
    """Who passes on what the asker says of its request."""

    def acknowledged(self, held: Held, tokens: int, credit: int) -> None:
        """The asker accepted `tokens` in all and takes `credit` more."""

    def cancelled(self, held: Held) -> None:
        """The asker wants the end."""


class Held:
    """One request (`Asking`).

    Arguments:
        number: its name in the pipes, never used again.
        submission: what is asked, without its credential.
        deadline: seconds on trio's clock.
    """

    __slots__ = (
        "_desk", "cancelled", "deadline", "number", "prompt", "said", "sent", "sink", "started",
        "submission",
    )  # fmt: skip

    def __init__(
        self, number: int, submission: Submission, sink: AnswerSink, deadline: float, desk: Desk
    ) -> None:
        self.number = number
        self.submission = submission
        self.sink = sink
        self.deadline = deadline
        self.sent = self.started = self.cancelled = False
        self.prompt = self.said = 0
        self._desk = desk

    @property
    def usage(self) -> Usage:
        """What was delivered until now."""
        return Usage(self.prompt, self.said)

    def deliver(self, event: AnswerEvent) -> None:
        """Pass an event on to the asker, and keep count."""
        if isinstance(event, Started):
            self.started, self.prompt = True, event.prompt_tokens
        elif isinstance(event, Delta):
            self.said += len(event.ids)
        self.sink.deliver(event)

    def accept(self, tokens: int, credit: int) -> None:
        """Pass more credit to the engine (`Asking`)."""
        self._desk.acknowledged(self, tokens, credit)

    def cancel(self) -> None:
        """Ask the engine for the end (`Asking`)."""
        if not self.cancelled:
            self.cancelled = True
            self._desk.cancelled(self)
