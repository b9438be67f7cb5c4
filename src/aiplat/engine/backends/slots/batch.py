"""What a step reads, as tensors: one row of tokens, and where each request's of them lie.

Requests that answer come first, one token each, in the order of their parts of the arena: those
whose parts are neighbours are a `Run`, which attention takes in one go. Then come the prompts, each
a `Span` for itself. Nothing is padded but a run's keys, to the longest of its requests.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from aiplat.engine.backends.slots.arena import Arena, Held
from aiplat.engine.rows import Piece

_WORTH = 192  # positions read in vain that cost less than one more call
_ROUNDING = 16  # positions: odd lengths are slower
_CPU = torch.device("cpu")


class Run(NamedTuple):
    """Requests that answer, side by side in the arena.

    Arguments:
        begin, end: their tokens in the row.
        low, high: their parts of the arena; those between may be of others.
        held: what is read of each layer, all parts up to the same position.
        at: which of the parts each token is of, from 0; None where they are all.
        mask: ``[parts · key heads, 1, positions]``, to be added; None where all are read.
    """

    begin: int
    end: int
    low: int
    high: int
    held: Sequence[Held]
    at: Tensor | None
    mask: Tensor | None


class Span(NamedTuple):
    """A prompt, or a piece of one.

    Arguments:
        begin, end: its tokens in the row.
        start: position of its first token.
        held: what is read of each layer, up to its last token; all that there is of the part where
            each is taken alone.
        mask: ``[tokens, positions]``, to be added; None where it begins at 0 (plainly causal), and
            where each is taken alone.
    """

    begin: int
    end: int
    start: int
    held: Sequence[Held]
    mask: Tensor | None


class Batch:
    """All that a step reads.

    Attributes:
        order: the pieces in the order of the row.
        ids, positions: of the tokens, ``[tokens]``.
        addresses: where each token's keys and values go (`Memory.addresses`).
        last: the tokens that are answered, ``[drawn]``.
        spans: the prompts; where `alone`, everything.
        runs: those that answer.

    Arguments:
        device: where the row begins its way.
        alone: take no requests together.
    """

    def __init__(
        self,
        arena: Arena,
        pieces: Sequence[Piece],
        device: torch.device = _CPU,
        *,
        alone: bool = False,
    ) -> None:
        self.arena = arena
        self.memory = arena.memory
        self._device = device
        answering = [piece for piece in pieces if len(piece.ids) == 1]
        answering.sort(key=lambda piece: arena.part(piece.place))
        reading = [piece for piece in pieces if len(piece.ids) > 1]
        self.order = answering + reading
        ids: list[int] = []
        positions: list[int] = []
        addresses: list[int] = []
        last: list[int] = []
        for piece in self.order:
            end = piece.start + len(piece.ids)
            first = self.memory.address(arena.part(piece.place), piece.start)
            ids += piece.ids
            positions += range(piece.start, end)
            addresses += range(first, first + len(piece.ids))
            if piece.draws:
                last.append(len(ids) - 1)
            arena.wrote(piece.place, end)
        self.ids = self._whole(ids)
        self.positions = self._whole(positions)
        self.addresses = self.memory.addresses(self._whole(addresses))
        self.last = self._whole(last)
        self.runs = [] if alone else self._runs(answering)
        self.spans = self._alone() if alone else self._spans(reading, len(answering))

    def _whole(self, numbers: list[int]) -> Tensor:
        return torch.tensor(numbers, dtype=torch.long, device=self._device)

    def _runs(self, answering: list[Piece]) -> list[Run]:
        runs: list[Run] = []
        begin = 0
        for end in range(1, len(answering) + 1):
            if end == len(answering) or not self._joins(answering[begin : end + 1]):
                runs.append(self._run(answering, begin, end))
                begin = end
        return runs

    def _joins(self, pieces: list[Piece]) -> bool:
        """Whether the last of them is worth taking together with the others."""
        parts = self.arena.part(pieces[-1].place) - self.arena.part(pieces[0].place) + 1
        lengths = [piece.start + 1 for piece in pieces]
        return parts * max(lengths) - sum(lengths) <= _WORTH * (len(pieces) - 1)

    def _run(self, answering: list[Piece], begin: int, end: int) -> Run:
        pieces = answering[begin:end]
        parts = [self.arena.part(piece.place) for piece in pieces]
        lengths = [piece.start + 1 for piece in pieces]
        low, high = parts[0], parts[-1] + 1
        if len(pieces) == 1:
            return Run(begin, end, low, high, self.memory.held(low, high, lengths[0]), None, None)
        length = min(-(-max(lengths) // _ROUNDING) * _ROUNDING, self.memory.length)
        at = None if len(pieces) == high - low else self._whole([part - low for part in parts])
        ends = [1] * (high - low)  # a part of another's is read, and thrown away
        for part, own in zip(parts, lengths, strict=True):
            ends[part - low] = own
        hidden = torch.arange(length, device=self._device) >= self._whole(ends)[:, None]
        mask = torch.zeros(high - low, length, dtype=self.memory.dtype, device=self._device)
        mask.masked_fill_(hidden, float("-inf"))
        mask = mask.repeat_interleave(self.memory.shape.heads, 0)[:, None]
        return Run(begin, end, low, high, self.memory.held(low, high, length), at, mask)

    def _alone(self) -> list[Span]:
        spans: list[Span] = []
        for piece in self.order:
            begin = spans[-1].end if spans else 0
            spans.append(self._span(piece, begin, self.memory.length, None))
        return spans

    def _spans(self, reading: list[Piece], begin: int) -> list[Span]:
        spans = []
        for piece in reading:
            tokens, start = len(piece.ids), piece.start
            mask = None
            if start:
                shape = (tokens, start + tokens)
                mask = torch.full(
                    shape, float("-inf"), dtype=self.memory.dtype, device=self._device
                )
                mask.triu_(start + 1)
            spans.append(self._span(piece, begin, start + tokens, mask))
            begin += tokens
        return spans

    def _span(self, piece: Piece, begin: int, length: int, mask: Tensor | None) -> Span:
        part = self.arena.part(piece.place)
        held = self.memory.held(part, part + 1, length)
        return Span(begin, begin + len(piece.ids), piece.start, held, mask)
