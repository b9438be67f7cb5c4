"""Decides which texts a model makes vectors of next. Pure: no tensors, no clock.

A turn is ``schedule`` → the model runs → ``postprocess``, as with answers (`scheduler`). A text is
read whole, in one step; a step reads as many as its budget of tokens allows, of all requests in
turn: next is a text of the fairness tag that has had least, and there of the request that has.
So a request of one text beside one of two thousand is read in the very next step. Nothing is made
that its reader has no credit for, and so nothing is kept.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence

from aiplat.domain.answers import AnswerEvent, Delta, Failed, Started
from aiplat.domain.errors import AiplatError, DeadlineExceeded, Overloaded
from aiplat.domain.models import Manifest
from aiplat.engine.fairness import READ, Fairness
from aiplat.engine.pace import Pace
from aiplat.engine.vector_rows import Text, VectorRow

_MOST_BYTES = 128 * 1024
"""Of vectors in one delta: it is a frame on its way."""


class VectorSteps:
    """The requests of one model.

    Arguments:
        manifest: the model; told to each request when it begins.
        most: requests that it has at once.
        pace: how much one step may read.
    """

    def __init__(self, manifest: Manifest, *, most: int, pace: Pace) -> None:
        self.manifest = manifest
        self.pace = pace
        self._most = most
        self._fairness = Fairness()
        self._rows: dict[int, VectorRow] = {}
        self._events: list[tuple[int, AnswerEvent]] = []

    # -- what comes in -------------------------------------------------------------------------

    def add(self, row: VectorRow) -> None:
        """Take a request.

        Raises:
            Overloaded: there are as many as it takes.
        """
        if row.number in self._rows:
            raise ValueError("a number used twice")
        if len(self._rows) >= self._most:
            raise Overloaded(
                f"{self.manifest.name} has {len(self._rows)} requests, as many as it takes.",
                retry_after=max(1.0, self.expected_wait),
            )
        self._rows[row.number] = row
        self._fairness.began(row.tag)

    def cancel(self, number: int) -> None:
        """End it at the end of the step that runs, if any; one that is unknown has ended."""
        if row := self._rows.get(number):
            row.cancelled = True

    def grant(self, number: int, credit: int) -> None:
        """Give its reader more credit; a negative one, of a broken peer, counts nothing."""
        if row := self._rows.get(number):
            row.credit += max(0, credit)

    # -- how it stands -------------------------------------------------------------------------

    @property
    def running(self) -> int:
        """Requests of which a text was read."""
        return sum(row.begun is not None for row in self._rows.values())

    @property
    def waiting(self) -> int:
        """Requests that came since the last step."""
        return len(self._rows) - self.running

    @property
    def expected_wait(self) -> float:
        """Seconds until a request that comes now has its turn: nobody waits for another's end."""
        return self.pace.expected_wait(self.waiting, self._most)

    def next_deadline(self) -> float | None:
        """When the next request runs out of time, in seconds; None without requests."""
        return min((row.deadline for row in self._rows.values()), default=None)

    def take_events(self) -> list[tuple[int, AnswerEvent]]:
        """What happened since the last call, in order."""
        events, self._events = self._events, []
        return events

    # -- a turn --------------------------------------------------------------------------------

    def schedule(self, now: float) -> list[Text]:
        """End what is cancelled or late, and say what the model reads next."""
        self._end_some(now)
        texts = self._deal()
        for text in texts:
            row = text.row
            if row.begun is None:
                row.begun = now
                self._events.append((row.number, Started(self.manifest, row.tokens)))
        return texts

    def postprocess(
        self, texts: Sequence[Text], vectors: Sequence[bytes], seconds: float, now: float
    ) -> None:
        """Take what the model made.

        Arguments:
            texts: what it read.
            vectors: of each.
            seconds: how long the step took.
        """
        self.pace.took(texts, seconds)
        made: dict[VectorRow, list[bytes]] = {}
        for text, vector in zip(texts, vectors, strict=True):
            made.setdefault(text.row, []).append(vector)
        for row, own in made.items():
            if row.cancelled:
                continue  # nobody wants them any more
            row.first = now if row.first is None else row.first
            each = max(1, _MOST_BYTES // row.cost)
            for start in range(0, len(own), each):
                some = tuple(own[start : start + each])
                self._events.append((row.number, Delta(vectors=some)))
            if row.next == len(row.texts):
                self.pace.ended(now - row.arrived)
                self._end(row, row.finished("stop", now))
        self._end_some(now)

    def fail(self, error: AiplatError) -> None:
        """End all: the model cannot go on."""
        for row in list(self._rows.values()):
            self._end(row, Failed.of(error, row.usage))

    # -- whose turn it is ----------------------------------------------------------------------

    def _deal(self) -> list[Text]:
        """As many texts as the budget has room for, and one at least."""
        budget, dealt = self.pace.budget(0), list[Text]()
        tags: dict[str, list[tuple[int, int, VectorRow]]] = {}
        for row in self._rows.values():
            if row.may_go_on:
                tags.setdefault(row.tag, []).append((row.had, row.number, row))
        for rows in tags.values():
            heapq.heapify(rows)
        turns = [(self._fairness.had(tag), tag) for tag in tags]
        heapq.heapify(turns)
        while turns:
            _, tag = turns[0]
            row = tags[tag][0][2]
            ids = row.texts[row.next]
            if dealt and len(ids) > budget:
                break  # it is first in the next step
            budget -= len(ids)
            dealt.append(self._taken(row, ids))
            if row.may_go_on:
                heapq.heapreplace(tags[tag], (row.had, row.number, row))
            else:
                heapq.heappop(tags[tag])
            if tags[tag]:
                heapq.heapreplace(turns, (self._fairness.had(tag), tag))
            else:
                heapq.heappop(turns)
        return dealt

    def _taken(self, row: VectorRow, ids: list[int]) -> Text:
        """The next text of a request goes into the step."""
        row.next += 1
        row.had += len(ids)
        row.credit -= row.cost
        self._fairness.charge(row.tag, READ * len(ids))
        return Text(row, ids)

    # -- ends ----------------------------------------------------------------------------------

    def _end_some(self, now: float) -> None:
        for row in list(self._rows.values()):
            if row.cancelled:
                self._end(row, row.finished("cancelled", now))
            elif now >= row.deadline:
                self._end(row, Failed.of(_late(row), row.usage))

    def _end(self, row: VectorRow, event: AnswerEvent) -> None:
        del self._rows[row.number]
        self._fairness.ended(row.tag)
        self._events.append((row.number, event))


def _late(row: VectorRow) -> DeadlineExceeded:
    return DeadlineExceeded(
        f"The request waited {row.deadline - row.arrived:.1f} s, as long as it could, and "
        f"{row.next} of its {len(row.texts)} texts were read."
    )
