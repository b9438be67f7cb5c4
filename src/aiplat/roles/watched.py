"""An answer watched on its way to who asked, for the series."""

from __future__ import annotations

from collections.abc import Callable

from aiplat.domain.answers import (
    AnswerEvent,
    AnswerSink,
    Delta,
    Failed,
    Finished,
    Started,
    Submission,
)
from aiplat.domain.ids import Role
from aiplat.series.seen import Came, Seen

Saw = Callable[[Seen | Came], None]
"""Hears of each request that ended, and of the tokens of one that is under way (`Series.saw`).

At once, and without a fault."""

TELL_SECONDS = 0.25
"""How often a request's new tokens are told while it is under way."""


class Watched:
    """A sink around the asker's, which tells what comes, and what it came to (`AnswerSink`).

    Arguments:
        role: the role that sees it.
        submission: what is asked.
        sink: the asker's.
        saw: told each `TELL_SECONDS` of what came, and at the end, once.
        now: the clock, in seconds.
        peer: who asked; None where it is who answered, as its `Started` says.
    """

    __slots__ = (
        "_began", "_first", "_model", "_now", "_peer", "_role", "_saw", "_sink", "_started",
        "_tell_at", "_tokens", "_told",
    )  # fmt: skip

    def __init__(
        self,
        role: Role,
        submission: Submission,
        sink: AnswerSink,
        saw: Saw,
        now: Callable[[], float],
        peer: str | None = None,
    ) -> None:
        self._role = role
        self._model = submission.model
        self._sink = sink
        self._saw = saw
        self._now = now
        self._peer = peer
        self._began = now()
        self._first: float | None = None
        self._started: Started | None = None
        self._tokens = self._told = 0
        self._tell_at = 0.0

    def deliver(self, event: AnswerEvent) -> None:
        """Look at it and pass it on (`AnswerSink`)."""
        kind = type(event)
        if kind is Delta:
            now = self._now()
            if self._first is None:
                self._first = now
                self._tell_at = now + TELL_SECONDS
            self._tokens += len(event.ids)  # type: ignore[union-attr]  # it is one
            if now >= self._tell_at:
                self._tell_what_came(now)
        elif isinstance(event, Started):
            self._started = event
        elif isinstance(event, Finished | Failed):
            self._tell(event)
        self._sink.deliver(event)

    def _who(self) -> tuple[str, str]:
        """The model, and the peer."""
        started, peer = self._started, self._peer
        if peer is None:
            peer = "" if started is None else started.processor or started.gateway
        return self._model or ("" if started is None else started.manifest.name), peer

    def _tell_what_came(self, now: float) -> None:
        new, self._told = self._tokens - self._told, self._tokens
        self._tell_at = now + TELL_SECONDS
        if new:
            model, peer = self._who()
            self._saw(Came(role=self._role, model=model, peer=peer, tokens=new))

    def _tell(self, end: Finished | Failed) -> None:
        started, usage = self._started, end.usage
        model, peer = self._who()
        prompt = 0 if started is None else started.prompt_tokens
        self._saw(
            Seen(
                role=self._role,
                model=model,
                peer=peer,
                failed=isinstance(end, Failed),
                prompt_tokens=prompt if usage is None else usage.prompt_tokens,
                cached_tokens=0 if usage is None else usage.cached_tokens,
                completion_tokens=self._tokens if usage is None else usage.completion_tokens,
                first_seconds=None if self._first is None else self._first - self._began,
                total_seconds=self._now() - self._began,
                told_tokens=self._told,
            )
        )
