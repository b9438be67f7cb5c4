"""Decides what a model does next, and what each answer came to. Pure: no tensors, no clock.

A turn is ``schedule`` → the model runs → ``postprocess`` (after nano-vllm). Requests wait in
one bounded queue, first come first served; each that runs holds a slot. All that run go into
every step: one token each while they answer, and a share of the step's budget while their
prompt is read, so that a long prompt holds back no short one.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Mapping

from aiplat.domain.answers import AnswerEvent, Failed, Queued, Started
from aiplat.domain.errors import AiplatError, DeadlineExceeded, EngineFailed, Overloaded
from aiplat.domain.models import Manifest
from aiplat.engine.pace import Pace
from aiplat.engine.rows import Drawn, Fault, Opening, Piece, Row, Step

_SHARE = 32  # tokens of a prompt that are read before it is another's turn


class Scheduler:
    """The requests of one model.

    Arguments:
        manifest: the model; told to each request when it begins.
        slots: how many run at once.
        max_waiting: how many more may wait.
        capacity: tokens that the KV cache holds, over all slots.
        pace: how much one step may read.
    """

    def __init__(
        self, manifest: Manifest, *, slots: int, max_waiting: int, capacity: int, pace: Pace
    ) -> None:
        self.manifest = manifest
        self.slots = slots
        self.capacity = capacity
        self.pace = pace
        self._max_waiting = max_waiting
        self._rows: dict[int, Row] = {}
        self._waiting: deque[Row] = deque()
        self._running: list[Row] = []
        self._free = list(range(slots))
        self._reserved = 0
        self._turn = 0
        self._closed: list[int] = []
        self._events: list[tuple[int, AnswerEvent]] = []

    # -- what comes in -------------------------------------------------------------------------

    def add(self, row: Row) -> None:
        """Take a request whose `need` fits the capacity.

        Raises:
            Overloaded: the queue is full.
        """
        if self.waiting >= self._max_waiting + len(self._free):
            raise Overloaded(
                f"{self.manifest.name} has {self.running} answers under way and {self.waiting} "
                "requests that wait.",
                retry_after=max(1.0, self.pace.expected_wait(self.waiting, self.slots)),
            )
        if row.need > self.capacity or row.number in self._rows:
            raise ValueError("a row that does not fit, or a number used twice")
        self._rows[row.number] = row
        self._waiting.append(row)

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
        """Share of the KV cache that is promised."""
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
        opened = self._admit(now)
        self._tell_waiting()
        closed, self._closed = self._closed, []
        return Step(closed, opened, self._pieces())

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
            if piece.draws and not row.cancelled:
                self._take(row, drawn[row.number], now)
        for row in list(self._rows.values()):
            self._speak(row, now)

    def fail(self, error: AiplatError) -> None:
        """End all: the model cannot go on."""
        for row in list(self._rows.values()):
            self._end(row, Failed.of(error, row.usage))

    # -- inside --------------------------------------------------------------------------------

    def _take(self, row: Row, drawn: Drawn | Fault, now: float) -> None:
        if isinstance(drawn, Fault):
            error = EngineFailed(drawn.message, recoverable=False)
            self._end(row, Failed.of(error, row.usage))
            return
        row.first = now if row.first is None else row.first
        row.ids.append(drawn.token)
        text = row.voice.say(drawn.token)
        if row.voice.ended or row.said >= row.limit:
            text += self._stop(row)
        row.outbox.put((drawn.token,), text)

    def _stop(self, row: Row) -> str:
        """It has said all: free its slot, though its reader may not have got all yet."""
        text = row.voice.flush()
        row.reason = "stop" if row.voice.ended else "length"
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

    def _admit(self, now: float) -> list[Opening]:
        opened: list[Opening] = []
        while self._waiting and self._free:
            row = self._waiting[0]
            if self._reserved + row.need > self.capacity:
                break  # order is kept: nobody overtakes
            self._waiting.popleft()
            row.begun = now
            self._events.append((row.number, Started(self.manifest, row.prompt_tokens)))
            if row.voice.ended or row.said >= row.limit:  # all was said elsewhere
                row.outbox.put((), self._stop(row))
                self._speak(row, now)
                continue
            row.place = heapq.heappop(self._free)
            self._reserved += row.need
            self._running.append(row)
            opened.append(Opening(row.place, row.need, 0, row.place))
        return opened

    def _tell_waiting(self) -> None:
        for place, row in enumerate(self._waiting):
            if not row.queued:
                row.queued = True
                wait = round(1000 * self.pace.expected_wait(place, self.slots))
                reason = f"all {self.slots} slots of {self.manifest.name} are taken"
                if self._free:
                    reason = f"the memory of {self.manifest.name} is taken"
                self._events.append((row.number, Queued(place, wait, reason)))

    def _pieces(self) -> list[Piece]:
        live = [row for row in self._running if row.outbox.empty]  # the others lack credit
        answering = [row for row in live if row.unread == 1]
        reading = [row for row in live if row.unread > 1]
        pieces = [Piece(row, row.place, row.read, row.ids[row.read :], True) for row in answering]
        for row, share in self._shares(reading, self.pace.budget(len(answering))):
            ids = row.ids[row.read : row.read + share]
            pieces.append(Piece(row, row.place, row.read, ids, share == row.unread))
        return pieces

    def _shares(self, reading: list[Row], budget: int) -> list[tuple[Row, int]]:
        """Deal out the budget: a small share in turn, then what is left as it comes."""
        self._turn += 1
        shares: dict[Row, int] = {}
        for row in sorted(reading, key=lambda row: row.served):
            if budget <= 0:
                break
            shares[row] = min(row.unread, _SHARE, budget)
            budget -= shares[row]
            row.served = self._turn
        for row, share in shares.items():
            more = min(row.unread - share, budget)
            shares[row] += more
            budget -= more
        return list(shares.items())

    def _release(self, row: Row) -> None:
        if row.place < 0:
            return
        self._running.remove(row)
        self._reserved -= row.need
        self._closed.append(row.place)
        heapq.heappush(self._free, row.place)
        row.place = -1

    def _end(self, row: Row, event: AnswerEvent) -> None:
        if self._rows.pop(row.number, None) is None:
            return
        self._release(row)
        if row.begun is None:
            self._waiting.remove(row)
        self._events.append((row.number, event))


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
