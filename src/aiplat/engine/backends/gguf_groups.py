"""The 4-bit groups of a GGUF tensor, as they are: codes, and a scale and a least value for each 32.

GGUF's types Q4_0, Q4_1 and Q4_K all say code · scale + least for groups of 32 weights (llama.cpp's
ggml-quants.c); the last has its scales in 6 bits, within super-blocks of 256. Knows no torch.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from gguf import GGMLQuantizationType as Kind
from numpy.typing import NDArray

_GROUP = 32
_SUPER = 256


class Groups(NamedTuple):
    """A matrix in groups.

    Arguments:
        codes: ``[outputs, inputs]``, from 0 to 15.
        scales, least: ``[outputs, inputs / 32]``, float32.
    """

    codes: NDArray[np.uint8]
    scales: NDArray[np.float32]
    least: NDArray[np.float32]

    def rearranged(self, order: NDArray[np.int64]) -> Groups:
        """With its rows in another order."""
        return Groups(self.codes[order], self.scales[order], self.least[order])

    def weights(self) -> NDArray[np.float32]:
        """The matrix, ``[outputs, inputs]``."""
        codes = self.codes.reshape(*self.scales.shape, _GROUP)
        both = codes * self.scales[..., None] + self.least[..., None]
        return both.reshape(self.codes.shape)

    def packed(self) -> NDArray[np.uint8]:
        """Two codes a byte, the earlier in the low half: ``[outputs, inputs / 2]``."""
        return np.ascontiguousarray(self.codes[:, ::2] | (self.codes[:, 1::2] << 4))


def groups_of(data: NDArray[np.uint8], kind: Any) -> Groups | None:
    """The groups of a tensor's bytes ``[outputs, bytes of a row]``; None of another type's."""
    if kind == Kind.Q4_0:
        blocks = data.reshape(len(data), -1, 2 + _GROUP // 2)
        scales = _half(blocks[..., :2])
        return Groups(_codes(blocks[..., 2:]), scales, -8 * scales)
    if kind == Kind.Q4_1:
        blocks = data.reshape(len(data), -1, 4 + _GROUP // 2)
        return Groups(_codes(blocks[..., 4:]), _half(blocks[..., :2]), _half(blocks[..., 2:4]))
    if kind == Kind.Q4_K:
        return _of_supers(data.reshape(len(data), -1, 16 + _SUPER // 2))
    return None


def _half(raw: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.ascontiguousarray(raw).view(np.float16)[..., 0].astype(np.float32)


def _codes(raw: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Sixteen bytes hold the first sixteen codes in their low halves, the others in the high."""
    both = np.concatenate([raw & 15, raw >> 4], axis=-1)
    return both.reshape(len(raw), -1)


def _of_supers(blocks: NDArray[np.uint8]) -> Groups:
    scale, least = _half(blocks[..., :2]), _half(blocks[..., 2:4])
    six = blocks[..., 4:16]
    low, high, top = six[..., :4], six[..., 4:8], six[..., 8:]
    scales = np.concatenate([low & 63, (top & 15) | ((low >> 6) << 4)], axis=-1)
    leasts = np.concatenate([high & 63, (top >> 4) | ((high >> 6) << 4)], axis=-1)
    rows = len(blocks)
    return Groups(
        _super_codes(blocks[..., 16:]),
        (scale[..., None] * scales).reshape(rows, -1).astype(np.float32),
        (-least[..., None] * leasts).reshape(rows, -1).astype(np.float32),
    )


def _super_codes(raw: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Thirty-two bytes hold a group in their low halves and the next in the high."""
    pairs = raw.reshape(*raw.shape[:-1], 4, _GROUP)
    both = np.stack([pairs & 15, pairs >> 4], axis=-2)
    return both.reshape(len(raw), -1)
