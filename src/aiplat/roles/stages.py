"""How far a request has come on its way through a gateway, and which stage of it is over its limit.

Pure: whoever calls passes the time, in seconds of a clock that only grows.
"""

from __future__ import annotations

from typing import NamedTuple

from aiplat.domain.answers import Submission
from aiplat.domain.errors import AiplatError, DeadlineExceeded, ProcessorLost
from aiplat.domain.ids import PeerId, short
from aiplat.domain.usage import Timings
from aiplat.roles.settings import GatewaySettings
from aiplat.roles.standstill import meanwhile


class Overdue(NamedTuple):
    """A limit that has passed: what is told of it, and whether it was the processor's or asker's.

    Neither is to blame where the gateway had nobody for it.
    """

    error: AiplatError
    by_processor: bool = False
    by_asker: bool = False


class Stages:
    """The clocks of one request.

    Arguments:
        submission: says the deadline of the whole, and the reader's window.
        settings: the limits of the stages.
        now: when it came.
    """

    def __init__(self, submission: Submission, settings: GatewaySettings, now: float) -> None:
        self.arrived = now
        self.placed_at: float | None = None
        self.first_token_at: float | None = None
        self.last_token_at = 0.0
        self.cancelled_at: float | None = None
        self.stood_still_for = 0.0
        self._window = submission.credit
        self._whole_ms = submission.deadline_ms
        self._settings = settings
        self._queued_since = now
        self._nobody_since: float | None = None
        self._placed_since = self._progress_at = 0.0
        self._owed_credit = 0

    # -- what happens ----------------------------------------------------------------------------

    def looked(self, now: float, *, may_come: bool) -> None:
        """While it waits: whether anybody takes requests for its model now, be it busy."""
        if may_come:
            self._nobody_since = None
        elif self._nobody_since is None:
            self._nobody_since = now

    def placed(self, now: float) -> None:
        """A processor took it."""
        self.placed_at = self._placed_since = now
        self._nobody_since = None

    def loads(self, seconds: float, now: float) -> None:
        """The processor says that it loads the model first, for about so long: it may.

        Its first token is due as long after that as after a placing, but no later than a request
        may wait in the queue besides (`queue_seconds`); the whole deadline stands.
        """
        if self.placed_at is not None and self.first_token_at is None:
            until = min(now + seconds, self.placed_at + self._settings.queue_seconds)
            self._placed_since = max(self._placed_since, until)

    def put_back(self, now: float) -> None:
        """It failed there, and waits for another: as one that is new in the queue."""
        self.placed_at = None
        self._queued_since = now

    def said(self, cost: int, now: float) -> None:
        """Some of the answer came."""
        if self.first_token_at is None:
            self.first_token_at = now
        self.last_token_at = self._progress_at = now
        self._owed_credit += cost

    def taken(self, credit: int, now: float) -> None:
        """The reader took some of it."""
        self._owed_credit -= credit
        self._progress_at = now

    def cancelled(self, now: float) -> None:
        """Who asked wants the end."""
        self.cancelled_at = now

    def stood_still(self, seconds: float, now: float) -> None:
        """The gateway ran late by so much and could hear nothing: no stage's limit counts it."""
        self.stood_still_for += min(seconds, now - self.arrived)
        self._queued_since = min(now, self._queued_since + seconds)
        self._placed_since = max(self._placed_since, min(now, self._placed_since + seconds))
        self._progress_at = min(now, self._progress_at + seconds)
        if self._nobody_since is not None:
            self._nobody_since = min(now, self._nobody_since + seconds)
        if self.cancelled_at is not None:
            self.cancelled_at = min(now, self.cancelled_at + seconds)

    # -- how it stands ---------------------------------------------------------------------------

    def milliseconds_left(self, now: float) -> int:
        """Of the whole deadline."""
        return max(0, self._whole_ms - round((now - self.arrived) * 1000))

    def timings(self, now: float) -> Timings:
        """How long each stage took until now."""
        placed = self.placed_at if self.placed_at is not None else now
        first = self.first_token_at if self.first_token_at is not None else now
        return Timings(
            queue_ms=(placed - self.arrived) * 1000,
            first_token_ms=(first - self.arrived) * 1000,
            total_ms=(now - self.arrived) * 1000,
        )

    def overdue(self, processor: PeerId | None, tokens: int, now: float) -> Overdue | None:
        """The limit that has passed, if one has.

        Arguments:
            processor: who has it; None while it waits.
            tokens: how many came from there.
        """
        if now - self.arrived >= self._whole_ms / 1000:
            return Overdue(self.whole_is_over(processor, tokens), by_asker=True)
        if self.placed_at is None:
            return self._waits_too_long(now)
        if self.cancelled_at is not None:
            return self._answers_no_cancel(processor, now)
        if self.first_token_at is None:
            limit = self._settings.first_token_seconds
            late = _over(
                "the first token", processor, self._placed_since, limit, "first_token", now
            )
            if late is not None:
                late.error.recoverable = True  # another processor may be quicker
            return late
        if self._owed_credit >= self._window // 2:
            return self._reader_is_slow(now)
        limit = self._settings.next_token_seconds
        return _over("the next token", processor, self._progress_at, limit, "next_token", now)

    def whole_is_over(self, processor: PeerId | None, tokens: int) -> DeadlineExceeded:
        """The end at the deadline of the whole request: says how far it came."""
        if self.placed_at is None:
            stage = "it still waited for a free processor"
        elif self.first_token_at is None:
            stage = f"no token had come from processor {short(processor or '')}"
        else:
            stage = f"{tokens} tokens had come from processor {short(processor or '')}"
        stage += meanwhile(self.stood_still_for)
        return DeadlineExceeded(
            f"The answer was not done within {self._whole_ms / 1000:g} s, the deadline of the "
            f"whole request: {stage}. Allow more, or ask for fewer tokens."
        )

    # -- inside ----------------------------------------------------------------------------------

    def _waits_too_long(self, now: float) -> Overdue | None:
        limits, nobody = self._settings, self._nobody_since
        if nobody is not None and now - nobody >= limits.no_processor_seconds:
            limit, name = limits.no_processor_seconds, "no_processor"
            return _over("a processor", None, nobody, limit, name, now)
        limit = limits.queue_seconds
        return _over("a free processor", None, self._queued_since, limit, "queue", now)

    def _answers_no_cancel(self, processor: PeerId | None, now: float) -> Overdue | None:
        limit = self._settings.cancel_seconds
        if self.cancelled_at is None or now - self.cancelled_at < limit:
            return None
        lost = ProcessorLost(
            f"The processor {short(processor or '')} did not answer a cancel within {limit:g} s "
            "(gateway.cancel_seconds)."
        )
        return Overdue(lost, by_processor=True)

    def _reader_is_slow(self, now: float) -> Overdue | None:
        """It holds a place of the processor's: nobody may hold one for nothing."""
        limit = self._settings.stalled_seconds
        if now - self._progress_at < limit:
            return None
        return Overdue(
            DeadlineExceeded(
                f"The reader took nothing of the answer for {limit:g} s, while more of it waits "
                "(gateway.stalled_seconds): the answer was ended. Read on, or ask again."
            ),
            by_asker=True,
        )


def _over(
    what: str, processor: PeerId | None, since: float, limit: float, stage: str, now: float
) -> Overdue | None:
    if now - since < limit:
        return None
    who = f" from processor {short(processor)}" if processor else ""
    late = DeadlineExceeded(
        f"Waited {limit:g} s for {what}{who}, the limit (gateway.{stage}_seconds).", retry_after=5
    )
    return Overdue(late, by_processor=processor is not None)
