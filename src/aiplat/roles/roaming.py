"""A request of this node's own that may move to another gateway until its first token came."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

from msgspec.structs import replace

from aiplat.domain.answers import (
    AnswerEvent,
    AnswerSink,
    Asking,
    Failed,
    Finished,
    Queued,
    Started,
    Submission,
)
from aiplat.domain.errors import (
    AiplatError,
    DeadlineExceeded,
    GatewayLost,
    ModelNotFound,
    NoPeer,
    NoProcessor,
    ShuttingDown,
)
from aiplat.domain.ids import PeerId, short
from aiplat.domain.usage import Usage

log = logging.getLogger("aiplat.client")

_ELSEWHERE = {
    "gateway_lost": "was lost",
    "shutting_down": "shuts down",
    "overloaded": "is full",
    "no_processor": "has no processor for it",
    "model_not_found": "knows no such model",
}
"""Failures that another gateway may mend, with what each says of the one that had it.

Any other the gateway has tried to mend itself, or it is the request's own.
"""

_GOES = (GatewayLost.code, ShuttingDown.code)
"""Failures of a gateway that goes, as each does in its turn when a network is updated."""

_HAS_NOBODY = (NoProcessor.code, ModelNotFound.code)

SLACK_SECONDS = 2.0
"""What a gateway gets beyond the request's own deadline to tell of it itself."""


class Behind(Protocol):
    """A gateway that can be asked, and whose it is."""

    @property
    def peer(self) -> PeerId:
        """The gateway's node."""

    def submit(self, submission: Submission, sink: AnswerSink) -> Asking:
        """Ask it (`Inference`)."""


class Roaming:
    """A request on its way through one gateway or the next (`AnswerSink`, `Asking`).

    Arguments:
        submission: what is asked.
        sink: who asked.
        next_gateway: gives the best gateway that is none of these; None when there is none.
        on_refused: told of a gateway that has nobody for the request.
        may_come: whether a gateway that is none of these was here, and is being reached again.
        patience: seconds that such a one is waited for.
        now: the clock, in seconds.
        on_end: called once, at the end.
        attempts: through how many gateways it is tried, the first one counted.
    """

    def __init__(
        self,
        submission: Submission,
        sink: AnswerSink,
        next_gateway: Callable[[list[PeerId]], Behind | None],
        now: Callable[[], float],
        on_end: Callable[[Roaming], None],
        *,
        attempts: int = 2,
        on_refused: Callable[[PeerId], None] = lambda gateway: None,
        may_come: Callable[[list[PeerId]], bool] = lambda tried: False,
        patience: float = 0.0,
    ) -> None:
        self.submission = submission
        self.tried: list[PeerId] = []
        self._sink = sink
        self._next_gateway = next_gateway
        self._now = now
        self._on_end = on_end
        self._on_refused = on_refused
        self._may_come = may_come
        self._patience = patience
        self._refusals: list[tuple[PeerId, Failed]] = []
        self._parked: Failed | None = None
        self._attempts = attempts
        self._arrived = self._heard = now()
        self._attempt = 0
        self._asking: Asking | None = None
        self._held: Started | None = None
        self._began = False
        self._cancelled = False
        self._ended = False

    def begin(self, gateway: Behind) -> None:
        """Ask a gateway, or the next when that one cannot even be asked.

        Raises:
            AiplatError: each of them refused.
        """
        while True:
            self.tried.append(gateway.peer)
            self._attempt += 1
            try:
                self._asking = gateway.submit(self._with_time_left(), _Hop(self, self._attempt))
            except AiplatError as error:
                failed = Failed.of(error)
                other = self._other_than(failed)
                if other is None:
                    if len(self.tried) == 1:
                        raise
                    raise self._with_all_tried(failed).error() from error
                gateway = other
            else:
                return

    def _other_than(self, failed: Failed) -> Behind | None:
        """The gateway to ask after this failure of the last one, if there is one."""
        if failed.code not in _ELSEWHERE:
            return None
        self._refusals.append((self.tried[-1], failed))
        if failed.code in _HAS_NOBODY:
            self._on_refused(self.tried[-1])
        return self._other()

    def _with_all_tried(self, last: Failed) -> Failed:
        """What is told at the end: the last failure, and what came of the gateways before.

        That one gateway knows no such model does not say so of the network, when another one
        could not tell.
        """
        who, told = self.tried[-1], last
        if last.code == ModelNotFound.code:
            others = (r for r in reversed(self._refusals) if r[1].code != ModelNotFound.code)
            who, told = next(others, (who, last))
        before = [
            f"{short(peer)} ({_ELSEWHERE.get(failed.code, 'told nothing')})"
            for peer, failed in self._refusals if peer != who
        ]  # fmt: skip
        if not before:
            return told
        gateways = "gateways" if len(before) > 1 else "gateway"
        text = f"{told.message} Tried too: the {gateways} {', '.join(before)}."
        return replace(told, message=text)

    def _other(self) -> Behind | None:
        """The gateway that may take it now, if one may."""
        return self._next_gateway(self.tried) if self._may_move else None

    @property
    def _may_move(self) -> bool:
        """Whether one more gateway may have it, as far as it lies with the request itself."""
        if self._began or self._cancelled or self._ended:
            return False
        return len(self.tried) < self._attempts and self._milliseconds_left() > 0

    def _may_wait(self, now: float) -> bool:
        """Whether a gateway that is being reached again is worth some of its time."""
        is_in_time = now - self._heard < self._patience
        return self._may_move and is_in_time and self._may_come(self.tried)

    def move_on(self) -> None:
        """Take the next gateway, if the last one failed and no other was there; or give up."""
        failed = self._parked
        if failed is None or self._ended:
            return
        other = self._other()
        if other is not None:
            self._parked = None
            self._moves_to(other, failed)
        elif not self._may_wait(self._now()):
            self._end(self._with_all_tried(failed))

    def _with_time_left(self) -> Submission:
        """What is asked, with what is left of its deadline now."""
        left = max(1, self._milliseconds_left())
        if left == self.submission.deadline_ms:
            return self.submission
        return replace(self.submission, deadline_ms=left)

    def _milliseconds_left(self) -> int:
        return self.submission.deadline_ms - round((self._now() - self._arrived) * 1000)

    # -- from the gateway --------------------------------------------------------------------

    def heard(self, attempt: int, event: AnswerEvent) -> None:
        """Pass an event of that attempt on, unless another took its place."""
        if attempt != self._attempt or self._ended:
            return
        self._heard = self._now()
        if type(event) is Started:
            self._held = event  # until the first token another gateway may take it
            return
        if type(event) is Failed and not self._began:
            other = self._other_than(event)
            if other is not None:
                self._moves_to(other, event)
                return
            if event.code in _GOES and self._may_wait(self._heard):
                self._parked = event
                return
            event = self._with_all_tried(event)
        if type(event) is not Queued:
            self._say_started()
        if isinstance(event, Finished | Failed):
            self._end(event)
        else:
            self._sink.deliver(event)

    def _say_started(self) -> None:
        self._began = True
        if self._held is not None:
            started, self._held = self._held, None
            attempts = started.attempts + len(self.tried) - 1
            self._sink.deliver(replace(started, attempts=attempts))

    def _moves_to(self, other: Behind, failed: Failed) -> None:
        """Ask another gateway after this failure."""
        log.info(
            "request %s goes to the gateway %s: %s", self.submission.id,
            short(other.peer), failed.message, extra={"request": self.submission.id},
        )  # fmt: skip
        self._held = None
        self._heard = self._now()
        try:
            self.begin(other)
        except AiplatError as error:
            self._end(Failed.of(error))

    def _end(self, end: Finished | Failed) -> None:
        self._ended = True
        self._asking = None  # who hears of it through `_Hop`, and would keep it
        self._on_end(self)
        self._sink.deliver(end)

    # -- from who asked (`Asking`) -------------------------------------------------------------

    def accept(self, tokens: int, credit: int) -> None:
        """Hand the reader's credit on."""
        if self._asking is not None and not self._ended:
            self._asking.accept(tokens, credit)

    def cancel(self) -> None:
        """Hand it on."""
        self._cancelled = True
        if self._parked is not None:
            if not self._ended:
                self._end(Finished("cancelled", Usage(0, 0)))
        elif self._asking is not None and not self._ended:
            self._asking.cancel()

    # -- deadlines ---------------------------------------------------------------------------

    def look(self, silence: float, late: float = 0.0) -> None:
        """End it when its gateway has not told its end in time.

        When it told nothing at all, another is asked first; the silent one is told to stop.

        Arguments:
            silence: seconds without an event.
            late: seconds by which this look is late: this node's own standstill, in which it
                could hear nothing.
        """
        if self._parked is not None:
            self.move_on()
            return
        now, whole = self._now(), self.submission.deadline_ms / 1000
        self._heard = min(now, self._heard + late)
        gateway = short(self.tried[-1])
        if now - self._arrived > whole + SLACK_SECONDS:
            text = (
                f"The answer was not done within {whole:g} s, the deadline of the whole request, "
                f"and the gateway {gateway} did not say so."
            )
        elif not self._began and now - self._heard > silence:
            text = (
                f"The gateway {gateway} told nothing for {silence:g} s (client.silence_seconds). "
                "It lives, but does not work: ask another, or look there."
            )
        else:
            return
        asking, failed = self._asking, Failed.of(DeadlineExceeded(text, retry_after=5))
        other = self._other()
        if other is not None:
            self._refusals.append((self.tried[-1], failed))
            self._moves_to(other, failed)
        else:
            self._end(self._with_all_tried(failed))
        if asking is not None and not self._cancelled:
            asking.cancel()


class _Hop:
    """The sink of one attempt."""

    __slots__ = ("_attempt", "_roaming")

    def __init__(self, roaming: Roaming, attempt: int) -> None:
        self._roaming = roaming
        self._attempt = attempt

    def deliver(self, event: AnswerEvent) -> None:
        """Hand it on."""
        self._roaming.heard(self._attempt, event)


def refuse_if_private(submission: Submission, *, is_member: bool) -> None:
    """A hard rule: what is private goes to no gateway that may not read it.

    Arguments:
        is_member: whether the gateway is a certified member of this node's network.

    Raises:
        NoPeer: it may not.
    """
    if submission.privacy == "machine":
        raise NoPeer(
            "The request is private to this machine, and this node has no gateway of its own: it "
            "is sent nowhere else. Run a node with all roles here, or allow --privacy network."
        )
    if submission.privacy == "network" and not is_member:
        raise NoPeer(
            "The request is private to its network, and this node is in none: it is sent to no "
            "other. Join one (`aiplat join`), or allow --privacy any."
        )
