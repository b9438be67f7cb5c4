"""The engine's process: ``python -m aiplat.engine.worker PLAN``, started by its node.

Three threads: this one owns the model and takes turns; one reads the pipe and answers pings, so
that a long forward is no silence; one makes tokens of prompts. The process ends with its node.
"""

from __future__ import annotations

import importlib
import logging
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import cast

import msgspec

from aiplat.domain.answers import Failed, Submission
from aiplat.domain.errors import AiplatError, EngineFailed
from aiplat.engine.backend import Backend, LoadError, Plan
from aiplat.engine.desk import Desk
from aiplat.engine.memory import be_the_first_to_go
from aiplat.engine.messages import ENGINE_CODEC, LoadFailed, Numbers, Ready
from aiplat.engine.pace import Pace
from aiplat.engine.pipes import Outgoing, end_with, read_frames, take_standard_pipes
from aiplat.engine.prefixes import Prefixes
from aiplat.engine.rows import Row, Step
from aiplat.engine.scheduler import Scheduler
from aiplat.protocol.messages import Ack, Cancel, Ping, Pong

log = logging.getLogger("aiplat.engine.worker")

_IDLE_SECONDS = 0.5
_NO_MEMORY = ("can't allocate memory", "cannot allocate memory", "out of memory")
_Arrival = tuple[int, msgspec.Struct | Row]


class Intake:
    """What comes from the node, on its way to the model's thread."""

    def __init__(self, outgoing: Outgoing) -> None:
        self._outgoing = outgoing
        self._raw: queue.SimpleQueue[tuple[int, msgspec.Struct, float]] = queue.SimpleQueue()
        self.arrivals: queue.SimpleQueue[_Arrival] = queue.SimpleQueue()

    def take(self, number: int, message: msgspec.Struct) -> None:
        """Answer a ping; keep all else in order. The reading thread calls it."""
        if isinstance(message, Ping):
            self._outgoing.write([(0, Pong(message.nonce))])
        else:
            self._raw.put((number, message, time.monotonic()))

    def prepare(self, desk: Desk) -> None:
        """Make rows of submissions, for ever."""
        while True:
            number, message, arrived = self._raw.get()
            if not isinstance(message, Submission):
                self.arrivals.put((number, message))
                continue
            try:
                self.arrivals.put((number, desk.row(number, message, arrived)))
            except AiplatError as error:
                self.arrivals.put((number, Failed.of(error)))
            except BaseException as error:  # noqa: BLE001  # nor end this thread: a panic of tokenizers
                # Its kind alone: a message or a traceback could show the prompt.
                log.error("a prompt could not be prepared: %s", type(error).__name__)
                failed = EngineFailed(
                    f"The prompt could not be prepared ({type(error).__name__}).",
                    recoverable=False,
                )
                self.arrivals.put((number, Failed.of(failed)))


class Turns:
    """Takes turns with the model, for ever. Its thread alone touches the model."""

    def __init__(
        self, backend: Backend, scheduler: Scheduler, intake: Intake, outgoing: Outgoing
    ) -> None:
        self._backend = backend
        self._scheduler = scheduler
        self._intake = intake
        self._outgoing = outgoing

    def run(self) -> None:
        """Serve until the process ends; an error of the model's ends all requests, then this."""
        wait = 0.0
        while True:
            try:
                self._take_arrivals(wait)
                step = self._scheduler.schedule(time.monotonic())
                self._turn(step)
            except Exception as error:
                self._give_up(error)
                raise
            self._tell()
            wait = 0.0 if step.pieces else self._pause()

    def _turn(self, step: Step) -> None:
        for place in step.closed:
            self._backend.close(place)
        for opening in step.opened:
            self._backend.open(opening)
        if not step.pieces:
            return
        began = time.monotonic()
        drawn = self._backend.run(step.pieces)
        now = time.monotonic()
        self._take_arrivals(0.0)  # a cancel that came meanwhile counts from this very step
        self._scheduler.postprocess(step, drawn, now - began, now)

    def _take_arrivals(self, wait: float) -> None:
        try:
            while True:
                if wait > 0:
                    self._apply(*self._intake.arrivals.get(timeout=wait))
                    wait = 0.0
                else:
                    self._apply(*self._intake.arrivals.get_nowait())
        except queue.Empty:
            return

    def _apply(self, number: int, arrival: msgspec.Struct | Row) -> None:
        if isinstance(arrival, Row):
            try:
                self._scheduler.add(arrival)
            except AiplatError as error:
                self._outgoing.write([(number, Failed.of(error))])
        elif isinstance(arrival, Cancel):
            self._scheduler.cancel(number)
        elif isinstance(arrival, Ack):
            self._scheduler.grant(number, arrival.credit)
        elif isinstance(arrival, Failed):
            self._outgoing.write([(number, arrival)])

    def _pause(self) -> float:
        """How long there is nothing to do, in seconds."""
        deadline = self._scheduler.next_deadline()
        if deadline is None:
            return _IDLE_SECONDS
        return min(_IDLE_SECONDS, max(0.001, deadline - time.monotonic()))

    def _tell(self) -> None:
        scheduler = self._scheduler
        numbers = Numbers(
            scheduler.running,
            scheduler.waiting,
            round(scheduler.used, 4),
            round(scheduler.pace.tokens_per_second, 2),
            scheduler.pace.steps,
            scheduler.prefixes.lookups,
            scheduler.prefixes.hits,
            round(scheduler.pace.expected_wait(scheduler.waiting, scheduler.slots), 2),
        )
        self._outgoing.write([*scheduler.take_events(), (0, numbers)])

    def _give_up(self, error: Exception) -> None:
        name = self._scheduler.manifest.name
        why = f"The engine of {name} broke down in a step ({type(error).__name__})."
        if _lacks_memory(error):
            why = f"The engine of {name} ran out of memory in a step."
        self._scheduler.fail(EngineFailed(why))
        self._tell()


def load(plan: Plan) -> Backend:
    """Make the backend that `plan` names.

    Raises:
        LoadError: what it needs is not installed, or the model cannot be loaded.
    """
    module, _, function = plan.backend.partition(":")
    try:
        made = getattr(importlib.import_module(module), function)(plan)
    except ImportError as error:
        raise LoadError(
            f"What runs models here is not installed ({error}): run `pip install 'aiplat[local]'`."
        ) from error
    except Exception as error:
        if not _lacks_memory(error):
            if isinstance(error, LoadError):
                raise
            why = f"{type(error).__name__}: {error}".rstrip(".")[
                :300
            ]  # a library's; no use to retry
            raise LoadError(f"The model {plan.name} cannot be loaded: {why}.") from error
        lacks = LoadError(f"There is not enough memory to load {plan.name}.")
        lacks.memory = True
        raise lacks from error
    return cast(Backend, made)


def _lacks_memory(error: BaseException | None) -> bool:
    """Whether an error, or what caused it, is that of an allocation. torch has no class for it."""
    while error is not None:
        text = str(error).lower()
        if isinstance(error, MemoryError) or any(words in text for words in _NO_MEMORY):
            return True
        error = error.__cause__
    return False


def main() -> int:
    """Load the model of the plan in ``argv[1]`` (JSON), then serve until the node goes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the node, which drains
    plan = msgspec.json.decode(sys.argv[1], type=Plan)
    incoming, out = take_standard_pipes()
    end_with(plan.lifeline)
    be_the_first_to_go()
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s %(message)s", level="INFO")
    codec = ENGINE_CODEC.with_bound(plan.max_frame)
    outgoing = Outgoing(out, codec)
    intake = Intake(outgoing)
    _thread("pipe", lambda: read_frames(incoming, codec, intake.take))
    began = time.monotonic()
    try:
        backend = load(plan)
    except LoadError as error:
        log.exception("the model cannot be loaded")
        outgoing.write([(0, LoadFailed(str(error), error.memory))])
        return 1
    scheduler = _scheduler(plan, backend)
    desk = Desk(backend, plan.default_max_tokens)
    _thread("desk", lambda: intake.prepare(desk))
    ready = Ready(
        manifest=backend.manifest,
        slots=plan.slots,
        max_waiting=plan.max_waiting,
        capacity=backend.capacity,
        load_seconds=round(time.monotonic() - began, 2),
        note=backend.note,
    )
    log.info("ready after %s s, process %s", ready.load_seconds, os.getpid())
    outgoing.write([(0, ready)])
    Turns(backend, scheduler, intake, outgoing).run()
    return 1


def _scheduler(plan: Plan, backend: Backend) -> Scheduler:
    least = plan.prefix_least if backend.keeps else backend.capacity + 1  # more than there can be
    return Scheduler(
        backend.manifest,
        slots=plan.slots,
        max_waiting=plan.max_waiting,
        capacity=backend.capacity,
        pace=Pace(plan.step_seconds, plan.prefill_tokens),
        prefixes=Prefixes(backend.places, least, shared=plan.share_prefixes),
        spell=backend.spell,
    )


def _thread(name: str, target: Callable[[], object]) -> None:
    threading.Thread(target=target, name=name, daemon=True).start()


def _end() -> None:
    """Run `main` and end at once: torch's threads need no farewell."""
    status = 1
    try:
        status = main()
    except Exception:
        log.exception("the engine broke down")
    finally:
        logging.shutdown()
        os._exit(status)


if __name__ == "__main__":
    _end()
