"""One answer of `echo`. Knows the time only as it is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from aiplat.domain.answers import (
    MAX_LOGPROB_CHARS,
    AnswerSink,
    Submission,
    TokenLogprob,
)
from aiplat.domain.errors import InvalidRequest
from aiplat.domain.usage import Usage
from aiplat.engine import pieces
from aiplat.engine.admission import generation_of
from aiplat.engine.backends.echo_asking import EchoAsking
from aiplat.engine.outbox import Outbox, Told
from aiplat.engine.stops import StopFilter


class EchoRow(EchoAsking):
    """A request that `echo` answers.

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
        "_base", "_counts", "_limit", "_logprobs", "_outbox", "_over", "_place", "_prompt", "_stop",
        "_texts",
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
        super().__init__(submission, sink, now, wake)
        said = submission.resume.ids if submission.resume is not None else ()
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

    def _go_on(self, now: float, rate: float, burst: int) -> float:
        due = self._due(now, rate)
        if self._outbox.empty and not self._over_now:
            self._say(min(burst, due))
        if (delta := self._outbox.take()) is not None:
            self._sink.deliver(delta)
        if not self._outbox.empty:
            return self._deadline  # no credit: `accept` wakes it
        if self._over_now:
            reason = self._reason
            return self._end(reason, now, self._stop.found if reason == "stop" else "")
        if rate <= 0 or due > burst:
            return now
        return min(self._deadline, self._first + (self._place - self._base + 1) / rate)

    def _grant(self, credit: int) -> None:
        self._outbox.grant(credit)

    def _prompt_tokens(self) -> int:
        return len(self._prompt)

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

    def _too_late(self, seconds: float, *, has_slot: bool) -> str:
        stage = "for its end" if has_slot else "for a slot"
        return f"The request waited {seconds:g} s {stage}, as long as it could."

    def _usage(self) -> Usage:
        return Usage(0 if self._counts else len(self._prompt), self._outbox.delivered)


def _text_of(ids: tuple[int, ...]) -> str:
    try:
        return pieces.decode(ids)
    except ValueError as error:
        raise InvalidRequest(f"resume holds what is no token: {error}.", param="resume") from None
