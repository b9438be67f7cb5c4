"""An engine in a process of its own (`Engine`): kept alive, and spoken for when it dies."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable
from pathlib import Path

import msgspec
import trio

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
from aiplat.domain.errors import (
    AiplatError,
    DeadlineExceeded,
    EngineFailed,
    Overloaded,
    RequestTooLarge,
    ShuttingDown,
)
from aiplat.domain.models import ModelOffer
from aiplat.domain.usage import Usage
from aiplat.engine.admission import generation_of
from aiplat.engine.backend import Plan
from aiplat.engine.child import Child
from aiplat.engine.held import Held
from aiplat.engine.life import Died, Life
from aiplat.engine.messages import ENGINE_CODEC, LoadFailed, Numbers, Ready
from aiplat.engine.pauses import Pauses
from aiplat.engine.settings import EngineSettings
from aiplat.protocol.errors import LocalProtocolError, RemoteProtocolError
from aiplat.protocol.messages import Ack, Cancel
from aiplat.telemetry.metrics import Metrics

log = logging.getLogger("aiplat.engine.process")

SLOTS_BACKEND = "aiplat.engine.backends.slots.backend:load"
_NEVER = float("inf")
_ANSWERS = (Queued, Started, Delta, Finished, Failed)


class EngineProcess:
    """One model, in a process that may die without harm to its node.

    Arguments:
        name: what the model is offered as.
        folder, cache: where it lies, and where the digests of local models are kept.
        log_path: of the process's own log.
        backend: what computes in it, as ``module:function``.
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
    ) -> None:
        self.name = name
        self._settings = settings
        self._log_path = log_path
        self._metrics = metrics
        self._plan = _plan(name, folder, cache, settings, backend)
        self._codec = ENGINE_CODEC.with_bound(settings.max_frame)
        self._held: dict[int, Held] = {}
        self._numbers = itertools.count(1)
        self._notes: list[tuple[Held, AnswerEvent]] = []
        self._wake = trio.Event()
        self._life: Life | None = None
        self._ready: Ready | None = None
        self._load_error = ""
        self._outdated = False
        self._until_renewed = trio.CancelScope()
        self._offer = ModelOffer(name=name, state="loading", note="the model is loading")
        self._told = self._offer
        self._on_change: Callable[[], None] = lambda: None

    # -- Engine --------------------------------------------------------------------------------

    def offer(self) -> ModelOffer:
        """What it offers now (`Engine`)."""
        running = sum(held.started for held in self._held.values())
        return msgspec.structs.replace(
            self._offer, running=running, waiting=len(self._held) - running
        )

    def submit(self, submission: Submission, sink: AnswerSink) -> Asking:
        """Begin to answer (`Inference`); while the model loads the request waits.

        Raises:
            AiplatError: it asks for what the engine cannot do, or the engine is full or failed.
        """
        generation_of(submission)
        if self._offer.state == "failed":
            raise EngineFailed(f"The model {self.name} does not run here: {self._offer.note}")
        bound = self._settings.slots + self._settings.max_waiting
        if len(self._held) >= bound:
            self._metrics.bound_hits.labels("engine_queue").inc()
            raise Overloaded(
                f"{self.name} has {len(self._held)} requests, as many as it takes.",
                retry_after=1.0,
            )
        submission = msgspec.structs.replace(submission, credential="")
        deadline = trio.current_time() + submission.deadline_ms / 1000
        held = Held(next(self._numbers), submission, sink, deadline, self)
        if self._ready is not None and self._life is not None and not self._outdated:
            self._send(held, self._life)
        else:
            self._check_size(submission)
            place = sum(not other.sent for other in self._held.values())
            self._notes.append((held, Queued(place, 0, self._offer.note)))
            self._wake.set()
        self._held[held.number] = held
        self._changed()
        return held

    def reconfigure(self, settings: EngineSettings) -> None:
        """Take other settings (`Reconfigurable`): with a new process, after the last answer of the
        old one. What comes meanwhile waits for it.
        """
        old = self._plan
        self._settings = settings
        self._plan = _plan(self.name, Path(old.folder), Path(old.cache), settings, old.backend)
        if self._plan == old or self._load_error:
            return
        self._outdated = True
        note = "the model is started anew, with other settings"
        self._set(ModelOffer(name=self.name, state="loading", note=note))
        self._renew_if_idle()

    def _renew_if_idle(self) -> None:
        if self._outdated and not self._has_work():
            self._until_renewed.cancel()

    async def run(
        self,
        on_change: Callable[[], None],
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Keep the process alive until cancelled (`Engine`)."""
        self._on_change = on_change
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._herald)
                nursery.start_soon(self._keep_alive)
                task_status.started()
        finally:
            error = ShuttingDown(f"The node ends, and {self.name} with it.")
            for held in list(self._held.values()):
                self._end(held, Failed.of(error))

    # -- what askers say (held.Desk) -----------------------------------------------------------

    def acknowledged(self, held: Held, tokens: int, credit: int) -> None:
        """Pass it on, while the engine knows the request."""
        if held.sent and held.number in self._held and self._life is not None:
            self._life.send(Ack(tokens, credit), held.number)

    def cancelled(self, held: Held) -> None:
        """Pass it on; one that was not sent yet ends here."""
        if held.number not in self._held:
            return
        if held.sent and self._life is not None:
            self._life.send(Cancel(), held.number)
        else:
            self._wake.set()

    # -- the process's lives -------------------------------------------------------------------

    async def _keep_alive(self) -> None:
        settings = self._settings
        pauses = Pauses(
            settings.restart_first_seconds,
            settings.restart_most_seconds,
            settings.restart_reset_seconds,
        )
        while True:
            began = trio.current_time()
            cause = await self._one_life()
            if not cause:
                continue  # it was ended for a new one
            if self._load_error:
                self._fail_for_good(self._load_error)
                await trio.sleep_forever()
            pause = pauses.after(trio.current_time() - began)
            self._mourn(cause, pause)
            await trio.sleep(pause)
            self._metrics.engine_restarts.labels(self.name).inc()
            self._set(ModelOffer(name=self.name, state="loading", note="the model is loading"))

    async def _one_life(self) -> str:
        """Start the process and live with it; give the cause of its death, empty for a renewal."""
        self._outdated = False
        self._until_renewed = trio.CancelScope()
        try:
            child = await Child.start(self._plan, self._log_path)
        except OSError as error:
            return f"could not be started ({error.strerror})"
        try:
            life = Life(child, self._settings, self._codec, self._take, self._has_work)
            self._life = life
            with self._until_renewed:
                await life.run()
            return ""
        except Died as died:
            child.kill()
            return str(died)
        finally:
            self._life = self._ready = None
            await child.end(self._settings.stop_seconds)

    def _mourn(self, cause: str, pause: float) -> None:
        """Tell all whose requests it held, and say when it comes back."""
        was_ready = self._offer.state == "ready"
        log.error(
            "engine lost",
            extra={
                "model": self.name,
                "cause": cause,
                "restart_seconds": pause,
                "engine_log": str(self._log_path),
            },
        )
        sentence = f"The engine of {self.name} {cause}"
        self._fail_all(EngineFailed(f"{sentence}; it is started again.", retry_after=pause + 5))
        note = f"{sentence}; next try in {pause:g} s"
        state = ModelOffer(name=self.name, state="loading" if was_ready else "failed", note=note)
        self._set(state)

    def _fail_for_good(self, why: str) -> None:
        log.error("model not loaded", extra={"model": self.name, "cause": why})
        self._set(ModelOffer(name=self.name, state="failed", note=why))
        self._fail_all(EngineFailed(f"The model {self.name} cannot be loaded: {why}"))

    def _fail_all(self, error: AiplatError) -> None:
        for held in list(self._held.values()):
            usage = held.usage if held.started else None
            self._end(held, Failed.of(error, usage))

    # -- what the process says -----------------------------------------------------------------

    def _take(self, number: int, message: msgspec.Struct) -> None:
        if isinstance(message, Numbers):
            self._count(message)
        elif isinstance(message, Ready):
            self._become_ready(message)
        elif isinstance(message, LoadFailed):
            self._load_error = message.message
        elif isinstance(message, _ANSWERS) and number in self._held:
            self._answer(self._held[number], message)
        else:
            raise RemoteProtocolError(f"it sent a {type(message).__name__} that nobody waits for")

    def _answer(self, held: Held, event: AnswerEvent) -> None:
        if not held.sent:
            raise RemoteProtocolError("it answered a request that it was not sent")
        if isinstance(event, Finished | Failed):
            self._end(held, event)
            return
        held.deliver(event)
        if isinstance(event, Started):
            self._changed()

    def _become_ready(self, ready: Ready) -> None:
        assert self._life is not None  # it speaks, so it lives
        self._ready = ready
        log.info(
            "the model %s is ready", self.name,
            extra={"model": self.name, "seconds": ready.load_seconds, "sign": "🤖"},
        )  # fmt: skip
        self._set(
            ModelOffer(name=self.name, state="ready", manifest=ready.manifest, slots=ready.slots)
        )
        for held in list(self._held.values()):
            if held.cancelled:
                continue
            try:
                self._send(held, self._life)
            except AiplatError as error:  # that one request cannot be sent; the others can
                self._end(held, Failed.of(error))

    def _count(self, numbers: Numbers) -> None:
        self._metrics.engine_kv_usage.labels(self.name).set(numbers.kv_used)
        self._offer = msgspec.structs.replace(
            self._offer, tokens_per_second=numbers.tokens_per_second
        )

    def _has_work(self) -> bool:
        return any(held.sent for held in self._held.values())

    # -- requests ------------------------------------------------------------------------------

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

    def _end(self, held: Held, event: AnswerEvent) -> None:
        del self._held[held.number]
        held.deliver(event)
        self._changed()
        self._renew_if_idle()

    async def _herald(self) -> None:
        """Say what may not be said within `submit`, and end those that were never sent."""
        while True:
            self._wake = trio.Event()
            notes, self._notes = self._notes, []
            for held, event in notes:
                if held.number in self._held and not held.sent:
                    held.deliver(event)
            now = trio.current_time()
            unsent = [held for held in self._held.values() if not held.sent]
            for held in unsent:
                self._look_after(held, now)
            due = min((held.deadline for held in unsent if held.deadline > now), default=_NEVER)
            with trio.move_on_at(due):
                await self._wake.wait()

    def _look_after(self, held: Held, now: float) -> None:
        if held.cancelled:
            self._end(held, Finished("cancelled", Usage(0, 0)))
        elif now >= held.deadline:
            seconds = held.submission.deadline_ms / 1000
            error = DeadlineExceeded(
                f"The request waited {seconds:.1f} s for {self.name} to load, as long as it could."
            )
            self._end(held, Failed.of(error))

    # -- how it stands -------------------------------------------------------------------------

    def _set(self, offer: ModelOffer) -> None:
        self._offer = offer
        self._changed()

    def _changed(self) -> None:
        """Tell when the offer differs; the speed alone is no news."""
        offer = self.offer()
        news = msgspec.structs.replace(offer, tokens_per_second=0.0)
        if news == self._told:
            return
        self._told = news
        self._metrics.engine_running.labels(self.name).set(offer.running)
        self._metrics.engine_waiting.labels(self.name).set(offer.waiting)
        self._on_change()


def _plan(name: str, folder: Path, cache: Path, settings: EngineSettings, backend: str) -> Plan:
    return Plan(
        name=name,
        folder=str(folder),
        cache=str(cache),
        slots=settings.slots,
        max_waiting=settings.max_waiting,
        default_max_tokens=settings.default_max_tokens,
        step_seconds=settings.step_seconds,
        prefill_tokens=settings.prefill_tokens,
        cache_mib=settings.cache_mib,
        threads=settings.threads,
        max_frame=settings.max_frame,
        dtype=settings.dtype,
        backend=backend,
    )
