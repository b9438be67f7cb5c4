"""One answer that the node keeps: all that has come of it, and those who follow it.

Nobody who follows holds it back: each is given what it lacks, joined, when it asks for more. What
is held is the answer itself, once, however many follow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Self

import msgspec
import trio

from aiplat.control.messages import Accepted
from aiplat.domain.answers import AnswerEvent, Delta, Failed, Finished, Queued, Started, Submission
from aiplat.domain.conversations import AnswerFacts


class KeptAnswer:
    """What has come of an answer until now.

    Arguments:
        submission: what was asked.
        conversation: the id of the conversation that it is kept in.
        turn: its own id there.
        now: a clock that never steps, in seconds.
        most: characters that it may have.

    Attributes:
        stopped: a person wants no more of it.
        queued, started: the last of each that came.
        end: how it ended; None while it runs.
        is_over: those who follow may hear the end: it is on the disk, as far as that goes.
        followers: how many follow it.
        texts, ids: what has come, in pieces.
        moved: set when more has come, and then another.
        cancel: ends it; set by who reads it.
    """

    def __init__(
        self,
        submission: Submission,
        conversation: str,
        turn: str,
        now: Callable[[], float],
        most: int,
    ) -> None:
        self.submission = submission
        self.conversation = conversation
        self.turn = turn
        self.stopped = False
        self.queued: Queued | None = None
        self.started: Started | None = None
        self.end: Finished | Failed | None = None
        self.is_over = False
        self.cancel: Callable[[], None] = lambda: None
        self.followers = 0
        self._now = now
        self._began = now()
        self._first: float | None = None
        self._whole: float | None = None
        self._most = most
        self._chars = 0
        self.texts: list[str] = []
        self.ids: list[int] = []
        self.moved = trio.Event()

    # -- what comes ------------------------------------------------------------------------------

    def take(self, events: Iterable[AnswerEvent]) -> bool:
        """Take what came, all but the end; whether there is room for more."""
        for event in events:
            match event:
                case Queued():
                    self.queued = event
                case Started():
                    self.started = event
                case Delta():
                    self._add(event)
        self._tell()
        return self._chars < self._most

    def _add(self, delta: Delta) -> None:
        if self._first is None:
            self._first = self._now()
        text = delta.text[: self._most - self._chars]
        self._chars += len(text)
        if text:
            self.texts.append(text)
        self.ids += delta.ids

    def finish(self, end: Finished | Failed) -> None:
        """It has ended, in the first way that is told; `publish` tells those who follow."""
        if self.end is None:
            self.end, self._whole = end, self._now()

    def publish(self) -> None:
        """Tell those who follow of the end."""
        self.is_over = True
        self._tell()

    def stop(self) -> None:
        """A person wants no more of it."""
        self.stopped = True
        self.cancel()

    def _tell(self) -> None:
        moved, self.moved = self.moved, trio.Event()
        moved.set()

    # -- what is known -----------------------------------------------------------------------

    @property
    def chars(self) -> int:
        """How many characters have come."""
        return self._chars

    @property
    def text(self) -> str:
        """All that has come."""
        return "".join(self.texts)

    def facts(self) -> AnswerFacts:
        """What is known of it now, for its line and for the history."""
        started, end = self.started, self.end
        usage = end.usage if end is not None else None
        facts = AnswerFacts(
            request=self.submission.id,
            model=started.manifest.name if started else self.submission.model,
            processor=started.processor if started else "",
            gateway=started.gateway if started else "",
            first_token_ms=self._ms(self._first),
            total_ms=self._ms(self._whole or self._now()),
            prompt_tokens=usage.prompt_tokens if usage else started.prompt_tokens if started else 0,
            completion_tokens=usage.completion_tokens if usage else len(self.ids),
            cached_tokens=usage.cached_tokens if usage else 0,
            exact=usage.exact if usage else started.exact if started else True,
        )
        if end is None:
            return facts
        return msgspec.structs.replace(facts, **_ending(end))

    def _ms(self, moment: float | None) -> float:
        return 0.0 if moment is None else round((moment - self._began) * 1000, 1)


def _ending(end: Finished | Failed) -> dict[str, str]:
    if isinstance(end, Failed):
        return {"state": "failed", "error": end.message}
    return {"state": "stopped" if end.reason == "cancelled" else "done", "reason": end.reason}


class Following:
    """One who follows an answer, for one reading task. Use it as a context, which counts it.

    Arguments:
        answer: which.
        late: whether it comes later: it is given all text so far in one piece, without its ids.
        note: what goes with its name (`Accepted.note`).
    """

    def __init__(self, answer: KeptAnswer, *, late: bool, note: str = "") -> None:
        self.accepted = Accepted(request=answer.submission.id, kept=True, note=note)
        self.ended = False
        self._answer = answer
        self._texts = 0
        self._ids = len(answer.ids) if late else 0
        self._queued: Queued | None = None
        self._started: Started | None = None

    def __enter__(self) -> Self:
        self._answer.followers += 1
        return self

    def __exit__(self, *_: object) -> None:
        self._answer.followers -= 1

    async def next(self) -> list[AnswerEvent]:
        """All that it lacks, at least one event; waits for it.

        After the batch that holds `Finished` or `Failed`, `ended` is true and nothing comes.
        """
        while not (batch := self._lacking()):
            await self._answer.moved.wait()
        return batch

    def _lacking(self) -> list[AnswerEvent]:
        answer, batch = self._answer, list[AnswerEvent]()
        if answer.started is None and answer.queued is not self._queued:
            self._queued = answer.queued
            batch += [answer.queued] if answer.queued else []
        if answer.started is not self._started:
            self._started = answer.started
            batch += [answer.started] if answer.started else []
        texts, ids = answer.texts[self._texts :], answer.ids[self._ids :]
        if texts or ids:
            self._texts, self._ids = len(answer.texts), len(answer.ids)
            batch.append(Delta(tuple(ids), "".join(texts)))
        if answer.is_over and answer.end is not None:
            self.ended = True
            batch.append(answer.end)
        return batch
