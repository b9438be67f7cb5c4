"""The gateway: takes requests, finds each a processor, carries the answer back, keeps the count.

A request costs no task: events are handed on as they come. One task watches the deadlines.
What it refuses is in `admission`, the choice in `placing`, who waits in `line`.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec
import trio

from aiplat.accounts.accounts import Accounts
from aiplat.accounts.meter import Lease
from aiplat.control.messages import Explanation, ModelStatus
from aiplat.domain.answers import (
    AnswerSink,
    Failed,
    Finished,
    Inference,
    Submission,
    check_submission,
)
from aiplat.domain.errors import (
    AiplatError,
    DeadlineExceeded,
    InvalidRequest,
    ShuttingDown,
)
from aiplat.domain.ids import PeerId, short
from aiplat.protocol.framing import UNREADABLE
from aiplat.protocol.messages import Announce, Call, Drain, Reply
from aiplat.roles import reasons, told
from aiplat.roles.account_calls import answer_call
from aiplat.roles.admission import (
    Admission,
    refuse_what_is_not_an_askers,
    waited_in_vain,
)
from aiplat.roles.base import Role
from aiplat.roles.claims import Claims
from aiplat.roles.figures import observe, outcome_of, tell_series, tell_what_came
from aiplat.roles.forwarding import Forwarding
from aiplat.roles.line import Line
from aiplat.roles.placing import Placing
from aiplat.roles.pool import OwnProcessor
from aiplat.roles.processors import Processors
from aiplat.roles.prompts import most_tokens, same_prompt
from aiplat.roles.requests import find_request
from aiplat.roles.settings import GatewaySettings
from aiplat.roles.standstill import NOTABLE_SECONDS, Ticks
from aiplat.roles.tags import Tags
from aiplat.roles.watched import TELL_SECONDS, Saw
from aiplat.series.seen import ignore
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
        in_network: whether this node is in a network now, so that who has a role here is a
            certified member of it.
        accounts: who may ask and how much, and what it came to; None lets everybody in, and
            counts nothing.
        saw: hears of each request that ended, for the series.
        max_choices: how many requests may have one prompt between them (`Submission.beside`): as
            many as the choices of one request at the HTTP door.
    """

    def __init__(
        self,
        peer: PeerId,
        settings: GatewaySettings,
        metrics: Metrics,
        now: Callable[[], float] = trio.current_time,
        in_network: Callable[[], bool] = lambda: False,
        accounts: Accounts | None = None,
        saw: Saw = ignore,
        max_choices: int = 16,
    ) -> None:
        self.accounts = accounts
        self._saw = saw
        self._max_choices = max_choices
        self.processors = Processors(now)
        self.active: set[Forwarding] = set()
        self.taken = 0
        self.draining = False
        self.reasons = reasons.Reasons(peer, settings.explain_requests)
        self._peer = peer
        self._settings = settings
        self._metrics = metrics
        self._now = now
        self._in_network = in_network
        self._channels: dict[PeerId, Channel] = {}
        self._admission = Admission(peer, self.processors, settings, metrics)
        self._claims = Claims(metrics, now)
        tags = Tags()
        self._placing = Placing(
            self.processors, settings, metrics, now, lambda payer: tags.of(payer or peer)
        )
        if accounts is not None:
            accounts.when_gone(self.end_those)
        self._line = Line(self._placing, self._safely, lambda: self.active)
        self._wake = trio.Event()
        self._ticks: Ticks | None = None
        self._tell_at = 0.0

    def follow(self, settings: GatewaySettings) -> None:
        """Do by these from now on; requests under way keep the deadlines that they came under."""
        self._settings = settings
        self._admission.follow(settings)
        self._placing.follow(settings)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Watch the deadlines of all requests, place those that wait, and tell them why."""
        self._ticks = Ticks(self._now(), WATCH_SECONDS)
        self._metrics.peers.labels("processor", "connected").set(len(self.processors))
        task_status.started()
        while True:
            with trio.move_on_after(WATCH_SECONDS):
                await self._wake.wait()
            self._wake = trio.Event()
            self._discount(self._ticks.look(self._now()))
            for forwarding in list(self.active):
                self._safely(self._watch, forwarding)
            self._tell_what_came()
            self._line.move_up()
            self._metrics.queue_depth.set(len(self._line))

    def _tell_what_came(self) -> None:
        if self._now() >= self._tell_at:
            self._tell_at = self._now() + TELL_SECONDS
            for forwarding in self.active:
                tell_what_came(self._saw, forwarding)

    def _discount(self, late: float) -> None:
        """Hold this node's own standstill against no processor."""
        if late >= NOTABLE_SECONDS:
            log.warning("this gateway itself stood still for %.1f s", late)
        if late > 0:
            for forwarding in self.active:
                forwarding.stages.stood_still(late, self._now())

    def _safely(self, step: Callable[[Forwarding], None], forwarding: Forwarding) -> None:
        """One request's fault is that request's alone, and never the node's."""
        try:
            step(forwarding)
        except Exception:
            log.exception("a request failed in the gateway: %s", forwarding.submission.id)
            with contextlib.suppress(Exception):  # its sink may be what is broken
                forwarding.fail(AiplatError("The gateway failed at it; its log says why."))

    def _watch(self, forwarding: Forwarding) -> None:
        pool = self._placing.pool(forwarding)
        may_come = pool.may_come(forwarding.submission.model, forwarding.tried)
        forwarding.stages.looked(self._now(), may_come=may_come)
        overdue = forwarding.overdue()
        if overdue is None:
            forwarding.remind()
            return
        error = overdue.error
        if error.recoverable and forwarding.retry(Failed.of(error)):
            return
        if forwarding.is_placed:
            forwarding.fail(error, by_processor=overdue.by_processor, by_asker=overdue.by_asker)
        elif may_come and isinstance(error, DeadlineExceeded):
            forwarding.fail(waited_in_vain(forwarding, error, pool))
        elif forwarding.last_failure is not None:
            forwarding.fail(forwarding.last_failure.error())
        else:
            forwarding.fail(self._admission.nobody(forwarding.submission))

    # -- requests ----------------------------------------------------------------------------

    def submit(
        self,
        submission: Submission,
        sink: AnswerSink,
        asker: PeerId | None = None,
        *,
        is_trusted: bool = True,
    ) -> Forwarding:
        """Take a request (`Inference`): place it now, or let it wait its turn.

        Arguments:
            submission: what is asked.
            sink: hears the answer.
            asker: the peer that asks; None for this node's own faces.
            is_trusted: whether that peer may be answered without a key.

        Raises:
            AiplatError: it is wrong, over a bound or limit, or for a model that nobody here has.
        """
        arrived = self._now()
        check_submission(submission)
        refuse_what_is_not_an_askers(submission)
        if self.draining:
            raise ShuttingDown(
                f"The gateway {short(self._peer)} takes no new requests: it was drained "
                "(`drain --off` there ends that), or it shuts down.",
                retry_after=5,
            )
        submission, lease = self._let_in(submission, asker, is_trusted=is_trusted)
        try:
            forwarding = self._take(submission, sink, asker, lease)
        except BaseException:
            if lease is not None:
                lease.give_back()
            raise
        if forwarding.is_placed:
            self._metrics.gateway_overhead.observe(self._now() - arrived)
        return forwarding

    def _let_in(
        self, submission: Submission, asker: PeerId | None, *, is_trusted: bool
    ) -> tuple[Submission, Lease | None]:
        """Let the accounts decide; gives the request with the model that is meant."""
        if self.accounts is None:
            return submission, None
        admission, credential = self.accounts.admission, submission.credential
        model = admission.default_model(credential, submission.model)
        if model != submission.model:
            submission = msgspec.structs.replace(submission, model=model)
        prompt, answer = most_tokens(submission)
        lease = admission.admit(
            submission.id, credential, asker, model, prompt, answer,
            is_trusted=is_trusted, beside=self._beside(submission),
        )  # fmt: skip
        return submission, lease

    def _beside(self, submission: Submission) -> Lease | None:
        """Another choice of this request, whose prompt is the same and not shared by too many."""
        if not submission.beside:
            return None
        for other in self.active:
            if other.submission.id == submission.beside and other.lease is not None:
                is_same = same_prompt(other.submission, submission)
                return other.lease if is_same and other.lease.sharing < self._max_choices else None
        return None

    def _take(
        self, submission: Submission, sink: AnswerSink, asker: PeerId | None, lease: Lease | None
    ) -> Forwarding:
        self._admission.check(submission, asker, len(self.active))
        forwarding = Forwarding(
            submission, sink, gateway=self._peer, settings=self._settings, now=self._now,
            on_end=self._ended, on_failed=self._try_elsewhere, asker=asker, lease=lease,
            on_doubt=self._claims.doubted,
        )  # fmt: skip
        if lease is not None:
            lease.progress = forwarding
        kept = forwarding.kept = self.reasons.begin(submission, asker)
        try:
            if self._line.holds_back(submission) or not self._placing.place(forwarding):
                self._wait(forwarding)
        except AiplatError as refusal:
            reasons.ended(kept, Failed.of(refusal))
            forwarding.let_go()
            raise
        self.active.add(forwarding)
        self.taken += 1
        return forwarding

    def _wait(self, forwarding: Forwarding) -> None:
        if len(self._line) >= self._settings.max_waiting:
            if not self._placing.pool(forwarding).may_come(forwarding.submission.model):
                raise self._admission.nobody(forwarding.submission)
            full = self._admission.full("gateway_waiting", "waiting", self._settings.max_waiting)
            victim = self._line.to_displace(forwarding.payer)
            if victim is None:
                raise full
            victim.fail(full)
        self._line.join(forwarding)
        self._metrics.queue_depth.set(len(self._line))
        self._wake.set()

    def _try_elsewhere(self, forwarding: Forwarding, failed: Failed) -> bool:
        """Let a request that failed wait for another processor, if there is one."""
        if not self._placing.may_move(forwarding, failed):
            return False
        self._line.join(forwarding, first=True)
        self._wake.set()  # not from in here, which a processor's callback calls
        return True

    def _ended(self, forwarding: Forwarding, end: Finished | Failed) -> None:
        self.active.discard(forwarding)
        try:
            self._count(forwarding, end)  # first: else a fault of what follows would lose it
        finally:
            self._line.leave(forwarding)
        if forwarding.kept is not None:
            late = 0.0 if self._ticks is None else self._ticks.late(self._now())
            stages = forwarding.stages
            late = min(late, self._now() - stages.arrived)  # its end came before the next look
            reasons.ended(forwarding.kept, end, stood_still=stages.stood_still_for + late)
        processor = self.processors.get(forwarding.processor)
        if processor is not None and (speed := forwarding.tokens_per_second):
            processor.saw(forwarding.model, speed)
        observe(self._metrics, forwarding, end, self.processors.names(), self._now())
        tell_series(self._saw, forwarding, end, self._now())
        self._wake.set()  # what waits may go on; not from in here, which a placement may call

    def _count(self, forwarding: Forwarding, end: Finished | Failed) -> None:
        """Count it for whom it counts, and give back what was held for it."""
        if forwarding.lease is None:
            return
        model = forwarding.model
        if not (forwarding.tried or self.processors.was_here(model)):
            model = ""  # a stranger's text, of which there is no end: sums are kept for ever
        timings = forwarding.stages.timings(self._now())
        forwarding.lease.end(end, model, outcome_of(end), timings, by_asker=forwarding.by_asker)

    def fail_all(self, error: AiplatError) -> None:
        """End all requests under way with an error; their processors are told to stop."""
        for forwarding in list(self.active):
            forwarding.fail(error)

    def end_those(self, which: Callable[[Lease], bool], error: AiplatError) -> None:
        """The same for those that count for somebody who may ask no more."""
        for forwarding in list(self.active):
            if forwarding.lease is not None and which(forwarding.lease):
                forwarding.fail(error, by_asker=True)

    # -- processors --------------------------------------------------------------------------

    def add_processor(
        self,
        peer: PeerId,
        inference: Inference,
        latency: Callable[[], float] = lambda: 0.0,
        *,
        is_member: bool = False,
        life: int = 0,
        own: OwnProcessor | None = None,
    ) -> None:
        """A processor came up: behind a channel, or in this node (`Processors.add`)."""
        self.processors.add(
            peer, inference, latency, is_here=peer == self._peer, is_member=is_member, life=life,
            own=own,
        )  # fmt: skip
        self._metrics.peers.labels("processor", "connected").set(len(self.processors))

    def processor_announced(self, peer: PeerId, announce: Announce) -> None:
        """A processor said what it offers."""
        if self.processors.announced(peer, announce):
            self._wake.set()

    def drain_processor(self, peer: PeerId, *, off: bool = False) -> None:
        """Place nothing new on a processor, whatever it says itself, until it is started again.

        Arguments:
            off: let it have requests again instead.
        """
        self.processors.hold_back(peer, off=off)
        self._wake.set()

    def drain(self) -> None:
        """Take no new requests; what peers asked and waits is sent back, to be asked elsewhere."""
        self.draining = True
        error = ShuttingDown("This gateway is shutting down: ask another.", retry_after=1)
        for forwarding in self._line:
            if forwarding.asker is not None:
                forwarding.fail(error)

    def undrain(self) -> None:
        """Take requests again."""
        self.draining = False

    def models(self) -> tuple[ModelStatus, ...]:
        """What this node's own faces can ask for, those that are ready first."""
        return self.processors.models(own=True)

    # -- why this peer? ------------------------------------------------------------------------

    def find(self, name: str) -> str:
        """The request that a person means, if its reasons are kept (`find_request`)."""
        return find_request(name, self.reasons)

    def explain(self, request: str, asker: PeerId | None = None) -> Explanation:
        """Why a request went where it went (`Reasons.explain`)."""
        return self.reasons.explain(request, asker)

    # -- over channels (`Role`) ----------------------------------------------------------------

    def opened(self, channel: Channel) -> None:
        """A peer that is a processor may announce."""
        self._channels[channel.peer] = channel
        if "processor" in channel.roles:
            self.add_processor(
                channel.peer, channel, lambda: channel.latency or 0.0,
                is_member=self._in_network(), life=channel.hello.incarnation,
            )  # fmt: skip

    def announced(self, channel: Channel, announce: Announce) -> None:
        """A processor told its state."""
        self.processor_announced(channel.peer, announce)

    def drained(self, channel: Channel, drain: Drain) -> None:
        """A processor takes no more, or takes some again."""
        processor = self.processors.get(channel.peer)
        if processor is not None:
            processor.drains = not drain.off
            self._wake.set()

    def ended(self, channel: Channel, reason: str) -> None:
        """A processor's channel is gone; its requests heard of it through their sinks."""
        if self._channels.get(channel.peer) is channel:
            del self._channels[channel.peer]
        why = reason.replace("this node", "this gateway")  # others read it too
        if self.processors.remove(channel.peer, channel, why):
            self._metrics.peers.labels("processor", "connected").set(len(self.processors))

    def submitted(self, incoming: Incoming) -> None:
        """A client asks, or another gateway; no processor may."""
        self.refuse_all_but(("client", "gateway"), incoming)
        peer = incoming.channel.peer
        trusted = self._is_trusted(peer)
        incoming.attach(self.submit(incoming.submission, incoming, peer, is_trusted=trusted))

    def _is_trusted(self, peer: PeerId) -> bool:
        """Whether a peer may be answered without a key: a certified member, or on this machine."""
        channel = self._channels.get(peer)
        if channel is None:
            return False
        if self._in_network():
            return bool(channel.hello.certificate)
        return channel.address.startswith(("/ip4/127.", "/ip6/::1/"))

    async def called(self, channel: Channel, call: Call) -> Reply | None:
        """Answer what a client may ask of a gateway."""
        if call.method == "models":
            return Reply(body=msgspec.Raw(msgspec.msgpack.encode(self.processors.models())))
        if call.method == told.METHOD:
            return Reply(body=self._told(channel))
        if self.accounts is not None and (reply := await answer_call(self.accounts, channel, call)):
            return reply
        if call.method != "explain":
            return None
        try:
            found = self.explain(msgspec.msgpack.decode(call.body, type=str), channel.peer)
        except UNREADABLE:
            return Reply(failed=Failed.of(InvalidRequest("The call names no request.")))
        except AiplatError as refusal:
            return Reply(failed=Failed.of(refusal))
        return Reply(body=msgspec.Raw(msgspec.msgpack.encode(found)))

    def _told(self, asker: Channel) -> msgspec.Raw:
        """Whom this gateway sees, but for who asks."""
        others = [c for c in self._channels.values() if c.peer != asker.peer]
        rows = [told.row(c, self.processors.get(c.peer), self._now()) for c in others]
        own = self.processors.get(self._peer)
        if own is not None:
            rows.insert(0, told.own_row(self._peer, own))
        body, left_out = told.encode(
            rows, to_member=bool(asker.hello.certificate), most=self._settings.peers_told
        )
        if left_out:
            self._metrics.bound_hits.labels(bound="peers_told").inc()
        return body
