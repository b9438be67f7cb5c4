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
from aiplat.series.seen import Seen

Saw = Callable[[Seen], None]
"""Hears of each request that ended (`Series.saw`). At once, and without a fault."""


class Watched:
    """A sink around the asker's, which tells what the answer came to (`AnswerSink`).

    Arguments:
        role: the role that sees it.
        submission: what is asked.
        sink: the asker's.
        saw: told at the end, once.
        now: the clock, in seconds.
        peer: who asked; None where it is who answered, as its `Started` says.
    """

    __slots__ = (
        "_began", "_first", "_model", "_now", "_peer", "_role", "_saw", "_sink", "_started",
        "_tokens",
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
        self._tokens = 0

    def deliver(self, event: AnswerEvent) -> None:
        """Look at it and pass it on (`AnswerSink`)."""
        kind = type(event)
        if kind is Delta:
            if self._first is None:
                self._first = self._now()
            self._tokens += len(event.ids)  # type: ignore[union-attr]  # it is one
        elif isinstance(event, Started):
            self._started = event
        elif isinstance(event, Finished | Failed):
            self._tell(event)
        self._sink.deliver(event)

    def _tell(self, end: Finished | Failed) -> None:
        started, usage, peer = self._started, end.usage, self._peer
        if peer is None:
            peer = "" if started is None else started.processor or started.gateway
        prompt = 0 if started is None else started.prompt_tokens
        self._saw(
            Seen(
                role=self._role,
                model=self._model or ("" if started is None else started.manifest.name),
                peer=peer,
                failed=isinstance(end, Failed),
                prompt_tokens=prompt if usage is None else usage.prompt_tokens,
                cached_tokens=0 if usage is None else usage.cached_tokens,
                completion_tokens=self._tokens if usage is None else usage.completion_tokens,
                first_seconds=None if self._first is None else self._first - self._began,
                total_seconds=self._now() - self._began,
            )
        )
