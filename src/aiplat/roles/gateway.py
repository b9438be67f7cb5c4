"""The gateway: takes requests, finds each a processor, carries the answer back, keeps the count.

A request costs no task: events are handed on as they come. One task watches the deadlines.
"""

from __future__ import annotations

import contextlib
import logging
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import msgspec
import trio

from aiplat.control.messages import ModelStatus
from aiplat.domain.answers import (
    AnswerSink,
    Failed,
    Finished,
    Inference,
    Queued,
    Submission,
    check_submission,
)
from aiplat.domain.errors import (
    AiplatError,
    ModelNotFound,
    NoProcessor,
    Overloaded,
    ShuttingDown,
)
from aiplat.domain.ids import PeerId, short
from aiplat.protocol.messages import Announce, Call, Drain, Reply
from aiplat.roles.base import Role
from aiplat.roles.figures import observe
from aiplat.roles.forwarding import Forwarding
from aiplat.roles.placement import choose
from aiplat.roles.processors import Processor, Processors
from aiplat.roles.settings import GatewaySettings
from aiplat.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from aiplat.node.channel import Channel
    from aiplat.node.incoming import Incoming

log = logging.getLogger("aiplat.gateway")

WATCH_SECONDS = 0.1


class Gateway(Role):
    """The gateway role of a node. It is the local `Inference`.

    Arguments:
        peer: this node's peer id.
        now: the clock, in seconds.
    """

    def __init__(
        self,
        peer: PeerId,
        settings: GatewaySettings,
        metrics: Metrics,
        now: Callable[[], float] = trio.current_time,
    ) -> None:
        self.processors = Processors()
        self.active: set[Forwarding] = set()
        self.taken = 0
        self.draining = False
        self._peer = peer
        self._settings = settings
        self._metrics = metrics
        self._now = now
        self._waiting: deque[Forwarding] = deque()
        self._untold: list[Forwarding] = []
        self._wake = trio.Event()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Watch the deadlines of all requests, and tell those that wait why."""
        task_status.started()
        while True:
            with trio.move_on_after(WATCH_SECONDS):
                await self._wake.wait()
            self._wake = trio.Event()
            self._tell_waiting()
            for forwarding in list(self.active):
                self._safely(self._watch, forwarding)
            self._place_waiting()

    def _safely(self, step: Callable[[Forwarding], None], forwarding: Forwarding) -> None:
        """One request's fault is that request's alone, and never the node's."""
        try:
            step(forwarding)
        except Exception:
            log.exception("a request failed in the gateway: %s", forwarding.submission.id)
            with contextlib.suppress(Exception):  # its sink may be what is broken
                forwarding.fail(AiplatError("The gateway failed at it; its log says why."))

    def _watch(self, forwarding: Forwarding) -> None:
        limits, model = self._settings, forwarding.submission.model
        may_come = self.processors.may_come(model)
        error = forwarding.overdue(
            limits.queue_seconds if may_come else limits.no_processor_seconds
        )
        if error is not None:
            unplaceable = not forwarding.is_placed and not may_come
            forwarding.fail(self._nobody(model) if unplaceable else error)

    # -- requests ----------------------------------------------------------------------------

    def submit(self, submission: Submission, sink: AnswerSink) -> Forwarding:
        """Take a request (`Inference`): place it now, or let it wait its turn.

        Raises:
            AiplatError: it is wrong, over a bound, or for a model that nobody here has.
        """
        arrived = self._now()
        check_submission(submission)
        self._admit(submission)
        forwarding = Forwarding(
            submission, sink, gateway=self._peer, settings=self._settings, now=self._now,
            on_end=self._ended,
        )  # fmt: skip
        if self._is_behind(submission.model) or not self._place(forwarding):
            self._wait(forwarding)
        else:
            self._metrics.gateway_overhead.observe(self._now() - arrived)
        self.active.add(forwarding)
        self.taken += 1
        return forwarding

    def _admit(self, submission: Submission) -> None:
        if self.draining:
            raise ShuttingDown(
                "This gateway is shutting down and takes no new requests.", retry_after=5
            )
        if len(self.active) >= self._settings.max_requests:
            raise self._full("gateway_requests", "under way", self._settings.max_requests)
        known = self.processors.names()
        if submission.model and known and submission.model not in known:
            raise ModelNotFound.of(submission.model, known, where="in this network")

    def _full(self, bound: str, what: str, limit: int) -> Overloaded:
        self._metrics.bound_hits.labels(bound).inc()
        return Overloaded(
            f"This gateway has {limit} requests {what}, which is its bound. Try again in a moment.",
            retry_after=2,
        )

    def _nobody(self, model: str) -> NoProcessor:
        what = f"the model {model!r}" if model else "a model"
        notes = {offer.note for offer in self.processors.offers(model) if offer.note}
        why = f" ({'; '.join(sorted(notes))})" if notes else ""
        return NoProcessor(
            f"No processor that can serve {what} is connected to the gateway "
            f'{short(self._peer)}{why}. Start one on its own, "aiplat --home DIR serve --role '
            'processor --peer ADDRESS-OF-THE-GATEWAY", or try again when one is back.',
            retry_after=5,
        )

    def _ended(self, forwarding: Forwarding, end: Finished | Failed) -> None:
        self.active.discard(forwarding)
        if not forwarding.is_placed and forwarding in self._waiting:
            self._waiting.remove(forwarding)
        observe(self._metrics, forwarding, end, self.processors.names())
        self._wake.set()  # what waits may go on; not from in here, which a placement may call

    def fail_all(self, error: AiplatError) -> None:
        """End all requests under way with an error; their processors are told to stop."""
        for forwarding in list(self.active):
            forwarding.fail(error)

    # -- placing -----------------------------------------------------------------------------

    def _is_behind(self, model: str) -> bool:
        """Whether others wait already for what this one needs: first come, first served."""
        return any(w.submission.model in ("", model) or not model for w in self._waiting)

    def _place(self, forwarding: Forwarding) -> bool:
        """Hand it to the best processor that takes it; False when it has to wait.

        Raises:
            AiplatError: a processor refused it for what it is, which no other would mend.
        """
        model = forwarding.submission.model or self.processors.default_model()
        untried = {c.peer: c for c in self.processors.candidates(model)}
        while (choice := choose(untried.values())) is not None:
            del untried[choice.peer]
            processor = self.processors.get(choice.peer)
            assert processor is not None  # candidates are made of live ones, without a pause
            try:
                self._hand_over(forwarding, processor, model)
                return True
            except AiplatError as error:
                if not error.recoverable:
                    raise
                self._metrics.route_attempts.labels("refused").inc()
        return False

    def _hand_over(self, forwarding: Forwarding, processor: Processor, model: str) -> None:
        # A processor needs no key of the user's: the gateway answers for the request.
        submission = msgspec.structs.replace(
            forwarding.submission, to="processor", model=model, credential="",
            deadline_ms=max(1, forwarding.milliseconds_left()),
        )  # fmt: skip
        asking = processor.inference.submit(submission, forwarding)
        forwarding.placed(processor.peer, model, asking, partial(processor.released, model))
        processor.in_flight[model] += 1
        waited = forwarding.timings().queue_ms
        self._metrics.queue_wait.observe(waited / 1000)
        log.info(
            "request %s placed on %s", forwarding.submission.id, short(processor.peer),
            extra={"request": forwarding.submission.id, "processor": processor.peer,
                   "model": model, "queue_ms": round(waited, 1), "sign": "🔄"},
        )  # fmt: skip

    def _wait(self, forwarding: Forwarding) -> None:
        if len(self._waiting) >= self._settings.max_waiting:
            raise self._full("gateway_waiting", "waiting", self._settings.max_waiting)
        self._waiting.append(forwarding)
        self._metrics.queue_depth.set(len(self._waiting))
        self._untold.append(forwarding)  # a sink hears nothing before `submit` returned
        self._wake.set()

    def _tell_waiting(self) -> None:
        untold, self._untold = self._untold, []
        for forwarding in untold:
            if forwarding in self._waiting:
                self._safely(self._tell, forwarding)

    def _tell(self, forwarding: Forwarding) -> None:
        model = forwarding.submission.model
        place = self._waiting.index(forwarding)
        wait_ms = round(self.processors.expected_wait(model) * 1000)
        forwarding.waits(Queued(place, wait_ms, self.processors.why_wait(model)))

    def _place_waiting(self) -> None:
        """Place what waits, in order; a busy model holds back no other."""
        for forwarding in list(self._waiting):
            self._safely(self._try_to_place, forwarding)
        self._metrics.queue_depth.set(len(self._waiting))

    def _try_to_place(self, forwarding: Forwarding) -> None:
        if forwarding.ended or forwarding.is_placed:
            return
        try:
            if self._place(forwarding):
                self._waiting.remove(forwarding)
        except AiplatError as error:
            forwarding.fail(error)

    # -- processors --------------------------------------------------------------------------

    def add_processor(
        self, peer: PeerId, inference: Inference, latency: Callable[[], float] = lambda: 0.0
    ) -> None:
        """A processor came up: behind a channel, or in this node."""
        self.processors.add(peer, inference, latency)
        self._metrics.peers.labels("processor", "connected").set(len(self.processors))

    def processor_announced(self, peer: PeerId, announce: Announce) -> None:
        """A processor said what it offers."""
        if self.processors.announced(peer, announce):
            self._wake.set()

    def models(self) -> tuple[ModelStatus, ...]:
        """What can be asked for here, those that are ready first."""
        return self.processors.models()

    # -- over channels (`Role`) ----------------------------------------------------------------

    def opened(self, channel: Channel) -> None:
        """A peer that is a processor may announce."""
        if "processor" in channel.roles:
            self.add_processor(channel.peer, channel, lambda: channel.latency or 0.0)

    def announced(self, channel: Channel, announce: Announce) -> None:
        """A processor told its state."""
        self.processor_announced(channel.peer, announce)

    def drained(self, channel: Channel, drain: Drain) -> None:
        """A processor takes no more."""
        processor = self.processors.get(channel.peer)
        if processor is not None:
            processor.draining = True

    def ended(self, channel: Channel, reason: str) -> None:
        """A processor's channel is gone; its requests heard of it through their sinks."""
        if self.processors.remove(channel.peer, channel):
            self._metrics.peers.labels("processor", "connected").set(len(self.processors))

    def submitted(self, incoming: Incoming) -> None:
        """A client asks."""
        incoming.attach(self.submit(incoming.submission, incoming))

    async def called(self, channel: Channel, call: Call) -> Reply | None:
        """Answer what a client may ask of a gateway."""
        if call.method != "models":
            return None
        return Reply(body=msgspec.Raw(msgspec.msgpack.encode(self.models())))
