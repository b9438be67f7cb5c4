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

from aiplat.control.messages import Explanation, ModelStatus
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
    InvalidRequest,
    ModelNotFound,
    NoProcessor,
    Overloaded,
    ShuttingDown,
    clip,
)
from aiplat.domain.ids import PeerId, short
from aiplat.protocol.framing import UNREADABLE
from aiplat.protocol.messages import Announce, Call, Drain, Reply
from aiplat.roles import reasons
from aiplat.roles.base import Role
from aiplat.roles.breaker import Breaker
from aiplat.roles.figures import observe
from aiplat.roles.forwarding import Forwarding
from aiplat.roles.placement import Candidate, choose
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
        self.reasons = reasons.Reasons(peer, settings.explain_requests)
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
        may_come = self.processors.may_come(model, forwarding.tried)
        error = forwarding.overdue(
            limits.queue_seconds if may_come else limits.no_processor_seconds
        )
        if error is None or (error.recoverable and forwarding.retry(Failed.of(error))):
            return
        if forwarding.is_placed or may_come:
            forwarding.fail(error)
        elif forwarding.last_failure is not None:
            forwarding.fail(forwarding.last_failure.error())
        else:
            forwarding.fail(self._nobody(model))

    # -- requests ----------------------------------------------------------------------------

    def submit(
        self, submission: Submission, sink: AnswerSink, asker: PeerId | None = None
    ) -> Forwarding:
        """Take a request (`Inference`): place it now, or let it wait its turn.

        Arguments:
            submission: what is asked.
            sink: hears the answer.
            asker: the peer that asks; None for this node's own faces.

        Raises:
            AiplatError: it is wrong, over a bound, or for a model that nobody here has.
        """
        arrived = self._now()
        check_submission(submission)
        self._admit(submission)
        self._check_privacy(submission, asker)
        forwarding = Forwarding(
            submission, sink, gateway=self._peer, settings=self._settings, now=self._now,
            on_end=self._ended, on_failed=self._try_elsewhere, asker=asker,
        )  # fmt: skip
        forwarding.kept = self.reasons.begin(submission, asker)
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

    def _check_privacy(self, submission: Submission, asker: PeerId | None) -> None:
        """A hard rule: what may not leave the machine is refused rather than sent."""
        if submission.privacy != "machine":
            return
        model = submission.model
        own = [p for p in self.processors if p.is_here and (not model or model in p.offers)]
        if asker is not None or not own:
            where = "came from another machine" if asker is not None else "has no processor here"
            what = f" for the model {model!r}" if model else ""
            raise NoProcessor(
                f"The request is private to its machine, and {where}{what}: it is sent nowhere "
                "else. Serve the model on the machine that asks, or allow --privacy network."
            )

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
        if forwarding.kept is not None:
            reasons.ended(forwarding.kept, end)
        processor = self.processors.get(forwarding.processor)
        if processor is not None and (speed := forwarding.tokens_per_second):
            processor.saw(forwarding.model, speed)
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
        candidates = self.processors.candidates(model)
        refused = self._refused(forwarding, candidates, model)
        untried = {c.peer: c for c in candidates if c.peer not in refused}
        while (choice := choose(untried.values())) is not None:
            del untried[choice.peer]
            processor = self.processors.get(choice.peer)
            assert processor is not None  # candidates are made of live ones, without a pause
            try:
                self._hand_over(forwarding, processor, model)
            except AiplatError as error:
                if not error.recoverable:
                    raise
                refused[choice.peer] = str(error)
                self._metrics.route_attempts.labels("refused").inc()
            else:
                self._note(forwarding, candidates, refused, choice.peer)
                return True
        self._note(forwarding, candidates, refused, None)
        return False

    def _refused(
        self, forwarding: Forwarding, candidates: list[Candidate], model: str
    ) -> dict[PeerId, str]:
        """Who may not have it, and why."""
        now, refused = self._now(), {}
        private = forwarding.submission.privacy == "machine"
        for candidate in candidates:
            processor = self.processors.get(candidate.peer)
            assert processor is not None
            breaker = processor.breakers.get(model)
            if candidate.peer in forwarding.tried:
                refused[candidate.peer] = "it was tried, and failed"
            elif private and not processor.is_here:
                refused[candidate.peer] = "the request may not leave its machine"
            elif breaker is not None and not breaker.allows(now):
                refused[candidate.peer] = (
                    f"it failed lately and rests for {breaker.rests_for(now):.1f} s"
                )
            elif not candidate.has_room:
                refused[candidate.peer] = f"it is {candidate.offer.state}, and has no room"
        return refused

    def _note(
        self,
        forwarding: Forwarding,
        candidates: list[Candidate],
        refused: dict[PeerId, str],
        chosen: PeerId | None,
    ) -> None:
        kept = forwarding.kept
        if kept is None:
            return
        after = self._now() - forwarding.arrived
        tried = reasons.Tried(after, tuple(candidates), chosen, refused)
        if kept.tries and kept.tries[-1].chosen is None:
            kept.tries[-1] = tried  # it waited; how it looked meanwhile is of no use
        else:
            kept.tries.append(tried)
        if chosen is not None:
            kept.state = "running"

    def _try_elsewhere(self, forwarding: Forwarding, failed: Failed) -> bool:
        """Let a request that failed wait for another processor, if there is one."""
        model = forwarding.model
        tried = {*forwarding.tried}
        private = forwarding.submission.privacy == "machine"
        others = [
            p for p in self.processors
            if p.peer not in tried and not p.draining and (p.is_here or not private)
            and model in p.offers and p.offers[model].state == "ready"
        ]  # fmt: skip
        if not others:
            return False
        if forwarding.kept is not None and forwarding.kept.tries:
            forwarding.kept.tries[-1].outcome = clip(failed.message, 300)
            forwarding.kept.state = "waiting"
        self._metrics.route_attempts.labels("retried").inc()
        log.info(
            "request %s is tried elsewhere: %s", forwarding.submission.id,
            clip(failed.message, 200), extra={"request": forwarding.submission.id},
        )  # fmt: skip
        self._waiting.appendleft(forwarding)
        self._wake.set()  # not from in here, which a processor's callback calls
        return True

    def _hand_over(self, forwarding: Forwarding, processor: Processor, model: str) -> None:
        # A processor needs no key of the user's: the gateway answers for the request.
        submission = msgspec.structs.replace(
            forwarding.submission, to="processor", model=model, credential="",
            deadline_ms=max(1, forwarding.milliseconds_left()),
        )  # fmt: skip
        asking = processor.inference.submit(submission, forwarding.attempt())
        breaker = processor.breakers.get(model)
        if breaker is None:
            limits = self._settings
            breaker = Breaker(limits.rest_seconds, limits.longest_rest_seconds)
            processor.breakers[model] = breaker
        breaker.placed()
        forwarding.placed(
            processor.peer, model, asking, partial(processor.released, model), breaker
        )
        processor.in_flight[model] += 1
        waited = forwarding.timings().queue_ms
        self._metrics.queue_wait.observe(waited / 1000)
        log.debug(
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
        self.processors.add(peer, inference, latency, is_here=peer == self._peer)
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
        self.drain_processor(channel.peer)

    def drain_processor(self, peer: PeerId) -> None:
        """Place nothing new on a processor, until it connects anew."""
        processor = self.processors.get(peer)
        if processor is not None:
            processor.draining = True

    def drain(self) -> None:
        """Take no new requests; what peers asked and waits is sent back, to be asked elsewhere."""
        self.draining = True
        error = ShuttingDown("This gateway is shutting down: ask another.", retry_after=1)
        for forwarding in list(self._waiting):
            if forwarding.asker is not None:
                forwarding.fail(error)

    # -- why this peer? ------------------------------------------------------------------------

    def knows(self, request: str) -> bool:
        """Whether the reasons of a request are kept."""
        return request in self.reasons

    def explain(self, request: str, asker: PeerId | None = None) -> Explanation:
        """Why a request went where it went (`Reasons.explain`)."""
        return self.reasons.explain(request, asker)

    def ended(self, channel: Channel, reason: str) -> None:
        """A processor's channel is gone; its requests heard of it through their sinks."""
        if self.processors.remove(channel.peer, channel):
            self._metrics.peers.labels("processor", "connected").set(len(self.processors))

    def submitted(self, incoming: Incoming) -> None:
        """A client asks."""
        incoming.attach(self.submit(incoming.submission, incoming, incoming.channel.peer))

    async def called(self, channel: Channel, call: Call) -> Reply | None:
        """Answer what a client may ask of a gateway."""
        if call.method == "models":
            return Reply(body=msgspec.Raw(msgspec.msgpack.encode(self.models())))
        if call.method != "explain":
            return None
        try:
            told = self.explain(msgspec.msgpack.decode(call.body, type=str), channel.peer)
        except UNREADABLE:
            return Reply(failed=Failed.of(InvalidRequest("The call names no request.")))
        except AiplatError as refusal:
            return Reply(failed=Failed.of(refusal))
        return Reply(body=msgspec.Raw(msgspec.msgpack.encode(told)))
