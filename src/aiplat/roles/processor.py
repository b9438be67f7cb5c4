"""The processor: runs requests of gateways on its engines, and tells the gateways how it stands."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import trio
from msgspec.structs import replace

from aiplat.domain.answers import AnswerSink, Asking, Submission, check_submission
from aiplat.domain.errors import (
    AiplatError,
    ModelNotFound,
    PermissionDenied,
    ShuttingDown,
    clip,
)
from aiplat.domain.ids import PeerId, short
from aiplat.engine.interface import Engine
from aiplat.protocol.messages import Announce
from aiplat.protocol.offers import MAX_NOTE
from aiplat.roles.base import Role
from aiplat.roles.counted import Counted
from aiplat.roles.gateway import Gateway
from aiplat.roles.sharing import By, Sharing
from aiplat.roles.watched import Saw, Watched
from aiplat.series.seen import ignore

if TYPE_CHECKING:
    from aiplat.node.channel import Channel
    from aiplat.node.incoming import Incoming

log = logging.getLogger("aiplat.processor")

ANNOUNCE_SECONDS = 0.05
"""Changes within this time leave in one announcement."""


class Processor(Role):
    """The processor role of a node. It is an `Inference` for the gateway of the same node.

    Arguments:
        peer: this node's peer id.
        engines: the models that it serves.
        local: the gateway of the same node, if it has that role.
        saw: hears of each request that ended, for the series.
        now: the clock, in seconds.
    """

    def __init__(
        self,
        peer: PeerId,
        engines: Sequence[Engine],
        local: Gateway | None = None,
        saw: Saw = ignore,
        now: Callable[[], float] = trio.current_time,
    ) -> None:
        self.draining = False
        self._saw = saw
        self._now = now
        self.sharing = Sharing()
        self._peer = peer
        self._engines = {engine.name: Counted(engine) for engine in engines}
        self._running = list(engines)
        self._nursery: trio.Nursery | None = None
        self._scopes = {engine.name: trio.CancelScope() for engine in engines}
        self._local = local
        self._gateways: list[Channel] = []
        self._revision = 0
        self._changed = trio.Event()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run the engines, and announce at each change."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            for engine in list(self._running):
                await nursery.start(self._run, engine, self._scopes[engine.name])
            if self._local is not None:
                self._local.add_processor(self._peer, self, own=self)
            self._announce()
            task_status.started()
            while True:
                await self._changed.wait()
                self._changed = trio.Event()
                self._announce()
                await trio.sleep(ANNOUNCE_SECONDS)

    def add(self, engine: Engine) -> None:
        """Offer one more model, which runs from now on: one that a person chose, or that another
        server got.
        """
        self._engines[engine.name] = Counted(engine)
        self._running.append(engine)
        scope = self._scopes[engine.name] = trio.CancelScope()
        if self._nursery is not None:
            self._nursery.start_soon(self._run, engine, scope)
        self._changed_now()

    async def _run(
        self,
        engine: Engine,
        scope: trio.CancelScope,
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Run one engine until the node ends, or it is withdrawn."""
        with scope:
            await engine.run(self._changed_now, task_status=task_status)

    def _changed_now(self) -> None:
        self._changed.set()

    @property
    def active(self) -> set[str]:
        """The names of the requests that run here."""
        return {under_way.request for e in self._engines.values() for under_way in e.active}

    @property
    def own_running(self) -> int:
        """How many requests of this node's own faces run here."""
        return max(0, sum(len(e.active) for e in self._engines.values()) - len(self.sharing))

    @property
    def taken(self) -> int:
        """How many requests it took in its life."""
        return sum(engine.taken for engine in self._engines.values())

    @property
    def announcement(self) -> Announce:
        """What it offers now."""
        offers = tuple(
            replace(offer, note=clip(offer.note, MAX_NOTE))
            for offer in (engine.offer() for engine in self._running)
        )
        paused = "" if self.draining else clip(self.sharing.reason, MAX_NOTE)
        return Announce(
            revision=self._revision, models=offers, paused=paused,
            draining=self.draining or bool(paused),
        )  # fmt: skip

    def _announce(self) -> None:
        self._revision += 1
        announce = self.announcement
        for channel in self._gateways:
            channel.say(announce)
        if self._local is not None:
            self._local.processor_announced(self._peer, announce)

    def drain(self, *, off: bool = False) -> None:
        """Take no new requests, or take them again; say so to the gateways."""
        self.draining = not off
        self._announce()

    def withdraw(self, model: str) -> None:
        """Offer a model no more, whose files are gone or that nobody wants offered; end it."""
        engine = self._engines.pop(model, None)
        if engine is not None:
            engine.fail_all(ModelNotFound(f"The model {model} was removed from this processor."))
            self._scopes.pop(model).cancel()
            self._running = [running for running in self._running if running.name != model]
            self._changed_now()

    def share(self, reason: str = "") -> None:
        """Take nothing from others for that reason, or take it again; say so to the gateways.

        This node's own requests go on. What others have under way ends as it would, unless it is
        ended (`Sharing.end_all`).
        """
        if reason != self.sharing.reason:
            self.sharing.reason = reason
            self._announce()

    def fail_all(self, error: AiplatError) -> None:
        """End all that runs here with an error."""
        for engine in self._engines.values():
            engine.fail_all(error)

    # -- requests ----------------------------------------------------------------------------

    def submit(
        self,
        submission: Submission,
        sink: AnswerSink,
        asker: PeerId | None = None,
        by: By = "client",
    ) -> Asking:
        """Begin to answer on the model's engine (`Inference`).

        Arguments:
            submission: what is asked.
            sink: hears the answer.
            asker: the peer that asks; None for this node's own faces, which get answers while
                others do not.
            by: whether that peer is a gateway, or a client of this node's gateway.

        Raises:
            AiplatError: it drains, takes nothing of others, has no such model, or the engine
                refuses.
        """
        check_submission(submission)  # a gateway may be a stranger's
        if self.draining:
            raise ShuttingDown("This processor is shutting down and takes no new requests.",
                               retry_after=5)  # fmt: skip
        if asker is not None:
            self.sharing.refuse()
        engine = self._engines.get(submission.model)
        if engine is None:
            raise ModelNotFound.of(submission.model, self._engines, where="on this processor")
        if asker is None:
            return engine.submit(submission, self._watched(submission, sink, self._peer))
        if by == "gateway":  # its tags are its own: no other's users are the same
            submission = replace(submission, fairness=f"{asker}/{submission.fairness}")
        use = self.sharing.use(submission, sink, asker, by)
        asking = engine.submit(submission, self._watched(submission, use, asker))
        self.sharing.began(use, asking)
        return asking

    def _watched(self, submission: Submission, sink: AnswerSink, asker: PeerId) -> Watched:
        return Watched("processor", submission, sink, self._saw, self._now, asker)

    # -- over channels (`Role`) ----------------------------------------------------------------

    def opened(self, channel: Channel) -> None:
        """A gateway hears at once what is offered here."""
        if "gateway" in channel.roles:
            self._gateways.append(channel)
            self._revision += 1
            channel.say(self.announcement)

    def submitted(self, incoming: Incoming) -> None:
        """A gateway asks; nobody else may. What is private to its machine comes over no channel."""
        self.refuse_all_but(("gateway",), incoming)
        if incoming.submission.privacy == "machine":
            raise PermissionDenied(
                f"The gateway {short(incoming.channel.peer)} sent a request that is private to its "
                "own machine: no processor elsewhere may work on it."
            )
        peer = incoming.channel.peer
        incoming.attach(self.submit(incoming.submission, incoming, peer, "gateway"))

    def ended(self, channel: Channel, reason: str) -> None:
        """A gateway is gone; what it asked is being cancelled."""
        if channel in self._gateways:
            self._gateways.remove(channel)
