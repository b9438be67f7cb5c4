"""Vectors of an upstream: what it is asked, and what came of its answers. Pure.

Source: OpenAI's `CreateEmbeddingRequest` and `CreateEmbeddingResponse`. Texts go in slices, so that
no answer is large; each is read whole.
"""

from __future__ import annotations

import math
import struct
from collections import deque
from typing import Any, Literal

import msgspec

from aiplat.domain.answers import Delta, Submission
from aiplat.domain.chat import Embed
from aiplat.domain.errors import AiplatError, EngineFailed, UnsupportedParameter
from aiplat.domain.usage import Usage
from aiplat.engine.embedding import check_window

AT_ONCE = 32
"""Texts that one request to the upstream has."""
MAX_ANSWER = 16 * 1024 * 1024
"""Bytes of one of its answers: 32 vectors of 16,384 numbers, written out."""

_MOST_TOKENS = 1_000_000_000


class _Row(msgspec.Struct):
    embedding: list[float]
    index: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int = 0


class _Body(msgspec.Struct):
    data: list[_Row]
    usage: _Usage | None = None


_BODY = msgspec.json.Decoder(_Body)


def request_body(model: str, work: Embed, first: int, kind: str) -> bytes:
    """The JSON of a request for the vectors of the texts from `first` on.

    Arguments:
        model: as the upstream calls it.
        kind: of the upstream; Ollama cuts long texts by itself.
    """
    body: dict[str, Any] = {
        "model": model,
        "input": work.inputs[first : first + AT_ONCE],
        "encoding_format": "float",
    }
    if work.dimensions is not None:
        body["dimensions"] = work.dimensions
    if work.truncate and kind == "vllm":
        body["truncate_prompt_tokens"] = -1
    return msgspec.json.encode(body)


class Vectors:
    """Those that came and were not delivered, with their credit (`pending.Pending`)."""

    def __init__(self, credit: int) -> None:
        self.credit = max(0, credit)
        self.pieces = 0
        """How many came."""
        self._kept: deque[bytes] = deque()

    @property
    def empty(self) -> bool:
        """Whether all was given."""
        return not self._kept

    def grant(self, credit: int) -> None:
        """Take more credit; a negative one, which only a broken peer sends, counts nothing."""
        self.credit += max(0, credit)

    def put(self, vector: bytes) -> None:
        """Keep one more."""
        self._kept.append(vector)
        self.pieces += 1

    def take(self) -> Delta | None:
        """What credit allows; None when that is nothing."""
        taken = []
        while self._kept and len(self._kept[0]) <= self.credit:
            vector = self._kept.popleft()
            self.credit -= len(vector)
            taken.append(vector)
        return Delta(vectors=tuple(taken)) if taken else None


class HeardVectors:
    """What came of one request for vectors so far.

    Arguments:
        model: whose vectors they are, for sentences.
        submission: says the reader's credit.
        work: says which vectors are wanted.

    Attributes:
        pending: what came and was not delivered.
        prompt: tokens of the texts, as the upstream counts them.
    """

    reason: Literal["stop"] = "stop"

    def __init__(self, model: str, submission: Submission, work: Embed) -> None:
        self.pending = Vectors(submission.credit)
        self.prompt = 0
        self._model, self._submission, self._work = model, submission, work
        self._size = 0

    @property
    def finished(self) -> bool:
        """Whether all came."""
        return self.pending.pieces == len(self._work.inputs)

    @property
    def usage(self) -> Usage:
        """As the upstream counts."""
        return Usage(self.prompt, 0, exact=False)

    def take(self, data: bytes) -> None:
        """Take an answer, whole.

        Raises:
            AiplatError: it is none, or not what was asked for.
        """
        if len(data) >= MAX_ANSWER:
            raise self._failed(f"sent more than {MAX_ANSWER} bytes for {AT_ONCE} texts")
        try:
            body = _BODY.decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise self._failed("sent what is no list of embeddings") from None
        wanted = min(AT_ONCE, len(self._work.inputs) - self.pending.pieces)
        if len(body.data) != wanted:
            raise self._failed(f"sent {len(body.data)} vectors for {wanted} texts")
        for row in self._in_order(body.data):
            self.pending.put(self._vector(row.embedding))
        told = 0 if body.usage is None else body.usage.prompt_tokens
        self.prompt += min(max(0, told), _MOST_TOKENS)

    def _in_order(self, rows: list[_Row]) -> list[_Row]:
        places = [row.index for row in rows]
        if all(place is None for place in places):
            return rows
        if sorted(place for place in places if place is not None) != list(range(len(rows))):
            raise self._failed("does not say which vector is of which text")
        return sorted(rows, key=lambda row: row.index or 0)

    def _vector(self, numbers: list[float]) -> bytes:
        """Of length 1, as all vectors are here; many servers give them so, not all."""
        asked = self._work.dimensions
        if asked is not None and len(numbers) > asked:
            raise UnsupportedParameter(
                f"The upstream of {self._model} does not honour dimensions ({asked}): leave it "
                "out.",
                param="dimensions",
            )
        if not numbers or self._size not in (0, len(numbers)):
            raise self._failed(f"sent a vector of {len(numbers)} numbers")
        if not self._size:
            self._size = len(numbers)
            check_window(self._submission, 4 * self._size)
        length = math.sqrt(sum([number * number for number in numbers]))
        if not 0 < length < math.inf:  # also refuses NaN
            raise self._failed("sent a vector that has no length")
        return struct.pack(f"<{len(numbers)}f", *[number / length for number in numbers])

    def _failed(self, why: str) -> AiplatError:
        return EngineFailed(f"The upstream of {self._model} {why}.")
