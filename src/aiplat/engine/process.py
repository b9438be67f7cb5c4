"""An engine in a process of its own (`Engine`): it takes requests and passes them on.

Whether the process runs is the keeper's affair (`engine.keeping`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import msgspec
import trio

from aiplat.domain.answers import (
    AnswerSink,
    Asking,
    Delta,
    Failed,
    Finished,
    Queued,
    Started,
    Submission,
)
from aiplat.domain.chat import Generate
from aiplat.domain.errors import (
    AiplatError,
    EngineFailed,
    InvalidRequest,
    Overloaded,
    RequestTooLarge,
    ShuttingDown,
)
from aiplat.domain.models import Ability, ModelOffer
from aiplat.engine.admission import generation_of
from aiplat.engine.backend import Plan
from aiplat.engine.embedding import check_size, embedding_of
from aiplat.engine.forms import check_schemas
from aiplat.engine.garage import Garage
from aiplat.engine.held import Held
from aiplat.engine.keeping import Keeper
from aiplat.engine.life import Life
from aiplat.engine.lives import Lives
from aiplat.engine.memory import footprint
from aiplat.engine.messages import ENGINE_CODEC, LoadFailed, Numbers, Ready
from aiplat.engine.requests import Requests
from aiplat.engine.settings import EngineSettings
from aiplat.engine.standing import Standing
from aiplat.engine.uses import expected_load_seconds, used
from aiplat.engine.waiting import may_displace
from aiplat.protocol.errors import LocalProtocolError, RemoteProtocolError
from aiplat.protocol.messages import Ack, Cancel
from aiplat.telemetry.metrics import Metrics

SLOTS_BACKEND = "aiplat.engine.backends.slots.backend:load"
VECTORS_BACKEND = "aiplat.engine.backends.vectors.backend:load"
_ANSWERS = (Queued, Started, Delta, Finished, Failed)


class EngineProcess:
    """One model, in a process that may die without harm to its node.

    Arguments:
        name: what the model is offered as.
        folder, cache: where it lies, and where the digests of local models are kept.
        log_path: of the process's own log.
        backend: what computes in it, as ``module:function``.
        garage: who says when there is room; None for one of its own.
        can: what the model does, as its folder tells; vectors, or answers.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        cache: Path,
        settings: EngineSettings,
        log_path: Path,
        metrics: Metrics,
        backend: str = SLOTS_BACKEND,
        garage: Garage | None = None,
        can: tuple[Ability, ...] = ("generate",),
    ) -> None:
        self.name = name
        self.folder = folder
        self.gone = trio.Event()
        """Whether it has ended, and its process with it."""
        self._cache = cache
        self._metrics = metrics
        self._backend = backend
        self._embeds = "embed" in can
        self._codec = ENGINE_CODEC.with_bound(settings.max_frame)
        self._requests = Requests(name, lambda: self._keeper.used())
        self._lives = Lives(log_path, self._codec, self._take, lambda: self._requests.any_sent)
        weights = footprint(folder, settings).weights
        known = used(folder, cache)
        seconds = expected_load_seconds(known, weights)
        self._stands = Standing(name, settings.slots, seconds, metrics, known.can or can)
        self._keeper = Keeper(
            name, folder, cache, settings, self._make_plan, self._requests, self._stands,
            self._lives, metrics, garage or Garage(settings), self._send_waiting,
        )  # fmt: skip

    @property
    def pid(self) -> int | None:
        """The number of its process; None while there is none."""
        return self._lives.pid

    # -- Engine --------------------------------------------------------------------------------

    def offer(self) -> ModelOffer:
        """What it offers now (`Engine`)."""
        return self._stands.offer(self._requests)

    def submit(self, submission: Submission, sink: AnswerSink) -> Asking:
        """Begin to answer (`Inference`); while the model is not loaded the request waits.

        Raises:
            AiplatError: it asks for what the engine cannot do, or the engine is full or failed.
        """
        self._check_work(submission)
        if self._stands.state == "failed":
            raise EngineFailed(f"The model {self.name} does not run here: {self._stands.note}")
        self._check_room(submission.fairness)
        submission = msgspec.structs.replace(submission, credential="")
        held = self._requests.make(submission, sink, self)
        life = self._lives.now
        if life is not None and self._keeper.is_ready and not self._keeper.is_held_back:
            self._send(held, life)
        else:
            self._check_size(submission)
        self._requests.hold(held)
        if not held.sent:
            self._keeper.wake()
            self._tell_why(held)
        return held

    def withdraw(self) -> None:
        """Never load it again: its files are gone."""
        self._keeper.is_withdrawn = True

    async def run(
        self,
        on_change: Callable[[], None],
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Load it when it is wanted, and keep its process alive, until cancelled (`Engine`).

        It runs once.
        """
        self._stands.on_change = on_change
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._requests.herald)
                nursery.start_soon(self._keeper.keep)
                nursery.start_soon(self._keeper.leave_when_idle)
                task_status.started()
        finally:
            self._requests.fail_all(ShuttingDown(f"The node ends, and {self.name} with it."))
            self._keeper.gone()
            self.gone.set()

    # -- what askers say (held.Desk) -----------------------------------------------------------

    def acknowledged(self, held: Held, tokens: int, credit: int) -> None:
        """Pass it on, while the engine knows the request."""
        if held.sent and held in self._requests and self._lives.now is not None:
            self._lives.now.send(Ack(tokens, credit), held.number)

    def cancelled(self, held: Held) -> None:
        """Pass it on; one that was not sent yet ends here."""
        if held not in self._requests:
            return
        if held.sent and self._lives.now is not None:
            self._lives.now.send(Cancel(), held.number)
        else:
            self._requests.look()

    # -- what the process says -----------------------------------------------------------------

    def _take(self, number: int, message: msgspec.Struct) -> None:
        held = self._requests.get(number)
        if isinstance(message, Numbers):
            self._stands.count(message)
        elif isinstance(message, Ready):
            self._keeper.loaded(message)
        elif isinstance(message, LoadFailed):
            self._keeper.load_failed = message
        elif isinstance(message, _ANSWERS) and held is not None:
            if not held.sent:
                raise RemoteProtocolError("it answered a request that it was not sent")
            if isinstance(message, Failed) and message.code == Overloaded.code:
                self._metrics.bound_hits.labels("engine_queue").inc()
            self._requests.deliver(held, message)
        else:
            raise RemoteProtocolError(f"it sent a {type(message).__name__} that nobody waits for")

    # -- requests ------------------------------------------------------------------------------

    def _check_work(self, submission: Submission) -> None:
        if not self._embeds:
            self._check_schemas(generation_of(submission))
            return
        try:
            check_size(embedding_of(submission), self._keeper.settings.embed_chars)
        except InvalidRequest:
            self._metrics.bound_hits.labels("embed_chars").inc()
            raise

    def _check_schemas(self, work: Generate) -> None:
        settings = self._keeper.settings
        try:
            check_schemas(work, settings.schema_bytes, settings.schema_depth)
        except InvalidRequest:
            self._metrics.bound_hits.labels("schema").inc()
            raise

    def _check_room(self, tag: str) -> None:
        settings, count = self._keeper.settings, len(self._requests)
        bound = settings.slots + settings.max_waiting
        if count >= bound and not (count < 2 * bound and self._may_displace(tag)):
            self._metrics.bound_hits.labels("engine_queue").inc()
            raise Overloaded(
                f"{self.name} has {count} requests, as many as it takes.",
                retry_after=max(1.0, self._stands.expected_wait),
            )

    def _may_displace(self, tag: str) -> bool:
        """Whether the engine's full queue may put out another's request for one of `tag`."""
        if not self._keeper.is_ready:
            return False
        waiting = Counter(h.submission.fairness for h in self._requests if not h.started)
        return may_displace(waiting, tag)

    def _tell_why(self, held: Held) -> None:
        """Have who asks hear how long the model takes to come."""
        place = len(self._requests.unsent) - 1
        note = self._stands.note or f"{self.name} is about to be loaded anew"
        milliseconds = round(1000 * self._stands.expected_seconds)
        self._requests.tell(held, Queued(place, milliseconds, note))

    def _send_waiting(self) -> None:
        life = self._lives.now
        if life is None or not self._keeper.is_ready or self._keeper.is_held_back:
            return
        for held in self._requests.unsent:
            if held.cancelled:
                continue
            try:
                self._send(held, life)
            except AiplatError as error:  # that one request cannot be sent; the others can
                self._requests.end(held, Failed.of(error))

    def _send(self, held: Held, life: Life) -> None:
        left = max(1, round(1000 * (held.deadline - trio.current_time())))
        submission = msgspec.structs.replace(held.submission, deadline_ms=left)
        try:
            life.send(submission, held.number)
        except LocalProtocolError as error:
            raise RequestTooLarge(str(error)) from None
        held.sent = True

    def _check_size(self, submission: Submission) -> None:
        try:
            self._codec.encode(submission)
        except LocalProtocolError as error:
            raise RequestTooLarge(str(error)) from None

    def _make_plan(self, settings: EngineSettings, cache_mib: int) -> Plan:
        return Plan(
            name=self.name,
            folder=str(self.folder),
            cache=str(self._cache),
            slots=settings.slots,
            max_waiting=settings.max_waiting,
            default_max_tokens=settings.default_max_tokens,
            step_seconds=settings.step_seconds,
            prefill_tokens=settings.prefill_tokens,
            cache_mib=cache_mib,
            threads=settings.threads,
            max_frame=settings.max_frame,
            dtype=settings.dtype,
            device=settings.device,
            attention=settings.attention,
            backend=self._backend,
            prefix_places=settings.prefix_places,
            prefix_least=settings.prefix_least,
            share_prefixes=settings.share_prefixes,
            deterministic=settings.deterministic,
            vector_tokens=settings.embed_tokens,
        )
