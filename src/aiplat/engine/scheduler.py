"""Decides what a model does next, and what each answer came to. Pure: no tensors, no clock.

A turn is ``schedule`` → the model runs → ``postprocess`` (after nano-vllm). Each that runs holds
a slot. All that run go into every step: one token each while they answer, and a share of the
step's budget while their prompt is read (`prefill`). Who waits stands behind those of its own
fairness tag; of the tags the one that has had least is next (`fairness`), but nobody is overtaken
for ever. Places of the cache, and what they keep of earlier requests, are in `prefixes`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from aiplat.domain.answers import AnswerEvent, Failed, Queued, Started
from aiplat.domain.errors import (
    AiplatError,
    ContextLengthExceeded,
    DeadlineExceeded,
    EngineFailed,
    Overloaded,
)
from aiplat.domain.models import Manifest
from aiplat.engine.fairness import READ, WRITTEN, Fairness
from aiplat.engine.logprobs import told
from aiplat.engine.pace import Pace
from aiplat.engine.prefill import Prefill
from aiplat.engine.prefixes import Prefixes
from aiplat.engine.rows import Drawn, Fault, Opening, Piece, Row, Step
from aiplat.engine.waiting import Waiting


class Scheduler:
    """The requests of one model.

    Arguments:
        manifest: the model; told to each request when it begins.
        slots: how many run at once.
        max_waiting: how many more may wait.
        capacity: tokens that the KV cache holds, over all places.
        pace: how much one step may read.
        prefixes: the cache's places, at least as many as slots.
        spell: the bytes of a token, for logprobs.
    """

    def __init__(
        self,
        manifest: Manifest,
        *,
        slots: int,
        max_waiting: int,
        capacity: int,
        pace: Pace,
        prefixes: Prefixes,
        spell: Callable[[int], bytes],
    ) -> None:
        self.manifest = manifest
        self.slots = slots
        self.capacity = capacity
        self.pace = pace
        self.prefixes = prefixes
        self._max_waiting = max_waiting
        self._most_overtaken = 4 * slots
        self._spell = spell
        self._fairness = Fairness()
        self._prefill = Prefill()
        self._rows: dict[int, Row] = {}
        self._waiting = Waiting()
        self._running: list[Row] = []
        self._reserved = 0
        self._events: list[tuple[int, AnswerEvent]] = []

    # -- what comes in -------------------------------------------------------------------------

    def add(self, row: Row) -> None:
        """Take a request.

        Raises:
            ContextLengthExceeded: it would never fit the cache.
            Overloaded: the queue is full, and its tag has no less in it than others.
        """
        if row.number in self._rows:
            raise ValueError("a number used twice")
        if row.need > self.capacity:
            raise ContextLengthExceeded.of_cache(row.prompt_tokens, row.limit, self.capacity)
        if self.waiting >= self._max_waiting + self.slots - self.running:
            victim = self._waiting.to_displace(row.tag)
            if victim is None:
                raise self._full()
            self._end(victim, Failed.of(self._full()))
        self._rows[row.number] = row
        self._fairness.began(row.tag)
        self._waiting.add(row)

    def _full(self) -> Overloaded:
        return Overloaded(
            f"{self.manifest.name} has {self.running} answers under way and {self.waiting} "
            "requests that wait.",
            retry_after=max(1.0, self.pace.expected_wait(self.waiting, self.slots)),
        )

    def cancel(self, number: int) -> None:
        """End it at the end of the step that runs, if any; one that is unknown has ended."""
        if row := self._rows.get(number):
            row.cancelled = True

    def grant(self, number: int, credit: int) -> None:
        """Give its reader more credit."""
        if row := self._rows.get(number):
            row.outbox.grant(credit)

    # -- how it stands -------------------------------------------------------------------------

    @property
    def running(self) -> int:
        """Requests that hold a slot."""
        return len(self._running)

    @property
    def waiting(self) -> int:
        """Requests that wait for a slot."""
        return len(self._waiting)

    @property
    def held(self) -> int:
        """Requests that have not ended."""
        return len(self._rows)

    @property
    def used(self) -> float:
        """Share of the KV cache that is promised to those that run."""
        return self._reserved / self.capacity

    def next_deadline(self) -> float | None:
        """When the next request runs out of time, in seconds; None without requests."""
        return min((row.deadline for row in self._rows.values()), default=None)

    def take_events(self) -> list[tuple[int, AnswerEvent]]:
        """What happened since the last call, in order."""
        events, self._events = self._events, []
        return events

    # -- a turn --------------------------------------------------------------------------------

    def schedule(self, now: float) -> Step:
        """End what is cancelled or late, fill the slots, and say what the model reads next."""
        for row in list(self._rows.values()):
            self._speak(row, now)
        self._admit(now)
        opened = self._seat()
        self._tell_waiting()
        return Step(self.prefixes.take_closed(), opened, self._pieces())

    def postprocess(
        self, step: Step, drawn: Mapping[int, Drawn | Fault], seconds: float, now: float
    ) -> None:
        """Take what the model drew.

        Arguments:
            step: what it read.
            drawn: by request, the token, or why there is none; for each piece that draws.
            seconds: how long the step took.
        """
        self.pace.took(step.pieces, seconds)
        for piece in step.pieces:
            row = piece.row
            row.read += len(piece.ids)
            answers = piece.draws and len(piece.ids) == 1
            self._fairness.charge(row.tag, WRITTEN if answers else READ * len(piece.ids))
            if piece.draws:
                self._take(row, drawn[row.number], now)
        for row in list(self._rows.values()):
            self._speak(row, now)

    def fail(self, error: AiplatError) -> None:
        """End all: the model cannot go on."""
        for row in list(self._rows.values()):
            self._end(row, Failed.of(error, row.usage))

    # -- what was drawn ------------------------------------------------------------------------

    def _take(self, row: Row, drawn: Drawn | Fault, now: float) -> None:
        if isinstance(drawn, Fault):
            error = EngineFailed(drawn.message, recoverable=False)
            self._release(row, keep=False)  # what it read may be as broken
            if not row.cancelled:
                self._end(row, Failed.of(error, row.usage))
            return
        if row.cancelled:
            return
        row.first = now if row.first is None else row.first
        row.ids.append(drawn.token)
        text = row.voice.say(drawn.token)
        if row.matcher is not None and not row.voice.ended and not row.matcher.take(drawn.token):
            self._release(row)
            error = EngineFailed("The answer left its grammar.", recoverable=False)
            self._end(row, Failed.of(error, row.usage))
            return
        if row.is_over:
            text += self._stop(row)
        said = told(drawn, row.voice, self._spell)
        row.outbox.put((drawn.token,), text, said, row.voice.take_calls())

    def _stop(self, row: Row) -> str:
        """It has said all: free its slot, though its reader may not have got all yet."""
        text = row.voice.flush()
        is_whole = row.voice.ended or (row.matcher is not None and row.matcher.ended)
        row.reason = "stop" if is_whole else "length"
        if is_whole and row.voice.called:
            row.reason = "tool_calls"
        self._release(row)
        return text

    def _speak(self, row: Row, now: float) -> None:
        """Deliver what there is credit for, and end the request if it is over."""
        if row.cancelled:
            self._end(row, row.finished("cancelled", now))
            return
        if (delta := row.outbox.take()) is not None:
            self._events.append((row.number, delta))
        if row.reason and row.outbox.empty:
            self.pace.ended(now - row.arrived)
            self._end(row, row.finished(row.reason, now))
        elif now >= row.deadline:
            self._end(row, Failed.of(_late(row), row.usage))

    # -- who is next ---------------------------------------------------------------------------

    def _admit(self, now: float) -> None:
        while self._waiting and len(self._running) < self.slots:
            row = self._next()
            if row is None:
                return
            self._waiting.remove(row)
            row.begun = now
            self._events.append((row.number, Started(self.manifest, row.prompt_tokens)))
            if row.is_over:  # all was said elsewhere
                row.outbox.put((), self._stop(row), None, row.voice.take_calls())
                self._speak(row, now)
                continue
            self._reserved += row.need
            self._running.append(row)

    def _next(self) -> Row | None:
        """Who is let in: of the tag that has had least, if there is memory for it.

        Others may go before one that waits for memory, or whose tag has had more; but only so
        often, then all wait for it.
        """
        heads = sorted(self._waiting.heads(), key=lambda row: (self._had(row.tag), row.number))
        due = [row for row in heads if row.overtaken >= self._most_overtaken]
        if due:
            first = min(due, key=lambda row: row.number)
            return first if self._fits(first) else None
        for rank, row in enumerate(heads):
            if self._fits(row):
                for place, other in enumerate(heads):
                    if place < rank or other.number < row.number:
                        other.overtaken += 1
                return row
        return None

    def _fits(self, row: Row) -> bool:
        return self._reserved + row.need <= self.capacity

    def _had(self, tag: str) -> float:
        """What a tag has had, with what it was promised: the prompts that are still read."""
        promised = sum(row.unread for row in self._running if row.tag == tag)
        return self._fairness.had(tag) + READ * promised

    def _seat(self) -> list[Opening]:
        """Give places to those that were let in.

        Who begins like a prompt that is just being read waits until it was, and gets a copy.
        """
        opened = []
        for row in self._running:
            if row.place >= 0 or self.prefixes.coming(row.ids, row.tag) is not None:
                continue
            opened.append(self.prefixes.seat(row, self.capacity - self._reserved + row.need))
        return opened

    def _tell_waiting(self) -> None:
        """Tell those that wait how many are before them: once, and when that has halved."""
        if not self._waiting.changed:
            return
        self._waiting.changed = False
        reason = f"all {self.slots} slots of {self.manifest.name} are taken"
        if len(self._running) < self.slots:
            reason = f"the memory of {self.manifest.name} is taken"
        for place, row in enumerate(self._waiting.order(self._had, _expected_cost)):
            if row.told < 0 or place <= row.told // 2 < row.told or place > 2 * row.told + 1:
                row.told = place
                wait = round(1000 * self.pace.expected_wait(place, self.slots))
                self._events.append((row.number, Queued(place, wait, reason)))

    def _pieces(self) -> list[Piece]:
        live = [row for row in self._running if row.place >= 0 and row.outbox.empty]
        answering = [row for row in live if row.unread == 1]
        reading = [row for row in live if row.unread > 1]
        pieces = [Piece(row, row.place, row.read, row.ids[row.read :], True) for row in answering]
        budget = self.pace.budget(len(answering))
        for row, share in self._prefill.deal(reading, budget, self._fairness.had):
            ids = row.ids[row.read : row.read + share]
            pieces.append(Piece(row, row.place, row.read, ids, share == row.unread))
        return pieces

    # -- ends ----------------------------------------------------------------------------------

    def _release(self, row: Row, *, keep: bool = True) -> None:
        """Free its slot, if it holds one; its grammar is of no use any more."""
        row.matcher = None
        if row not in self._running:
            return
        self._running.remove(row)
        self._reserved -= row.need
        self._waiting.changed = True  # those that wait move up
        if row.place >= 0:
            self.prefixes.release(row, keep=keep)

    def _end(self, row: Row, event: AnswerEvent) -> None:
        if self._rows.pop(row.number, None) is None:
            return
        self._release(row)
        if row.begun is None:
            self._waiting.remove(row)
        self._fairness.ended(row.tag)
        self._events.append((row.number, event))


def _expected_cost(row: Row) -> float:
    return READ * row.unread + WRITTEN * (row.limit - row.said)


def _late(row: Row) -> DeadlineExceeded:
    if row.begun is None:
        stage = "for a slot"
    elif row.first is None:
        stage = "for its first token"
    else:
        stage = "for its end"
    return DeadlineExceeded(
        f"The request waited {row.deadline - row.arrived:.1f} s {stage}, as long as it could."
    )
