"""One answer of `echo`. Knows the time only as it is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from aiplat.domain.answers import (
    MAX_LOGPROB_CHARS,
    AnswerEvent,
    AnswerSink,
    Failed,
    Finished,
    Started,
    Submission,
    TokenLogprob,
)
from aiplat.domain.errors import AiplatError, DeadlineExceeded, InvalidRequest
from aiplat.domain.models import Manifest
from aiplat.domain.usage import Timings, Usage
from aiplat.engine import pieces
from aiplat.engine.admission import generation_of
from aiplat.engine.outbox import Outbox, Told
from aiplat.engine.stops import StopFilter

_NEVER = float("inf")


class EchoRow:
    """A request that `echo` answers (`Asking`).

    Arguments:
        submission: what is asked.
        sink: where its events go.
        texts: of the prompt's tokens, which are said.
        limit: how many tokens the answer has at most, those said elsewhere included.
        over: whether they are said over and over until `limit`, rather than once.
        now: seconds; its deadline counts from here.
        wake: called when it can go on.
    """

    __slots__ = (
        "_base", "_began", "_cancelled", "_counts", "_deadline", "_events", "_first", "_limit",
        "_logprobs", "_outbox", "_over", "_place", "_prompt", "_sink", "_started", "_stop",
        "_texts", "_wake", "ended",
    )  # fmt: skip

    def __init__(
        self,
        submission: Submission,
        sink: AnswerSink,
        texts: list[str],
        limit: int,
        over: bool,
        now: float,
        wake: Callable[[], None],
    ) -> None:
        said = submission.resume.ids if submission.resume is not None else ()
        self._sink, self._wake = sink, wake
        self._texts = texts
        self._prompt = pieces.encode(texts)
        self._limit = limit if texts else 0
        self._over = over
        work = generation_of(submission)
        sampling, self._counts = work.sampling, work.only_count
        self._logprobs = sampling.logprobs
        self._stop = StopFilter(sampling.stop)
        self._stop.push(_text_of(said))
        self._place = self._base = len(said)
        self._outbox = Outbox(submission.credit)
        self._events: list[AnswerEvent] = []
        self._cancelled = self._started = self.ended = False
        self._began, self._deadline = now, now + submission.deadline_ms / 1000
        self._first = 0.0

    def tell(self, event: AnswerEvent) -> None:
        """Deliver `event` at the next round; `submit` may not have returned yet."""
        self._events.append(event)

    def accept(self, tokens: int, credit: int) -> None:
        """Take more credit (`Asking`)."""
        self._outbox.grant(credit)
        self._wake()

    def cancel(self) -> None:
        """End at the next round (`Asking`)."""
        self._cancelled = True
        self._wake()

    def fail(self, error: AiplatError) -> None:
        """End with `error`."""
        self.ended = True
        self._sink.deliver(Failed.of(error, self._usage()))

    def idle(self, now: float) -> float:
        """A round while it waits for a slot; gives the time of its next."""
        self._speak()
        if self._cancelled:
            return self._end("cancelled", now)
        if now >= self._deadline:
            return self._expire("for a slot")
        return self._deadline

    def step(self, now: float, rate: float, burst: int, manifest: Manifest) -> float:
        """Say what is due of at most `burst` tokens; gives the time of its next round."""
        self._speak()
        if self._cancelled:
            return self._end("cancelled", now)
        if now >= self._deadline:
            return self._expire("for its end")
        if not self._started:
            self._started, self._first = True, now
            self._sink.deliver(Started(manifest, len(self._prompt)))
        due = self._due(now, rate)
        if self._outbox.empty and not self._over_now:
            self._say(min(burst, due))
        if (delta := self._outbox.take()) is not None:
            self._sink.deliver(delta)
        if not self._outbox.empty:
            return self._deadline  # no credit: `accept` wakes it
        if self._over_now:
            return self._end(self._reason, now)
        if rate <= 0 or due > burst:
            return now
        return min(self._deadline, self._first + (self._place - self._base + 1) / rate)

    @property
    def _over_now(self) -> bool:
        return self._stop.stopped or self._place >= self._limit

    @property
    def _reason(self) -> Literal["stop", "length"]:
        return "length" if self._over and not self._stop.stopped and self._prompt else "stop"

    def _due(self, now: float, rate: float) -> int:
        left = self._limit - self._place
        if rate <= 0:
            return left
        return min(left, self._base + int((now - self._first) * rate + 1e-6) - self._place)

    def _say(self, count: int) -> None:
        if count <= 0:
            return
        length = len(self._prompt)
        if not self._stop.stopped and self._stop.idle and self._logprobs is None:
            places = [(self._place + i) % length for i in range(count)]
            self._place += count
            ids = tuple([self._prompt[at] for at in places])
            text = "".join([self._texts[at] for at in places])
            self._outbox.put(ids, text)
            return
        for _ in range(count):
            at = self._place % length
            self._place += 1
            text = self._stop.push(self._texts[at])
            if self._place >= self._limit:
                text += self._stop.flush()
            self._outbox.put((self._prompt[at],), text, self._told(at))
            if self._stop.stopped:
                return

    def _told(self, at: int) -> Told | None:
        """The logprobs of a token: nothing else could have stood in its place."""
        if self._logprobs is None:
            return None
        own = TokenLogprob(self._prompt[at], self._texts[at][:MAX_LOGPROB_CHARS], 0.0)
        return own, (own,) * min(1, self._logprobs)

    def _speak(self) -> None:
        while self._events:
            self._sink.deliver(self._events.pop(0))

    def _end(self, reason: Literal["stop", "length", "cancelled"], now: float) -> float:
        self.ended = True
        first = (self._first - self._began) * 1000 if self._started else 0.0
        timings = Timings(first, first, (now - self._began) * 1000)
        stop = self._stop.found if reason == "stop" else ""
        self._sink.deliver(Finished(reason, self._usage(), timings, stop=stop))
        return _NEVER

    def _expire(self, stage: str) -> float:
        seconds = self._deadline - self._began
        self.fail(
            DeadlineExceeded(f"The request waited {seconds:g} s {stage}, as long as it could.")
        )
        return _NEVER

    def _usage(self) -> Usage:
        return Usage(0 if self._counts else len(self._prompt), self._outbox.delivered)


def _text_of(ids: tuple[int, ...]) -> str:
    try:
        return pieces.decode(ids)
    except ValueError as error:
        raise InvalidRequest(f"resume holds what is no token: {error}.", param="resume") from None
