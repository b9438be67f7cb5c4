"""Vectors of `echo`, and one request for them. Knows the time only as it is told."""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Callable, Sequence

from aiplat.domain.answers import AnswerSink, Delta, Submission
from aiplat.domain.usage import Usage
from aiplat.engine import pieces
from aiplat.engine.backends.echo_asking import EchoAsking
from aiplat.engine.catalogue import ECHO
from aiplat.engine.embedding import check_window, embedding_of, numbers_of, too_long

NUMBERS = 64
"""Of a vector."""


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


class EchoVectors(EchoAsking):
    """A request that `echo` makes vectors for.

    Arguments:
        submission: what is asked.
        sink: where its events go.
        context: tokens of a text at most.
        now: seconds; its deadline counts from here.
        wake: called when it can go on.

    Raises:
        AiplatError: it cannot be served, and why.
    """

    __slots__ = ("_credit", "_made", "_prompt", "_size", "_texts")

    def __init__(
        self,
        submission: Submission,
        sink: AnswerSink,
        context: int,
        now: float,
        wake: Callable[[], None],
    ) -> None:
        super().__init__(submission, sink, now, wake)
        work = embedding_of(submission)
        self._size = numbers_of(work, ECHO, NUMBERS, cuts=True)
        check_window(submission, 4 * self._size)
        self._texts = [pieces.cut(text) for text in work.inputs]
        for place, text in enumerate(self._texts):
            if len(text) > context and not work.truncate:
                raise too_long(place, len(text), ECHO, context)
            del text[context:]
        self._prompt = sum(map(len, self._texts))
        self._credit, self._made = submission.credit, 0

    def _go_on(self, now: float, rate: float, burst: int) -> float:
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

    def _grant(self, credit: int) -> None:
        self._credit += max(0, credit)

    def _prompt_tokens(self) -> int:
        return self._prompt

    def _too_late(self, seconds: float, *, has_slot: bool) -> str:
        return (
            f"The request waited {seconds:g} s, as long as it could, and {self._made} of its "
            f"{len(self._texts)} vectors were made."
        )

    def _usage(self) -> Usage:
        return Usage(self._prompt, 0)
