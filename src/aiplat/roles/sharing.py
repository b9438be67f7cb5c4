"""What a processor has under way for others than its owner, and whether it takes more of that.

Knows no terms: it is told a reason, and holds to it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from itertools import groupby
from operator import attrgetter
from typing import Literal

import trio

from aiplat.control.messages import ShareUser
from aiplat.domain.answers import (
    AnswerEvent,
    AnswerSink,
    Asking,
    Delta,
    Failed,
    Finished,
    Submission,
)
from aiplat.domain.errors import AiplatError, ShuttingDown
from aiplat.domain.ids import PeerId

log = logging.getLogger("aiplat.processor")

By = Literal["gateway", "client"]

RETRY_SECONDS = 30.0
"""After which a gateway that knows no better may ask again; it hears of an end of it at once."""


class Use:
    """One request of another's: a sink around the asker's that counts, and an `Asking` to end.

    Arguments:
        peer: who asked.
        by: whether it is a gateway, or a client of this node's own gateway.
        began: seconds.
        on_end: called once, at its end.
    """

    __slots__ = (
        "_asking", "_on_end", "_sink", "began", "by", "ended", "model", "peer", "request",
        "tokens",
    )  # fmt: skip

    def __init__(
        self,
        submission: Submission,
        sink: AnswerSink,
        peer: PeerId,
        by: By,
        began: float,
        on_end: Callable[[Use], None],
    ) -> None:
        self.request = submission.id
        self.peer = peer
        self.by = by
        self.model = submission.model
        self.began = began
        self.tokens = 0
        self.ended = False
        self._sink = sink
        self._on_end = on_end
        self._asking: Asking | None = None

    def runs(self, asking: Asking) -> None:
        """An engine took it."""
        self._asking = asking

    def deliver(self, event: AnswerEvent) -> None:
        """Count it and pass it on (`AnswerSink`); nothing after the end."""
        if self.ended:
            return
        if type(event) is Delta:
            self.tokens += len(event.ids)
        elif isinstance(event, Finished | Failed):
            self._end(event)
        self._sink.deliver(event)

    def fail(self, error: AiplatError) -> None:
        """End it with an error, and tell its engine to stop."""
        if self.ended:
            return
        asking = self._asking
        self.deliver(Failed.of(error))
        if asking is not None:
            asking.cancel()

    def _end(self, event: Finished | Failed) -> None:
        self.ended = True
        self._asking = None  # it holds this, and would be held
        if event.usage is not None:  # an engine that gives no ids counts all the same
            self.tokens = max(self.tokens, event.usage.completion_tokens)
        self._on_end(self)


class Sharing:
    """What others have under way here. While there is a `reason` they get nothing new.

    `requests` and `tokens` count all that they ever had.

    Arguments:
        now: the clock, in seconds.
    """

    def __init__(self, now: Callable[[], float] = trio.current_time) -> None:
        self.reason = ""
        self.requests = 0
        self._tokens = 0
        self._uses: set[Use] = set()
        self._now = now

    def __len__(self) -> int:
        return len(self._uses)

    @property
    def tokens(self) -> int:
        """All that others got, those under way too."""
        return self._tokens + sum(use.tokens for use in self._uses)

    def refuse(self) -> None:
        """Let others in.

        Raises:
            ShuttingDown: they get nothing now; other processors may take it.
        """
        if self.reason:
            raise ShuttingDown(
                f"This processor takes no requests of others now: {self.reason}.",
                retry_after=RETRY_SECONDS,
            )

    def use(self, submission: Submission, sink: AnswerSink, peer: PeerId, by: By) -> Use:
        """A request of another's, which is about to be handed to an engine: call `began` then."""
        return Use(submission, sink, peer, by, self._now(), self._ended)

    def began(self, use: Use, asking: Asking) -> None:
        """An engine took it."""
        use.runs(asking)
        self.requests += 1
        self._uses.add(use)

    def _ended(self, use: Use) -> None:
        self._uses.discard(use)
        self._tokens += use.tokens
        log.debug(
            "request %s of %s ended here", use.request, use.peer,
            extra={"request": use.request, "completion_tokens": use.tokens},
        )  # fmt: skip

    def end_all(self, why: str) -> int:
        """End what others have under way, so that gateways place it elsewhere.

        Returns:
            How many requests that were.
        """
        error = ShuttingDown(
            f"The processor was taken back before the answer was whole: {why}.",
            retry_after=RETRY_SECONDS,
        )
        uses = list(self._uses)
        for use in uses:
            use.fail(error)
        return len(uses)

    def users(self) -> tuple[ShareUser, ...]:
        """Who uses it now, for which model; those that came first are first."""
        alike = attrgetter("peer", "by", "model")
        groups = [list(uses) for _, uses in groupby(sorted(self._uses, key=alike), key=alike)]
        found = [_user(uses, self._now()) for uses in groups]
        return tuple(sorted(found, key=lambda user: -user.since_seconds))


def _user(uses: Iterable[Use], now: float) -> ShareUser:
    alike = list(uses)
    return ShareUser(
        peer_id=alike[0].peer, role=alike[0].by, model=alike[0].model, running=len(alike),
        tokens=sum(use.tokens for use in alike),
        since_seconds=round(max(0.0, now - min(use.began for use in alike)), 1),
    )  # fmt: skip
