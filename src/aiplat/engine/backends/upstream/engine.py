"""One model of an upstream, as the processor knows it (`Engine`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import msgspec
import trio

from aiplat.domain.answers import AnswerSink, Asking, Submission
from aiplat.domain.chat import Embed
from aiplat.domain.errors import (
    AiplatError,
    EngineFailed,
    ModelNotFound,
    Overloaded,
    PermissionDenied,
)
from aiplat.domain.models import Manifest, ModelOffer
from aiplat.engine.backends.upstream.abilities import ALL
from aiplat.engine.backends.upstream.body import accepted
from aiplat.engine.backends.upstream.chat import Chat
from aiplat.engine.backends.upstream.embedding import Embedding
from aiplat.engine.backends.upstream.exchange import Exchange
from aiplat.engine.backends.upstream.listing import Listed
from aiplat.engine.backends.upstream.server import Server
from aiplat.engine.backends.upstream.settings import UpstreamSettings
from aiplat.telemetry.metrics import Metrics

_WEIGHT = 0.2
_SLOWEST, _FASTEST = 1e-3, 1e9


class UpstreamEngine:
    """A model that another server runs.

    Arguments:
        name: as the network calls it.
        server: who runs it.
        on_doubt: called when the upstream should be looked at again, now.
    """

    def __init__(
        self,
        name: str,
        server: Server,
        settings: UpstreamSettings,
        metrics: Metrics,
        on_doubt: Callable[[], None],
    ) -> None:
        self.name = self.there = name
        self.server = server
        self.settings = settings
        self.slots = trio.CapacityLimiter(settings.slots)
        self.kind = ""
        self._can = ALL
        self.manifest: Manifest = Listed(name=name).manifest()
        self.refused = ""
        """What the upstream said when it turned out not to have the model; empty else."""
        self._metrics = metrics
        self._on_doubt = on_doubt
        self._on_change: Callable[[], None] = lambda: None
        self._nursery: trio.Nursery | None = None
        self._held: set[Exchange] = set()
        self._seconds = self._speed = 0.0
        self._reach: Literal["", "network", "any"] = "network" if settings.private else "any"
        if server.address.is_loopback:
            self._reach = ""
        self._told = self._asked = self._offer = self._offered(
            "loading", note="the upstream is being asked"
        )

    # -- Engine --------------------------------------------------------------------------------

    def offer(self) -> ModelOffer:
        """What it offers now (`Engine`); nothing before it runs."""
        if self._nursery is None:
            return self._asked
        running = sum(exchange.running for exchange in self._held)
        return msgspec.structs.replace(
            self._offer, running=running, waiting=len(self._held) - running,
            tokens_per_second=self._speed,
        )  # fmt: skip

    def submit(self, submission: Submission, sink: AnswerSink) -> Asking:
        """Begin to answer (`Inference`).

        Raises:
            AiplatError: the upstream cannot do that, or is away, or all places are taken.
        """
        if not self._offer.keeps_to(submission.privacy):
            raise PermissionDenied(
                f"{self.name} runs on another server ({self.server.address.host}), and the request "
                f"may not leave its {submission.privacy}: ask without --privacy, or another model."
            )
        if not isinstance(submission.work, Embed):
            accepted(submission, self.kind)
        if self._offer.state != "ready" or self._nursery is None:
            raise EngineFailed(
                f"{self.name} does not answer here now: {self._offer.note}.", retry_after=5
            )
        if len(self._held) >= self.settings.slots + self.settings.max_waiting:
            self._metrics.bound_hits.labels("engine_queue").inc()
            raise Overloaded(
                f"{self.name} has {len(self._held)} requests, as many as it takes.",
                retry_after=max(1.0, round(self.expected_wait()[1], 1)),
            )
        exchange = self._exchange(submission, sink)
        self._held.add(exchange)
        self._nursery.start_soon(exchange.run)
        self._changed()
        return exchange

    def _exchange(self, submission: Submission, sink: AnswerSink) -> Exchange:
        if isinstance(submission.work, Embed):
            return Embedding(submission, sink, submission.work, self)
        return Chat(submission, sink, accepted(submission, self.kind), self)

    async def run(
        self,
        on_change: Callable[[], None],
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve until cancelled (`Engine`); whether the upstream is there others look after."""
        self._on_change = on_change
        async with trio.open_nursery() as self._nursery:
            task_status.started()
            self._changed()
            await trio.sleep_forever()

    # -- how it stands -------------------------------------------------------------------------

    def is_there(self, listed: Listed) -> None:
        """The upstream has it."""
        self.refused = ""
        self.there, self.kind, self._can = listed.name, listed.kind, listed.can or ALL
        self.manifest = msgspec.structs.replace(listed.manifest(), name=self.name)
        self._offer = self._offered("ready", manifest=self.manifest, slots=self.settings.slots)
        self._changed()

    @property
    def is_ready(self) -> bool:
        """Whether the upstream has it."""
        return self._offer.state == "ready"

    def is_away(self, note: str, state: Literal["loading", "failed"] = "failed") -> None:
        """The upstream has it not, or does not answer: `note` says why."""
        self._offer = self._offered(state, note=note)
        self._changed()

    def _offered(self, state: Literal["loading", "ready", "failed"], **more: Any) -> ModelOffer:
        return ModelOffer(name=self.name, state=state, reach=self._reach, can=self._can, **more)

    def _changed(self) -> None:
        """Tell when the offer differs; the speed alone is no news."""
        offer = msgspec.structs.replace(self.offer(), tokens_per_second=0.0)
        if offer == self._told:
            return
        self._told = offer
        self._metrics.engine_running.labels(self.name).set(offer.running)
        self._metrics.engine_waiting.labels(self.name).set(offer.waiting)
        self._on_change()

    # -- what its requests say (`exchange.Desk`) -------------------------------------------------

    def expected_wait(self) -> tuple[int, float]:
        """How many wait before one more, and for how long it would; 0 seconds while unknown."""
        place = self.slots.statistics().tasks_waiting
        return place, self._seconds * (place + 1) / self.settings.slots

    def began(self, exchange: Exchange) -> None:
        """It has a slot."""
        self._changed()

    def doubted(self, error: AiplatError) -> None:
        """The upstream may be gone, or no longer have the model: it is looked at now."""
        if isinstance(error, ModelNotFound):
            self.refused = error.message
            self.is_away(error.message.rstrip("."))
        self._on_doubt()

    def over(self, exchange: Exchange) -> None:
        """It ended: its place is free."""
        self._held.discard(exchange)
        if exchange.speed:
            self._speed = min(_FASTEST, max(_SLOWEST, _mean(self._speed, exchange.speed)))
        if exchange.running:
            self._seconds = _mean(self._seconds, exchange.seconds)
        self._changed()


def _mean(old: float, new: float) -> float:
    return new if old == 0 else old + _WEIGHT * (new - old)
