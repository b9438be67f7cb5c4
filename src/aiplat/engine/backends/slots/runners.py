"""What reads pieces and gives logits: over the arena, or each request in the model's own way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from aiplat.engine.backends.slots.arena import Arena
from aiplat.engine.backends.slots.batch import Batch
from aiplat.engine.backends.slots.fixed import BLOCK
from aiplat.engine.rows import Opening, Piece

Forward = Callable[[Batch], Tensor]


class Runner(Protocol):
    """Holds what was read of each request, and reads on.

    Attributes:
        keeps: whether a place can keep a prefix for the next request.
    """

    keeps: bool

    def open(self, opening: Opening) -> None:
        """Make a place ready (`Backend.open`)."""

    def close(self, place: int) -> None:
        """Empty a place (`Backend.close`)."""

    def spoil(self, place: int) -> None:
        """Note that NaN was computed there."""

    def read(self, pieces: Sequence[Piece]) -> tuple[list[Piece], Tensor]:
        """Read the pieces: those that draw, and their logits ``[drawn, vocabulary]``, in order."""


class Slots:
    """All requests in one forward a step.

    Arguments:
        device: where the forward begins.
        alone: attend to each request alone (`fixed.attend_fixed`).
        blocks: read each request alone, in blocks that its positions decide, so that its numbers
            are the same in any company; for forwards that do not see to that themselves.
    """

    keeps = True

    def __init__(
        self,
        forward: Forward,
        arena: Arena,
        device: torch.device,
        *,
        alone: bool,
        blocks: bool = False,
    ) -> None:
        self._forward, self._arena, self._device = forward, arena, device
        self._alone, self._in_blocks = alone, blocks
        self._busy: set[int] = set()

    def open(self, opening: Opening) -> None:
        """Make a place ready (`Runner`)."""
        self._arena.open(opening.place, opening.kept, opening.source, self._busy)
        self._busy.add(opening.place)

    def close(self, place: int) -> None:
        """Empty a place (`Runner`)."""
        self._arena.close(place)
        self._busy.discard(place)

    def spoil(self, place: int) -> None:
        """It is emptied before anybody else reads it (`Runner`)."""
        self._arena.spoil(place)

    def read(self, pieces: Sequence[Piece]) -> tuple[list[Piece], Tensor]:
        """Read in one forward (`Runner`)."""
        self._busy = {piece.place for piece in pieces}
        if self._in_blocks:
            return self._blocks(pieces)
        batch = Batch(self._arena, pieces, self._device, alone=self._alone)
        return [piece for piece in batch.order if piece.draws], self._forward(batch)

    def _blocks(self, pieces: Sequence[Piece]) -> tuple[list[Piece], Tensor]:
        """Read each piece alone, in blocks of always as many tokens; what is lacking is padding.

        The padding comes after what counts, where nothing sees it, and is overwritten.
        """
        drawn, logits = [], []
        for piece in pieces:
            end = piece.start + len(piece.ids)
            for block in range(piece.start // BLOCK, (end - 1) // BLOCK + 1):
                first, last = max(piece.start, block * BLOCK), min(end, (block + 1) * BLOCK)
                ids = piece.ids[first - piece.start : last - piece.start]
                before = piece.row.ids[block * BLOCK : first]
                after = [0] * (BLOCK - len(before) - len(ids))
                whole = piece._replace(
                    start=block * BLOCK, ids=[*before, *ids, *after], draws=False
                )
                batch = Batch(self._arena, [whole], self._device, alone=True)
                batch.last = torch.arange(BLOCK, device=batch.ids.device)
                got = self._forward(batch)
                if piece.draws and last == end:
                    drawn.append(piece)
                    logits.append(got[last - 1 - block * BLOCK])
        return drawn, torch.stack(logits) if logits else torch.empty(0, 1)


class Plain:
    """A model with attention of its own kind: a cache and a forward for each request.

    Correct for all that transformers generates with, and slower: requests share no forward.
    """

    keeps = False

    def __init__(self, model: Any, device: torch.device) -> None:
        self._model, self._device = model, device
        self._caches: dict[int, Any] = {}

    def open(self, opening: Opening) -> None:
        """Begin without a cache; transformers makes the kind that the model needs (`Runner`)."""
        self._caches.pop(opening.place, None)

    def close(self, place: int) -> None:
        """Drop the cache (`Runner`)."""
        self._caches.pop(place, None)

    def spoil(self, place: int) -> None:
        """Nobody else reads it (`Runner`)."""

    def read(self, pieces: Sequence[Piece]) -> tuple[list[Piece], Tensor]:
        """Read one after the other (`Runner`)."""
        drawn, logits = [], []
        for piece in pieces:
            ids = torch.tensor([piece.ids], device=self._device)
            got = self._model(
                input_ids=ids,
                past_key_values=self._caches.get(piece.place),
                use_cache=True,
                logits_to_keep=1,
            )
            self._caches[piece.place] = got.past_key_values
            if piece.draws:
                drawn.append(piece)
                logits.append(got.logits[0, -1])
        return drawn, torch.stack(logits) if logits else torch.empty(0, 1)
