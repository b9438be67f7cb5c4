"""The requests that one engine holds, and what they hear while no process works on them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import trio

from aiplat.domain.answers import AnswerEvent, AnswerSink, Failed, Finished, Queued, Submission
from aiplat.domain.errors import AiplatError, DeadlineExceeded
from aiplat.domain.usage import Usage
from aiplat.engine.held import Desk, Held

_NEVER = float("inf")


class Requests:
    """Those of one model, by their number in the pipes.

    Arguments:
        name: the model's, for the words.
        changed: called when one came, began or ended.
    """

    def __init__(self, name: str, changed: Callable[[], None]) -> None:
        self._name = name
        self._changed = changed
        self._held: dict[int, Held] = {}
        self._numbers = itertools.count(1)
        self._notes: list[tuple[Held, Queued]] = []
        self._wake = trio.Event()

    def __len__(self) -> int:
        return len(self._held)

    def __iter__(self) -> Iterator[Held]:
        return iter(list(self._held.values()))

    def __contains__(self, held: Held) -> bool:
        return held.number in self._held

    def get(self, number: int) -> Held | None:
        """The one with that number, if it has not ended."""
        return self._held.get(number)

    @property
    def running(self) -> int:
        """How many have begun."""
        return sum(held.started for held in self._held.values())

    @property
    def any_sent(self) -> bool:
        """Whether a process has one."""
        return any(held.sent for held in self._held.values())

    @property
    def unsent(self) -> list[Held]:
        """Those that no process has, in order."""
        return [held for held in self._held.values() if not held.sent]

    def make(self, submission: Submission, sink: AnswerSink, desk: Desk) -> Held:
        """A request, which is not held yet."""
        deadline = trio.current_time() + submission.deadline_ms / 1000
        return Held(next(self._numbers), submission, sink, deadline, desk)

    def hold(self, held: Held) -> None:
        """Hold it until its end."""
        self._held[held.number] = held
        self._changed()

    def deliver(self, held: Held, event: AnswerEvent) -> None:
        """Pass on what the process says of one."""
        if isinstance(event, Finished | Failed):
            self.end(held, event)
            return
        began = held.started
        held.deliver(event)
        if held.started != began:
            self._changed()

    def end(self, held: Held, event: Finished | Failed) -> None:
        """It is over."""
        del self._held[held.number]
        held.deliver(event)
        self._changed()

    def fail_all(self, error: AiplatError) -> None:
        """All end with an error; what they got is counted."""
        for held in self:
            self.end(held, Failed.of(error, held.usage if held.started else None))

    # -- those that wait -----------------------------------------------------------------------

    def tell_waiting(self, seconds: float, reason: str) -> None:
        """Have all that wait hear why, and for about how long."""
        for place, held in enumerate(self.unsent):
            self.tell(held, Queued(place, round(seconds * 1000), reason))

    def tell(self, held: Held, queued: Queued) -> None:
        """Have one hear it, soon: a sink hears nothing before `submit` has returned."""
        self._notes.append((held, queued))
        self._wake.set()

    def look(self) -> None:
        """One that waits may have been cancelled."""
        self._wake.set()

    async def herald(self) -> None:
        """Say what may not be said within `submit`, and end those that were never sent."""
        while True:
            self._wake = trio.Event()
            notes, self._notes = self._notes, []
            for held, event in notes:
                if held in self and not held.sent:
                    held.deliver(event)
            now = trio.current_time()
            for held in self.unsent:
                self._look_after(held, now)
            due = min((h.deadline for h in self.unsent if h.deadline > now), default=_NEVER)
            with trio.move_on_at(due):
                await self._wake.wait()

    def _look_after(self, held: Held, now: float) -> None:
        if held.cancelled:
            self.end(held, Finished("cancelled", Usage(0, 0)))
        elif now >= held.deadline:
            seconds = held.submission.deadline_ms / 1000
            error = DeadlineExceeded(
                f"The request waited {seconds:.1f} s for {self._name} to load, as long as it could."
            )
            self.end(held, Failed.of(error))
