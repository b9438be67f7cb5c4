"""One request on its way through a gateway: a sink towards the processor, an `Asking` back.

What was accepted is in its `Tally`, and is what is counted. What comes after a cancel is neither
passed on nor counted.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from aiplat.accounts.meter import Lease
from aiplat.domain.answers import (
    AnswerEvent,
    AnswerSink,
    Asking,
    Delta,
    Failed,
    Finished,
    Queued,
    Started,
    Submission,
)
from aiplat.domain.errors import AiplatError, DeadlineExceeded, EngineFailed, clip
from aiplat.domain.ids import PeerId, short
from aiplat.domain.usage import Usage
from aiplat.roles.attempt import Attempt
from aiplat.roles.breaker import Turn
from aiplat.roles.reasons import Kept
from aiplat.roles.settings import GatewaySettings
from aiplat.roles.stages import Overdue, Stages
from aiplat.roles.tally import Part, Tally

Now = Callable[[], float]

SAME_MOMENT_MS = 200
"""A processor keeps the deadline too, and tells of it up to two looks before the gateway does."""

FEW_TOKENS = 8
"""With fewer the speed of an answer is chance."""

_NO_FAULT = frozenset(
    {"overloaded", "shutting_down", "context_length_exceeded", "unsupported_parameter"}
)
"""What a processor says that has no room for it, or whose engine is not made for it."""


class Forwarding:
    """A request that a gateway took.

    Arguments:
        submission: as it came.
        sink: who asked.
        gateway: this gateway's peer id, said in `Started`.
        settings: the stages' deadlines.
        now: the clock, in seconds.
        on_end: called once, when the end was said.
        on_failed: told of a failure before the first token; True when it is tried elsewhere.
        asker: the peer that asked; None for this node's own faces.
        lease: what the accounts hold back for it, and count; None where nothing is counted.
        on_doubt: told of a processor that claims so many tokens of a part that can have so many.

    Attributes:
        by_asker: whether what it failed by is its asker's: its whole deadline, its right to ask, or
            a limit that the answer ran into (`Lease.end`).
        told_tokens: those that the series were told of.
    """

    def __init__(
        self,
        submission: Submission,
        sink: AnswerSink,
        *,
        gateway: PeerId,
        settings: GatewaySettings,
        now: Now,
        on_end: Callable[[Forwarding, Finished | Failed], None],
        on_failed: Callable[[Forwarding, Failed], bool] = lambda forwarding, failed: False,
        asker: PeerId | None = None,
        lease: Lease | None = None,
        on_doubt: Callable[[PeerId, str, Part, int, int], None] = lambda *claim: None,
    ) -> None:
        self.submission = submission
        self.lease = lease
        self.processor: PeerId | None = None
        self.model = submission.model
        self.ended = self.by_asker = False
        self.told_tokens = 0
        self._tally = Tally(submission, self._doubt)
        self._cut = False
        self.stages = Stages(submission, settings, now())
        self.asker = asker
        self.tried: list[PeerId] = []
        self.last_failure: Failed | None = None
        self.kept: Kept | None = None
        self._attempt = Attempt(self)
        self._held: Started | None = None
        self._waits_for = ""
        self._turn: Turn | None = None
        self._on_failed = on_failed
        self._sink = sink
        self._upstream: Asking | None = None
        self._release: Callable[[], None] = lambda: None
        self._gateway = gateway
        self._settings = settings
        self._now = now
        self._on_end = on_end
        self._on_doubt = on_doubt
        self._told_at = now()

    @property
    def tokens(self) -> int:
        """How many came (`Tally.tokens`)."""
        return self._tally.tokens

    @property
    def started(self) -> Started | None:
        """What the processor said of it, as far as it is believed."""
        return self._tally.started

    @property
    def began(self) -> Started | None:
        """What its processor said of it (`aiplat.accounts.meter.Progress`)."""
        return self.started

    @property
    def payer(self) -> str:
        """Whom it counts for: those take turns."""
        return self.lease.payer if self.lease is not None else self.asker or ""

    # -- placing ---------------------------------------------------------------------------

    @property
    def is_own(self) -> bool:
        """Whether this node's own faces ask, for its owner: by no key that somebody was given."""
        return self.asker is None and not self.submission.credential

    @property
    def user(self) -> PeerId | None:
        """The peer that uses a processor with it; None for this node's own faces.

        Empty for who came to its door by a key: that is no peer, and a name of an account is none
        of a processor's.
        """
        return None if self.is_own else self.asker or PeerId("")

    @property
    def is_placed(self) -> bool:
        """Whether a processor has it."""
        return self.stages.placed_at is not None

    def attempt(self) -> Attempt:
        """The sink for the next processor; what an earlier one still says is dropped."""
        self._attempt.end()
        self._attempt = Attempt(self)
        return self._attempt

    def placed(
        self,
        processor: PeerId,
        model: str,
        asking: Asking,
        release: Callable[[], None],
        turn: Turn | None = None,
    ) -> None:
        """A processor took it, for that model.

        Arguments:
            asking: the request there.
            release: gives its place there back, at the end.
            turn: hears how it went.
        """
        self.processor = processor
        self.tried.append(processor)
        self._turn = turn
        self._release = release
        self.model = model
        self.stages.placed(self._now())
        self._upstream = asking

    def may_retry(self, failed: Failed) -> bool:
        """Whether another processor may be tried: nothing was said yet, and it may go better."""
        return (
            failed.recoverable
            and self.is_placed
            and self.stages.first_token_at is None
            and self.stages.cancelled_at is None
            and len(self.tried) < self._settings.attempts
        )

    def retry(self, failed: Failed) -> bool:
        """Let go of the processor, if it is tried elsewhere."""
        if not self.may_retry(failed) or not self._on_failed(self, failed):
            return False
        upstream = self._upstream
        self._attempt.end()
        self._blame(failed)
        self._release()
        self._release = lambda: None
        self.last_failure = failed
        self._tally.forget()
        self.processor = self._held = self._upstream = None
        self.stages.put_back(self._now())
        if upstream is not None:
            upstream.cancel()  # it may be at it still
        return True

    def _blame(self, failed: Failed) -> None:
        """The processor rests, unless it only had no room, or is not made for this request."""
        turn, self._turn = self._turn, None
        if turn is None:
            return
        if failed.recoverable and failed.code not in _NO_FAULT:
            turn.failed(self._now())
        else:
            turn.gave_up(self._now())

    def milliseconds_left(self) -> int:
        """Of the whole deadline, from now."""
        return self.stages.milliseconds_left(self._now())

    def waits(self, queued: Queued) -> None:
        """Tell who asked that it waits."""
        if not self.ended:
            self._told_at = self._now()
            self._sink.deliver(queued)

    @property
    def is_long_untold(self) -> bool:
        """Whether who asked should hear again that this gateway still looks after it.

        A client takes a gateway that tells nothing for one that does not work (`client`'s
        `silence_seconds`), and a prompt may take longer than that to be read.
        """
        stages = self.stages
        if stages.first_token_at is not None or stages.cancelled_at is not None:
            return False
        return self._now() - self._told_at >= self._settings.remind_seconds

    def remind(self) -> None:
        """Tell who asked, from time to time, that a processor has it."""
        if self.processor is not None and self.is_long_untold:
            waits = self._waits_for or "it waits there"
            what = waits if self.started is None else "its prompt is being read"
            self.waits(Queued(0, 0, f"the processor {short(self.processor)} has it: {what}"))

    # -- from the processor ----------------------------------------------------------------

    def deliver(self, event: AnswerEvent) -> None:
        """Pass an event on, counted (`AnswerSink`)."""
        if self.ended:
            return
        if type(event) is Delta:
            self._delta(event)
        elif type(event) is Started:
            # Held until the first token: until then another processor may take its place.
            self._held = event = self._tally.begins(event)
            if self.lease is not None:
                prompt = self._tally.prompt
                self._within_limits(lambda lease: lease.started(prompt))
        elif type(event) is Finished:
            lacking = "" if event.reason == "cancelled" or self._cut else self._tally.lacking
            if lacking and self.stages.cancelled_at is None:
                who = short(self.processor or "")
                self._make_way(EngineFailed(f"The processor {who} {lacking}."))
                return
            self._say_started()
            self._finish(event)
        elif type(event) is Failed:
            if event.code == DeadlineExceeded.code and self.milliseconds_left() <= SAME_MOMENT_MS:
                # It has the same deadline, and was first.
                event = Failed.of(self.stages.whole_is_over(self.processor, self.tokens))
                self.by_asker = True
            if self.retry(event):
                return
            self._say_started()
            self._blame(event)
            usage = self._tally.usage(event.usage, cut=self.stages.cancelled_at is not None)
            self._end(msgspec.structs.replace(event, usage=usage))
        elif isinstance(event, Queued):
            self._waits_for = clip(event.reason, 200)
            self.stages.loads(event.expected_wait_ms / 1000, self._now())
            self.waits(event)

    def _say_started(self) -> None:
        if self._held is not None:
            started, self._held = self._held, None
            told = msgspec.structs.replace(
                started, processor=self.processor or "", gateway=self._gateway,
                attempts=max(1, len(self.tried)),
            )  # fmt: skip
            self._sink.deliver(told)

    def _within_limits(self, step: Callable[[Lease], None], *, is_answer: bool = False) -> None:
        """Have more held back for it; it ends here when there is no more."""
        assert self.lease is not None
        try:
            step(self.lease)
        except AiplatError as error:
            self.fail(error, by_asker=is_answer)

    def _doubt(self, part: Part, claimed: int, most: int) -> None:
        """A processor whose own tokenizer makes too many of a prompt rests, as one that failed."""
        self._on_doubt(self.processor or PeerId(""), self.submission.id, part, claimed, most)
        if self._turn is not None and self.started is not None and self.started.exact:
            self._turn.failed(self._now())
            self._turn = None

    def _delta(self, delta: Delta) -> None:
        if self.stages.cancelled_at is not None:
            self._cut = True  # nobody takes what was on its way when the cancel came
            return
        tally, lease, started = self._tally, self.lease, self._tally.started
        if why := tally.fault(delta):
            self._make_way(EngineFailed(f"The processor {short(self.processor or '')} {why}."))
            return
        if lease is not None and started is not None:
            tokens = tally.with_next(delta)
            if tokens > lease.room:  # before it is taken: a limit holds to the last token
                prompt = tally.prompt
                self._within_limits(lambda lease: lease.grow(prompt, tokens), is_answer=True)
                if self.ended:
                    return
        is_first = self.stages.first_token_at is None
        self.stages.said(delta.cost, self._now())
        if is_first:
            self._say_started()
            if self._turn is not None:
                self._turn.succeeded()
        tally.take(delta)
        self._sink.deliver(delta)

    def _make_way(self, error: AiplatError) -> None:
        """The processor is wrong: another is tried, or it ends here."""
        if not self.retry(Failed.of(error)):
            self.fail(error, by_processor=True)

    def _finish(self, finished: Finished) -> None:
        cut = self._cut or finished.reason == "cancelled"
        usage = self._tally.usage(finished.usage, cut=cut) or Usage(0, 0)
        if self._cut:
            finished = msgspec.structs.replace(finished, reason="cancelled")
        timings = self.stages.timings(self._now())
        self._end(msgspec.structs.replace(finished, usage=usage, timings=timings))

    @property
    def tokens_per_second(self) -> float:
        """The speed of the answer after its first token; 0 when there is too little to tell."""
        first, last = self.stages.first_token_at, self.stages.last_token_at
        count = len(self._tally.ids)
        if first is None or count < FEW_TOKENS:
            return 0.0
        return (count - 1) / max(1e-6, last - first)

    def _end(self, end: Finished | Failed) -> None:
        self.ended = True
        try:
            if self._turn is not None:
                if isinstance(end, Finished) and end.reason != "cancelled":
                    self._turn.succeeded()
                else:
                    self._turn.gave_up(self._now())
            self._release()
            self._sink.deliver(end)
        finally:  # whatever fails: it is counted, and its place is free
            self._on_end(self, end)
            self.let_go()

    def let_go(self) -> None:
        """Drop what refers back to it: its prompt goes now, and waits for no garbage collection."""
        self._attempt.end()
        self._tally.end()
        if self.lease is not None:
            self.lease.progress = None

    # -- from who asked (`Asking`) -----------------------------------------------------------

    def accept(self, tokens: int, credit: int) -> None:
        """Hand the reader's credit on to the processor."""
        if self._upstream is not None and not self.ended:
            self.stages.taken(credit, self._now())
            self._upstream.accept(tokens, credit)

    def cancel(self) -> None:
        """End it: at once if it still waits, else the processor answers."""
        if self.ended or self.stages.cancelled_at is not None:
            return
        self.stages.cancelled(self._now())
        if self._upstream is not None:
            self._upstream.cancel()
        else:
            self._end(Finished("cancelled", Usage(0, 0), self.stages.timings(self._now())))

    # -- ends ----------------------------------------------------------------------------------

    def fail(
        self, error: AiplatError, *, by_processor: bool = False, by_asker: bool = False
    ) -> None:
        """End it with an error; a processor that has it is told to stop.

        Arguments:
            by_processor: whether that one is to blame, and rests.
            by_asker: as the attribute.
        """
        if self.ended:
            return
        self.by_asker = by_asker
        if by_processor and self._turn is not None:
            self._turn.failed(self._now())
            self._turn = None
        upstream = self._upstream
        self._end(Failed.of(error, self._tally.usage()))
        if upstream is not None and self.stages.cancelled_at is None:
            upstream.cancel()

    def overdue(self) -> Overdue | None:
        """The limit that has passed, if one has (`Stages.overdue`)."""
        return self.stages.overdue(self.processor, self.tokens, self._now())
