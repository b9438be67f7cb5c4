"""What the engine's process asks of a model that makes vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from aiplat.domain.models import Manifest

BYTES_A_NUMBER = 4
"""Of a vector: little-endian float32 (`Delta.vectors`)."""


@runtime_checkable
class VectorBackend(Protocol):
    """A model in memory. One thread calls it, but for `encode`, which another may.

    Attributes:
        manifest: what it is, exactly; its `context` is the longest text in tokens.
        size: numbers of a vector.
        cuts: whether a vector's beginning is one too, so that fewer numbers can be asked for.
        capacity: tokens of KV cache: it has none.
        note: why it is slower than it could be, in words that follow its name; or empty.
    """

    manifest: Manifest
    size: int
    cuts: bool
    capacity: int
    note: str

    def encode(self, texts: Sequence[str], most: int | None) -> list[list[int]]:
        """The tokens of each text, with those that the model has around it.

        Arguments:
            most: cut a text to so many tokens; None leaves all whole.
        """

    def vectors(self, texts: Sequence[Sequence[int]], sizes: Sequence[int]) -> list[bytes]:
        """The vector of each text, of length 1, cut to so many numbers.

        It depends on the text alone, but for the last bits of its numbers.
        """
