"""What of one answer a gateway accepted, and what that is counted as.

The token ids that came are the count. Where an upstream has none, its processor's count is taken,
as far as what was delivered bears it. What a processor says of the prompt is taken as far as the
prompt bears it (`prompts.most_prompt`): nobody is made to pay for more than they sent and got.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from typing import Literal

import msgspec

from aiplat.domain.answers import Delta, Started, Submission
from aiplat.domain.chat import Embed, Generate
from aiplat.domain.usage import Usage
from aiplat.roles.prompts import MOST_A_TEMPLATE, chars_of, most_prompt, most_tokens, size_of

MOST_CHARS_A_TOKEN = 1024
"""Of the text of one token; the longest of published models, runs of spaces, have a few hundred."""
MOST_WITHOUT_TEXT = 16
"""Tokens of an answer that are no text, and that an upstream counts: its end, a template's marks.
What a model thinks, and is not passed on, is more than that, and does not count."""

MOST_NUMBERS = 65_536
"""Of a vector."""

Part = Literal["prompt", "answer"]
Doubt = Callable[[Part, int, int], None]
"""Told which part of a request was claimed to have how many tokens, and how many it can have."""


class Tally:
    """The count of one request.

    Arguments:
        submission: what is asked.
        doubt: hears of claims that cannot be.

    Attributes:
        ids: the tokens that were accepted.
        pieces: deltas that were accepted.
        started: what the processor said of it, with a prompt as long as it is believed.
        vectors: how many were accepted.
    """

    __slots__ = (
        "_counts", "_doubt", "_embed", "_exact", "_size", "_submission", "_vector", "ids", "pieces",
        "started", "vectors",
    )  # fmt: skip

    def __init__(self, submission: Submission, doubt: Doubt) -> None:
        self.ids: list[int] = []
        self.pieces = 0
        self.started: Started | None = None
        self.vectors = self._vector = 0
        self._embed = submission.work if isinstance(submission.work, Embed) else None
        self._counts = isinstance(submission.work, Generate) and submission.work.only_count
        self._submission = submission
        self._doubt = doubt
        self._exact = True
        self._size = 0

    @property
    def tokens(self) -> int:
        """How many came; of an upstream without token ids the pieces, which are most often that."""
        return len(self.ids) or (0 if self._embed else self.pieces)

    def begins(self, started: Started) -> Started:
        """A processor began; gives what is passed on of that."""
        self.started = started  # who doubts it looks at it
        self._exact = started.exact
        prompt = self._prompt(started.prompt_tokens)
        if not prompt and not started.exact:  # an upstream tells it at its end, if it does
            prompt, _ = most_tokens(self._submission)
        if prompt != started.prompt_tokens:
            self.started = started = msgspec.structs.replace(started, prompt_tokens=prompt)
        return started

    def end(self) -> None:
        """Nothing more comes, and nobody hears of doubts."""
        self._doubt = _nobody_hears

    @property
    def prompt(self) -> int:
        """Tokens of the prompt that count: none where only their number was asked for."""
        return 0 if self._counts or self.started is None else self.started.prompt_tokens

    def forget(self) -> None:
        """That processor is not the one that answers."""
        self.started = None

    def with_next(self, delta: Delta) -> int:
        """How many tokens there are when a delta is accepted."""
        if self._embed is not None:
            return 0
        return len(self.ids) + len(delta.ids) if self._exact else self.pieces + 1

    def fault(self, delta: Delta) -> str:
        """What is wrong with a delta, as the rest of a sentence; empty for nothing.

        Text that is more than all tokens that came can be would count as nothing. Vectors are one
        for each text, all of one size, and made of numbers.
        """
        if self._embed is not None:
            return self._no_vectors(delta, self._embed)
        if delta.vectors:
            return "sent vectors, and was asked for an answer"
        chars, count = delta.chars, len(delta.ids)
        if chars <= MOST_CHARS_A_TOKEN * count or not self._exact:
            return ""
        if self._size + chars > MOST_CHARS_A_TOKEN * (len(self.ids) + count):
            return "sent text without the tokens that it is made of"
        return ""

    def _no_vectors(self, delta: Delta, work: Embed) -> str:
        if delta.ids or delta.chars or delta.logprobs is not None:
            return "sent text, and was asked for vectors"
        if self.vectors + len(delta.vectors) > len(work.inputs):
            return f"sent more vectors than there are texts ({len(work.inputs)})"
        size = 4 * work.dimensions if work.dimensions is not None else self._vector
        for vector in delta.vectors:
            size = size or len(vector)
            if len(vector) != size or not 4 <= size <= 4 * MOST_NUMBERS or size % 4:
                return f"sent a vector of {len(vector)} bytes, which none of these can have"
            if not math.isfinite(sum(struct.unpack(f"<{size // 4}f", vector))):
                return "sent a vector that is not made of numbers"
        return ""

    @property
    def lacking(self) -> str:
        """What is not there at the end, as the rest of a sentence; empty for nothing."""
        if self._embed is None or self.vectors == len(self._embed.inputs):
            return ""
        return f"ended after {self.vectors} of {len(self._embed.inputs)} vectors"

    def take(self, delta: Delta) -> None:
        """Accept a delta."""
        self.ids.extend(delta.ids)
        self.pieces += 1
        if delta.vectors:
            self.vectors += len(delta.vectors)
            self._vector = len(delta.vectors[0])
        self._size += delta.chars if self._exact else _size(delta)

    def usage(self, told: Usage | None = None, *, cut: bool = False) -> Usage | None:
        """What it comes to; None where no processor began.

        Arguments:
            told: the processor's own count.
            cut: whether who asked cancelled it: then what was on its way does not count.
        """
        started = self.started
        if started is None:
            return None
        if self._counts:
            return _usage(0, len(self.ids), 0, exact=True)  # nothing was asked for but a number
        cached = 0 if told is None else told.cached_tokens
        if started.exact:  # whatever its end says of that
            return _usage(started.prompt_tokens, len(self.ids), cached, exact=True)
        if told is None:
            pieces = 0 if self._embed else self.pieces
            return _usage(started.prompt_tokens, pieces, cached, exact=False)
        answer = min(told.completion_tokens, self.pieces) if cut else self._answer(told)
        prompt = self._prompt(told.prompt_tokens) or started.prompt_tokens
        return _usage(prompt, answer, cached, exact=False)

    def _prompt(self, told: int) -> int:
        if told <= MOST_A_TEMPLATE + chars_of(self._submission):
            return told  # as nearly always: to know the most costs a look at each character
        return self._at_most(told, most_prompt(self._submission), "prompt")

    def _answer(self, told: Usage) -> int:
        if self._embed is not None:
            return 0  # nothing is written
        most = max(self._size, self.pieces) + MOST_WITHOUT_TEXT
        return self._at_most(told.completion_tokens, most, "answer")

    def _at_most(self, told: int, most: int, part: Part) -> int:
        if told > most:
            self._doubt(part, told, most)
        return min(told, most)


def _nobody_hears(part: Part, claimed: int, most: int) -> None:
    """Nothing (`Doubt`)."""


def _size(delta: Delta) -> int:
    """Bytes of its texts."""
    calls = sum(size_of(piece.name) + size_of(piece.arguments) for piece in delta.calls)
    return size_of(delta.text) + calls


def _usage(prompt: int, answer: int, cached: int, *, exact: bool) -> Usage:
    """As numbers that can be: a peer may tell any."""
    return Usage(max(0, prompt), max(0, answer), max(0, min(cached, prompt)), exact)
