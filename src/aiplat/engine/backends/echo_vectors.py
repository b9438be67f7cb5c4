"""Vectors of `echo`, and one request for them. Knows the time only as it is told."""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Callable, Sequence
from typing import Literal

from aiplat.domain.answers import (
    AnswerEvent,
    AnswerSink,
    Delta,
    Failed,
    Finished,
    Started,
    Submission,
)
from aiplat.domain.errors import AiplatError, DeadlineExceeded
from aiplat.domain.models import Manifest
from aiplat.domain.usage import Timings, Usage
from aiplat.engine import pieces
from aiplat.engine.catalogue import ECHO
from aiplat.engine.embedding import check_window, embedding_of, numbers_of, too_long

NUMBERS = 64
"""Of a vector."""
_NEVER = float("inf")


def vector(texts: Sequence[str], size: int = NUMBERS) -> bytes:
    """The vector of a text, of length 1: how often it has which tokens.

    Texts that share tokens are near each other. It is made of them alone, on any machine.

    Arguments:
        texts: of its tokens.
        size: numbers, of which the first are those of any larger vector before it has its length.
    """
    numbers = [0.0] * NUMBERS
    for text in texts:
        digest = zlib.crc32(text.strip().lower().encode())
        numbers[digest % NUMBERS] += 1.0 if digest & 0x10000 else -1.0
    numbers = numbers[:size]
    length = math.sqrt(sum(number * number for number in numbers))
    if not length:
        numbers[0] = length = 1.0
    return struct.pack(f"<{size}f", *[number / length for number in numbers])


class EchoVectors:
    """A request that `echo` makes vectors for (`Asking`).

    Arguments:
        submission: what is asked.
        sink: where its events go.
        context: tokens of a text at most.
        now: seconds; its deadline counts from here.
        wake: called when it can go on.

    Raises:
        AiplatError: it cannot be served, and why.
    """

    __slots__ = (
        "_began", "_cancelled", "_credit", "_deadline", "_events", "_first", "_made", "_prompt",
        "_sink", "_size", "_started", "_texts", "_wake", "ended",
    )  # fmt: skip

    def __init__(
        self,
        submission: Submission,
        sink: AnswerSink,
        context: int,
        now: float,
        wake: Callable[[], None],
    ) -> None:
        work = embedding_of(submission)
        self._size = numbers_of(work, ECHO, NUMBERS, cuts=True)
        check_window(submission, 4 * self._size)
        self._texts = [pieces.cut(text) for text in work.inputs]
        for place, text in enumerate(self._texts):
            if len(text) > context and not work.truncate:
                raise too_long(place, len(text), ECHO, context)
            del text[context:]
        self._prompt = sum(map(len, self._texts))
        self._sink, self._wake, self._credit = sink, wake, submission.credit
        self._events: list[AnswerEvent] = []
        self._cancelled = self._started = self.ended = False
        self._began, self._deadline = now, now + submission.deadline_ms / 1000
        self._first, self._made = 0.0, 0

    def tell(self, event: AnswerEvent) -> None:
        """Deliver `event` at the next round; `submit` may not have returned yet."""
        self._events.append(event)

    def accept(self, tokens: int, credit: int) -> None:
        """Take more credit (`Asking`)."""
        self._credit += max(0, credit)
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
        if self._is_over(now):
            return _NEVER
        return self._deadline

    def step(self, now: float, rate: float, burst: int, manifest: Manifest) -> float:
        """Make what is due of at most `burst` vectors; gives the time of its next round.

        Arguments:
            rate: vectors a second; 0 for no pause.
        """
        self._speak()
        if self._is_over(now):
            return _NEVER
        if not self._started:
            self._started, self._first = True, now
            self._sink.deliver(Started(manifest, self._prompt))
        due = len(self._texts)
        if rate > 0:
            due = min(due, int((now - self._first) * rate + 1e-6))
        count = min(due - self._made, burst, self._credit // (4 * self._size))
        if count > 0:
            self._make(count)
        if self._made == len(self._texts):
            return self._end("stop", now)
        if self._credit < 4 * self._size:
            return self._deadline  # `accept` wakes it
        if self._made < due:
            return now
        return min(self._deadline, self._first + (self._made + 1) / rate)

    def _make(self, count: int) -> None:
        texts = self._texts[self._made : self._made + count]
        self._made += count
        self._credit -= count * 4 * self._size
        self._sink.deliver(Delta(vectors=tuple([vector(text, self._size) for text in texts])))

    def _speak(self) -> None:
        while self._events:
            self._sink.deliver(self._events.pop(0))

    def _is_over(self, now: float) -> bool:
        if self._cancelled:
            self._end("cancelled", now)
        elif now >= self._deadline:
            seconds = self._deadline - self._began
            self.fail(DeadlineExceeded(
                f"The request waited {seconds:g} s, as long as it could, and {self._made} of its "
                f"{len(self._texts)} vectors were made."
            ))  # fmt: skip
        return self.ended

    def _end(self, reason: Literal["stop", "cancelled"], now: float) -> float:
        self.ended = True
        first = (self._first - self._began) * 1000 if self._started else 0.0
        timings = Timings(first, first, (now - self._began) * 1000)
        self._sink.deliver(Finished(reason, self._usage(), timings))
        return _NEVER

    def _usage(self) -> Usage:
        return Usage(self._prompt, 0)
