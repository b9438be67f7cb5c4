"""The memory of the KV cache, preallocated and cut into places, and where each place lies in it.

A place has one part of the memory. Which one, changes: those that run are brought side by side, so
that attention sees them in one view (`Arena.open`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

Held = tuple[Tensor, Tensor]
"""Keys and values of a layer, each ``[parts · key heads, positions, head size]``."""

_SPARED = 64  # stale tokens that are not worth giving back


class Shape(NamedTuple):
    """What one token holds: layers, key heads, and the size of a head in numbers."""

    layers: int
    heads: int
    size: int

    def token_bytes(self, dtype: torch.dtype) -> int:
        """Bytes of one token's keys and values."""
        return 2 * self.layers * self.heads * self.size * dtype.itemsize


class Memory(Protocol):
    """Parts with positions for the keys and values of each layer.

    Attributes:
        shape: of the model.
        length: positions of each part.
        dtype: of the numbers.
    """

    shape: Shape
    length: int
    dtype: torch.dtype

    def address(self, part: int, position: int) -> int:
        """Where a token of a part lies, by its first head."""

    def addresses(self, first: Tensor) -> Tensor:
        """What `store` takes for the tokens at addresses ``[tokens]``."""

    def store(self, layer: int, addresses: Tensor, both: Tensor) -> None:
        """Put keys and values ``[tokens, 2 · key heads, head size]``, keys first, of a layer."""

    def held(self, low: int, high: int, length: int) -> Sequence[Held]:
        """Views of what the parts from `low` to `high` hold in each layer, up to a position."""

    def all(self, part: int, end: int) -> Sequence[Tensor]:
        """Views of all that a part holds up to position `end`."""

    def forget(self, part: int, start: int, end: int) -> None:
        """Make zeros of the positions from `start` to `end`; to be read again is to be zero."""


class Arena:
    """Places for the keys and values of requests.

    Arguments:
        memory: where they lie.
        places: how many; the memory has a part for each.
    """

    def __init__(self, memory: Memory, places: int) -> None:
        self.memory = memory
        self._where = list(range(places))  # of each place, which part of the memory it has
        self._owner = list(range(places))
        self._filled = [0] * places  # of each place: positions that count
        self._touched = [0] * places  # of each part: positions that may take memory
        self._spoilt: set[int] = set()

    def part(self, place: int) -> int:
        """The part of the memory that `place` has now."""
        return self._where[place]

    def wrote(self, place: int, end: int) -> None:
        """Note that `place` holds tokens up to position `end`."""
        part = self._where[place]
        self._filled[place] = max(self._filled[place], end)
        self._touched[part] = max(self._touched[part], end)

    def spoil(self, place: int) -> None:
        """Note that it may hold NaN, which a mask does not keep from what comes after."""
        self._spoilt.add(place)

    def open(self, place: int, kept: int, source: int, busy: set[int]) -> None:
        """Make `place` ready, with the first `kept` tokens of `source`; the rest is forgotten.

        It is brought to the lowest part that no place of `busy` has.
        """
        with torch.inference_mode():
            self._filled[place] = kept if source == place else 0
            if place in self._spoilt and not self._filled[place]:
                self.close(place)
            if busy:
                self._settle(place, busy)
            self._forget(self._where[place], self._filled[place], _SPARED)
            if kept and source != place:
                self._copy(self._where[source], self._where[place], kept)
                self.wrote(place, kept)

    def close(self, place: int) -> None:
        """Give the memory of `place` back."""
        self._filled[place] = 0
        self._forget(self._where[place], 0, 0)
        self._spoilt.discard(place)

    def _settle(self, place: int, busy: set[int]) -> None:
        free = (n for n, owner in enumerate(self._owner) if owner == place or owner not in busy)
        to, at = next(free), self._where[place]
        if to == at:
            return
        other = self._owner[to]
        mine, theirs = self._filled[place], self._filled[other]
        held = [numbers.clone() for numbers in self.memory.all(to, theirs)]
        self._copy(at, to, mine)
        for numbers, old in zip(self.memory.all(at, theirs), held, strict=True):
            numbers.copy_(old)
        self._where[place], self._where[other] = to, at
        self._owner[to], self._owner[at] = place, other
        for part, end in ((to, mine), (at, theirs)):
            self._touched[part] = max(self._touched[part], end)
        self._forget(at, theirs, _SPARED)  # of a longer one that lay there; `open` looks at `to`

    def _copy(self, source: int, part: int, tokens: int) -> None:
        pairs = zip(self.memory.all(part, tokens), self.memory.all(source, tokens), strict=True)
        for mine, theirs in pairs:
            mine.copy_(theirs)

    def _forget(self, part: int, start: int, spared: int) -> None:
        end = self._touched[part]
        if end - start > spared:
            self._touched[part] = start
            self.memory.forget(part, start, end)
