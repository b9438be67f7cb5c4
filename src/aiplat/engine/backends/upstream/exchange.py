"""One request at an upstream, from the queue to its end: a task of its own.

It reads no further than its reader has credit for, so that the upstream is held back too. Leaving
it, however, closes the HTTP answer, which is how an upstream hears that nobody wants it any more.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from typing import Literal, Protocol

import trio

from aiplat.domain.answers import (
    AnswerEvent,
    AnswerSink,
    Delta,
    Failed,
    Finished,
    Queued,
    Started,
    Submission,
)
from aiplat.domain.errors import (
    AiplatError,
    DeadlineExceeded,
    EngineFailed,
    ModelNotFound,
    ShuttingDown,
)
from aiplat.domain.models import Manifest
from aiplat.domain.usage import Timings, Usage
from aiplat.engine.backends.upstream import failures
from aiplat.engine.backends.upstream.body import Dialect
from aiplat.engine.backends.upstream.server import Answered, Server, Unanswered, failed
from aiplat.engine.backends.upstream.settings import UpstreamSettings

log = logging.getLogger("aiplat.engine.upstream")

LAST_WORDS_SECONDS = 2.0
"""For the usage, once an answer's last text came."""

_NEVER = float("inf")


class Desk(Protocol):
    """The engine, as its requests see it."""

    server: Server
    settings: UpstreamSettings
    slots: trio.CapacityLimiter
    name: str
    """As the network calls the model."""
    there: str
    """As the upstream calls it."""
    kind: str
    manifest: Manifest

    def expected_wait(self) -> tuple[int, float]:
        """How many wait, and the seconds until one more gets a slot; 0 while unknown."""

    def began(self, exchange: Exchange) -> None:
        """It has a slot."""

    def doubted(self, error: AiplatError) -> None:
        """The upstream may be gone, or no longer have the model."""

    def over(self, exchange: Exchange) -> None:
        """It ended, and its slot is free."""


class Pending(Protocol):
    """What came and was not delivered."""

    pieces: int

    @property
    def empty(self) -> bool:
        """Whether all was given."""

    def grant(self, credit: int) -> None:
        """Take more credit."""

    def take(self) -> Delta | None:
        """What credit allows."""


class Heard(Protocol):
    """What came of a request so far."""

    @property
    def pending(self) -> Pending:
        """What was not delivered."""

    @property
    def finished(self) -> bool:
        """Whether all came, but perhaps for its usage."""

    @property
    def usage(self) -> Usage:
        """What it came to."""

    @property
    def reason(self) -> Literal["stop", "length", "tool_calls"]:
        """Why it ended."""


class Exchange(ABC):
    """A request under way (`Asking`).

    Arguments:
        submission: what is asked.
        sink: where its events go.
        heard: what comes of it.
        desk: the engine.
    """

    def __init__(self, submission: Submission, sink: AnswerSink, heard: Heard, desk: Desk) -> None:
        self.running = False
        self.speed = 0.0
        """Tokens a second after the first; 0 when there is too little to tell."""
        self._sink, self._heard, self._desk = sink, heard, desk
        self._granted = trio.Event()
        self._cancelled = self._ended = False
        self._started: Started | None = None
        self._asked_seconds = submission.deadline_ms / 1000
        self._whole_seconds = min(self._asked_seconds, desk.settings.whole_seconds)
        self._arrived = trio.current_time()
        self._placed = self._first = self._last = 0.0
        self._scope = trio.CancelScope(deadline=self._arrived + self._whole_seconds)
        self._stage = trio.CancelScope()

    @property
    def seconds(self) -> float:
        """How long it has had a slot."""
        return trio.current_time() - self._placed if self._placed else 0.0

    # -- from who asked (`Asking`) -----------------------------------------------------------

    def accept(self, tokens: int, credit: int) -> None:
        """Take more credit."""
        self._heard.pending.grant(credit)
        self._granted.set()

    def cancel(self) -> None:
        """End it now."""
        self._cancelled = True
        self._scope.cancel()

    # -- its life ----------------------------------------------------------------------------

    async def run(self) -> None:
        """Live from the queue to the end; says exactly one end, also when it is cut off."""
        desk = self._desk
        try:
            with self._scope:
                try:
                    await self._wait_and_talk()
                except AiplatError as error:
                    self._fail(error)
                except Exception:
                    log.exception("a request to an upstream failed", extra={"model": desk.name})
                    self._fail(EngineFailed(f"A fault of aiplat ended a request to {desk.name}."))
            if not self._ended:
                self._cut()
        finally:
            if not self._ended:
                self._fail(ShuttingDown(f"The node ends, and {self._desk.name} with it."))

    async def _wait_and_talk(self) -> None:
        desk = self._desk
        if desk.slots.available_tokens < 1:
            place, wait = desk.expected_wait()
            why = f"all {desk.settings.slots} slots of the upstream are taken"
            self._sink.deliver(Queued(place, round(wait * 1000), why))
        await desk.slots.acquire_on_behalf_of(self)
        self.running = True
        self._placed = trio.current_time()
        desk.began(self)
        await self._talk()

    async def _talk(self) -> None:
        dialect = self._desk.server.dialect
        try:
            while not self._ended:
                try:
                    await self._ask(dialect)
                except Answered as answer:
                    other = dialect.after(answer.status, answer.body)
                    if other is None:
                        raise
                    dialect = other
        except Answered as answer:
            raise self._refused(answer) from None
        except Unanswered as why:
            if self._heard.finished:
                self._finish()
                return
            error = failed(self._desk.name, str(why))
            self._desk.doubted(error)
            raise error from None

    def _refused(self, answer: Answered) -> AiplatError:
        name = self._desk.name
        if 200 <= answer.status < 300:
            return failures.not_a_stream(name, answer.status, answer.headers, answer.body)
        error = self._error_of(answer)
        if answer.status in (401, 403, 502, 503) or isinstance(error, ModelNotFound):
            self._desk.doubted(error)
        return error

    @abstractmethod
    async def _ask(self, dialect: Dialect) -> None:
        """Ask, and deliver all that comes; ends well, or raises."""

    def _error_of(self, answer: Answered) -> AiplatError:
        name, key = self._desk.name, self._desk.server.key
        return failures.refusal(name, answer.status, answer.headers, answer.body, key.name)

    def _came(self) -> None:
        now = trio.current_time()
        self._first = self._first or now
        self._last = now
        self._stage.deadline = now + self._desk.settings.next_token_seconds

    async def _pass_on(self) -> None:
        """Deliver what credit allows, and wait for more while something is left."""
        pending = self._heard.pending
        while not pending.empty:
            if (delta := pending.take()) is not None:
                self._deliver(delta)
                continue
            self._stage.deadline = _NEVER  # its reader is slow, not the upstream
            self._granted = trio.Event()
            await self._granted.wait()
            self._stage.deadline = trio.current_time() + self._desk.settings.next_token_seconds
        if self._heard.finished:
            self._stage.deadline = min(
                self._stage.deadline, trio.current_time() + LAST_WORDS_SECONDS
            )

    # -- ends ----------------------------------------------------------------------------------

    def _finish(self) -> None:
        usage = self._heard.usage
        if usage.completion_tokens > 1 and self._last > self._first:
            self.speed = (usage.completion_tokens - 1) / (self._last - self._first)
        self._end(Finished(self._heard.reason, usage, self._timings()))

    def _cut(self) -> None:
        """It was cancelled, or its whole time is over."""
        if self._cancelled:
            usage = self._heard.usage if self._started is not None else Usage(0, 0)
            self._end(Finished("cancelled", usage, self._timings()))
            return
        if not self.running:
            stage = "for a slot"
        elif self._heard.pending.pieces == 0:
            stage = "and no word of the answer had come"
        else:
            stage = f"and {self._heard.pending.pieces} pieces of the answer had come"
        limit = "" if self._asked_seconds <= self._whole_seconds else " (upstream.whole_seconds)"
        self._fail(
            DeadlineExceeded(
                f"The request to the upstream of {self._desk.name} waited {self._whole_seconds:g} "
                f"s{limit} {stage}."
            )
        )

    def _fail(self, error: AiplatError) -> None:
        self._end(Failed.of(error, self._heard.usage if self._started is not None else None))

    def _end(self, end: Finished | Failed) -> None:
        if self._ended:
            return
        self._ended = True
        if self.running:
            self._desk.slots.release_on_behalf_of(self)
        self._desk.over(self)
        self._sink.deliver(end)

    def _deliver(self, event: AnswerEvent) -> None:
        if isinstance(event, Started):
            self._started = event
        self._sink.deliver(event)

    def _timings(self) -> Timings:
        now = trio.current_time()
        placed, first = self._placed or now, self._first or now
        return Timings(
            queue_ms=(placed - self._arrived) * 1000,
            first_token_ms=(first - self._arrived) * 1000,
            total_ms=(now - self._arrived) * 1000,
        )
