"""The course of a model that makes vectors: steps and model together (`turns`)."""

from __future__ import annotations

import time
from collections.abc import Callable

from aiplat.domain.answers import AnswerEvent
from aiplat.domain.errors import AiplatError
from aiplat.engine.messages import Numbers
from aiplat.engine.vector_backend import VectorBackend
from aiplat.engine.vector_rows import VectorRow
from aiplat.engine.vector_steps import VectorSteps


class Vectors:
    """Vectors (`turns.Course`)."""

    def __init__(self, backend: VectorBackend, steps: VectorSteps) -> None:
        self.name = steps.manifest.name
        self._backend = backend
        self._steps = steps

    def add(self, row: VectorRow) -> None:
        """Take a request (`Course`)."""
        self._steps.add(row)

    def cancel(self, number: int) -> None:
        """End it soon (`Course`)."""
        self._steps.cancel(number)

    def grant(self, number: int, credit: int) -> None:
        """Give it more credit (`Course`)."""
        self._steps.grant(number, credit)

    def next_deadline(self) -> float | None:
        """When the next runs out of time (`Course`)."""
        return self._steps.next_deadline()

    def take_events(self) -> list[tuple[int, AnswerEvent]]:
        """What happened (`Course`)."""
        return self._steps.take_events()

    def fail(self, error: AiplatError) -> None:
        """End all (`Course`)."""
        self._steps.fail(error)

    def step(self, meanwhile: Callable[[], None]) -> bool:
        """Read some texts (`Course`)."""
        texts = self._steps.schedule(time.monotonic())
        if not texts:
            return False
        began = time.monotonic()
        made = self._backend.vectors(
            [text.ids for text in texts], [text.row.size for text in texts]
        )
        now = time.monotonic()
        meanwhile()
        self._steps.postprocess(texts, made, now - began, now)
        return True

    def numbers(self) -> Numbers:
        """How it stands (`Course`). There is no answer whose speed could be told."""
        steps = self._steps
        return Numbers(
            steps.running, steps.waiting, steps=steps.pace.steps,
            expected_wait=round(steps.expected_wait, 2),
        )  # fmt: skip
