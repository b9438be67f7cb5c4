"""The course of a model that writes: `Scheduler` and `Backend`, a step at a time (`turns`)."""

from __future__ import annotations

import time
from collections.abc import Callable

from aiplat.domain.answers import AnswerEvent
from aiplat.domain.errors import AiplatError
from aiplat.engine.backend import Backend
from aiplat.engine.messages import Numbers
from aiplat.engine.rows import Row
from aiplat.engine.scheduler import Scheduler


class Answering:
    """Answers (`turns.Course`)."""

    def __init__(self, backend: Backend, scheduler: Scheduler) -> None:
        self.name = scheduler.manifest.name
        self._backend = backend
        self._scheduler = scheduler

    def add(self, row: Row) -> None:
        """Take a request (`Course`)."""
        self._scheduler.add(row)

    def cancel(self, number: int) -> None:
        """End it soon (`Course`)."""
        self._scheduler.cancel(number)

    def grant(self, number: int, credit: int) -> None:
        """Give it more credit (`Course`)."""
        self._scheduler.grant(number, credit)

    def next_deadline(self) -> float | None:
        """When the next runs out of time (`Course`)."""
        return self._scheduler.next_deadline()

    def take_events(self) -> list[tuple[int, AnswerEvent]]:
        """What happened (`Course`)."""
        return self._scheduler.take_events()

    def fail(self, error: AiplatError) -> None:
        """End all (`Course`)."""
        self._scheduler.fail(error)

    def step(self, meanwhile: Callable[[], None]) -> bool:
        """Close places, open others, read and draw (`Course`)."""
        step = self._scheduler.schedule(time.monotonic())
        for place in step.closed:
            self._backend.close(place)
        for opening in step.opened:
            self._backend.open(opening)
        if not step.pieces:
            return False
        began = time.monotonic()
        drawn = self._backend.run(step.pieces)
        now = time.monotonic()
        meanwhile()
        self._scheduler.postprocess(step, drawn, now - began, now)
        return True

    def numbers(self) -> Numbers:
        """How it stands (`Course`)."""
        scheduler = self._scheduler
        return Numbers(
            scheduler.running,
            scheduler.waiting,
            round(scheduler.used, 4),
            round(scheduler.pace.tokens_per_second, 2),
            scheduler.pace.steps,
            scheduler.prefixes.lookups,
            scheduler.prefixes.hits,
            round(scheduler.pace.expected_wait(scheduler.waiting, scheduler.slots), 2),
        )
