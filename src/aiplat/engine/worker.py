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
from typing import Protocol, cast

import msgspec

from aiplat.domain.answers import Failed, Submission
from aiplat.domain.errors import AiplatError, EngineFailed
from aiplat.engine.answering import Answering
from aiplat.engine.backend import Backend, LoadError, Plan
from aiplat.engine.desk import Counted, Desk
from aiplat.engine.memory import be_the_first_to_go
from aiplat.engine.messages import ENGINE_CODEC, LoadFailed, Ready
from aiplat.engine.pace import Pace
from aiplat.engine.pipes import Outgoing, end_with, read_frames, take_standard_pipes
from aiplat.engine.prefixes import Prefixes
from aiplat.engine.scheduler import Scheduler
from aiplat.engine.turns import Arrivals, Course, Turns, lacks_memory
from aiplat.engine.vector_backend import VectorBackend
from aiplat.engine.vector_desk import VectorDesk
from aiplat.engine.vector_steps import VectorSteps
from aiplat.engine.vectors import Vectors
from aiplat.protocol.messages import Ping, Pong

log = logging.getLogger("aiplat.engine.worker")


class Preparing(Protocol):
    """A desk: makes of submissions what the model's thread takes."""

    def row(self, number: int, submission: Submission, arrived: float) -> object:
        """Make a row of one; raises `AiplatError` when it cannot be served."""


class Intake:
    """What comes from the node, on its way to the model's thread."""

    def __init__(self, outgoing: Outgoing) -> None:
        self._outgoing = outgoing
        self._raw: queue.SimpleQueue[tuple[int, msgspec.Struct, float]] = queue.SimpleQueue()
        self.arrivals: Arrivals = queue.SimpleQueue()

    def take(self, number: int, message: msgspec.Struct) -> None:
        """Answer a ping; keep all else in order. The reading thread calls it."""
        if isinstance(message, Ping):
            self._outgoing.write([(0, Pong(message.nonce))])
        else:
            self._raw.put((number, message, time.monotonic()))

    def prepare(self, desk: Preparing) -> None:
        """Make rows of submissions, for ever."""
        while True:
            number, message, arrived = self._raw.get()
            if not isinstance(message, Submission):
                self.arrivals.put((number, message))
                continue
            try:
                made = desk.row(number, message, arrived)
                if isinstance(made, Counted):
                    self._outgoing.write([(number, event) for event in made.events])
                else:
                    self.arrivals.put((number, made))
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


def load(plan: Plan) -> Backend | VectorBackend:
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
        if not lacks_memory(error):
            if isinstance(error, LoadError):
                raise
            why = f"{type(error).__name__}: {error}".rstrip(".")[
                :300
            ]  # a library's; no use to retry
            raise LoadError(f"The model {plan.name} cannot be loaded: {why}.") from error
        lacks = LoadError(f"There is not enough memory to load {plan.name}.")
        lacks.memory = True
        raise lacks from error
    return cast("Backend | VectorBackend", made)


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
    course, desk = _course(plan, backend)
    _thread("desk", lambda: intake.prepare(desk))
    ready = Ready(
        manifest=backend.manifest,
        slots=plan.slots,
        max_waiting=plan.max_waiting,
        capacity=backend.capacity,
        load_seconds=round(time.monotonic() - began, 2),
        note=backend.note,
        can=() if isinstance(backend, VectorBackend) else backend.can,
    )
    log.info("ready after %s s, process %s", ready.load_seconds, os.getpid())
    outgoing.write([(0, ready)])
    Turns(course, intake.arrivals, outgoing).run()
    return 1


def _course(plan: Plan, backend: Backend | VectorBackend) -> tuple[Course, Preparing]:
    """What the model does a step at a time, and what makes rows for it."""
    if isinstance(backend, VectorBackend):
        pace = Pace(plan.step_seconds, plan.vector_tokens)
        steps = VectorSteps(backend.manifest, most=plan.slots + plan.max_waiting, pace=pace)
        return Vectors(backend, steps), VectorDesk(backend)
    scheduler = _scheduler(plan, backend)
    return Answering(backend, scheduler), Desk(backend, plan.default_max_tokens)


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
