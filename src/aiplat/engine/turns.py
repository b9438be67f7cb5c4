"""The model's thread: takes what comes from the node, has the model make a step, tells of it.

What a step is knows the `Course` alone, of answers or of vectors.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from aiplat.domain.answers import AnswerEvent, Failed
from aiplat.domain.errors import AiplatError, EngineFailed
from aiplat.engine.messages import Numbers
from aiplat.engine.pipes import Outgoing
from aiplat.protocol.messages import Ack, Cancel

_IDLE_SECONDS = 0.5
_NO_MEMORY = ("can't allocate memory", "cannot allocate memory", "out of memory")

Arrivals = queue.SimpleQueue[tuple[int, Any]]
"""What came, by the request's number: a message, or the row that was made of a submission."""


class Course(Protocol):
    """A model and its requests.

    Attributes:
        name: the model's.
    """

    name: str

    def add(self, row: Any) -> None:
        """Take a request, as the desk made it; raises `AiplatError` when it cannot be had."""

    def cancel(self, number: int) -> None:
        """End it at the end of the step that runs, if any; one that is unknown has ended."""

    def grant(self, number: int, credit: int) -> None:
        """Give its reader more credit."""

    def next_deadline(self) -> float | None:
        """When the next request runs out of time, in seconds; None without requests."""

    def take_events(self) -> list[tuple[int, AnswerEvent]]:
        """What happened since the last call, in order."""

    def step(self, meanwhile: Callable[[], None]) -> bool:
        """Have the model make a step; tells whether there was anything to do.

        Arguments:
            meanwhile: called after the model ran and before that counts, so that a cancel that
                came meanwhile holds from this very step.
        """

    def numbers(self) -> Numbers:
        """How it stands."""

    def fail(self, error: AiplatError) -> None:
        """End all: the model cannot go on."""


class Turns:
    """Takes turns with the model, for ever. Its thread alone touches the model."""

    def __init__(self, course: Course, arrivals: Arrivals, outgoing: Outgoing) -> None:
        self._course = course
        self._arrivals = arrivals
        self._outgoing = outgoing

    def run(self) -> None:
        """Serve until the process ends; an error of the model's ends all requests, then this."""
        wait = 0.0
        while True:
            try:
                self._take_arrivals(wait)
                was_busy = self._course.step(lambda: self._take_arrivals(0.0))
            except Exception as error:
                self._give_up(error)
                raise
            self._tell()
            wait = 0.0 if was_busy else self._pause()

    def _take_arrivals(self, wait: float) -> None:
        try:
            while True:
                if wait > 0:
                    self._apply(*self._arrivals.get(timeout=wait))
                    wait = 0.0
                else:
                    self._apply(*self._arrivals.get_nowait())
        except queue.Empty:
            return

    def _apply(self, number: int, arrival: Any) -> None:
        if isinstance(arrival, Cancel):
            self._course.cancel(number)
        elif isinstance(arrival, Ack):
            self._course.grant(number, arrival.credit)
        elif isinstance(arrival, Failed):
            self._outgoing.write([(number, arrival)])
        elif not isinstance(arrival, msgspec.Struct):
            try:
                self._course.add(arrival)
            except AiplatError as error:
                self._outgoing.write([(number, Failed.of(error))])

    def _pause(self) -> float:
        """How long there is nothing to do, in seconds."""
        deadline = self._course.next_deadline()
        if deadline is None:
            return _IDLE_SECONDS
        return min(_IDLE_SECONDS, max(0.001, deadline - time.monotonic()))

    def _tell(self) -> None:
        self._outgoing.write([*self._course.take_events(), (0, self._course.numbers())])

    def _give_up(self, error: Exception) -> None:
        name = self._course.name
        why = f"The engine of {name} broke down in a step ({type(error).__name__})."
        if lacks_memory(error):
            why = f"The engine of {name} ran out of memory in a step."
        self._course.fail(EngineFailed(why))
        self._tell()


def lacks_memory(error: BaseException | None) -> bool:
    """Whether an error, or what caused it, is that of an allocation. torch has no class for it."""
    while error is not None:
        text = str(error).lower()
        if isinstance(error, MemoryError) or any(words in text for words in _NO_MEMORY):
            return True
        error = error.__cause__
    return False
