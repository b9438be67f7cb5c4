"""Memory for the KV cache: a mapping of the system's on a CPU, tensors on other devices.

The keys of a head lie in one piece, token after token, and so do its values: attention multiplies
many requests at once where they are, without a copy, and reads a long one in half of the time that
it takes where all heads of a token lie side by side.
"""

from __future__ import annotations

import mmap
from collections.abc import Sequence

import torch
from torch import Tensor

from aiplat.engine.backends.slots.arena import Held, Shape

_NO_RESERVE = getattr(mmap, "MAP_NORESERVE", 0x4000)
_ROUNDING = 128  # positions of a part are a multiple, so that heads begin at whole pages


class OnDevices:
    """A tensor for each layer, where that layer is computed (`Memory`).

    Arguments:
        layers: ``[2, parts, key heads, positions, head size]``, keys first; all zeros.
    """

    def __init__(self, shape: Shape, layers: Sequence[Tensor]) -> None:
        _, parts, heads, length, _ = layers[0].shape
        self.shape, self.dtype, self.length = shape, layers[0].dtype, length
        self._heads = heads
        self._layers = layers
        self._flat = [numbers.view(-1, shape.size) for numbers in layers]
        self._steps = torch.arange(2)[:, None] * parts * heads + torch.arange(heads)
        self._steps = self._steps.flatten() * length

    @classmethod
    def taken(
        cls,
        shape: Shape,
        parts: int,
        length: int,
        dtype: torch.dtype,
        devices: Sequence[torch.device],
    ) -> OnDevices:
        """Take it at once.

        Arguments:
            length: most positions of a part; rounded up.
            devices: of each layer.
        """
        whole = (2, parts, shape.heads, rounded(length), shape.size)
        return cls(shape, [torch.zeros(whole, dtype=dtype, device=device) for device in devices])

    def address(self, part: int, position: int) -> int:
        """Where the first head's key lies in a layer, in vectors (`Memory`)."""
        return part * self._heads * self.length + position

    def addresses(self, first: Tensor) -> Tensor:
        """Where the keys and values of all heads lie (`Memory`)."""
        return (first[:, None] + self._steps.to(first.device)).flatten()

    def store(self, layer: int, addresses: Tensor, both: Tensor) -> None:
        """Put keys and values of a layer (`Memory`)."""
        rows = both.reshape(-1, self.shape.size)
        self._flat[layer].index_copy_(0, addresses.to(both.device), rows)

    def held(self, low: int, high: int, length: int) -> Sequence[Held]:
        """Views of what parts hold in each layer (`Memory`)."""
        parts = [numbers[:, low:high, :, :length].flatten(1, 2) for numbers in self._layers]
        return [(numbers[0], numbers[1]) for numbers in parts]

    def all(self, part: int, end: int) -> Sequence[Tensor]:
        """Views of what a part holds (`Memory`)."""
        return [numbers[:, part, :, :end] for numbers in self._layers]

    def forget(self, part: int, start: int, end: int) -> None:
        """Make zeros (`Memory`)."""
        for numbers in self._layers:
            numbers[:, part, :, start:end].zero_()


class Mapped(OnDevices):
    """A CPU's: all layers in one block.

    An anonymous mapping, which the system fills page by page as tokens are written, and takes back
    page by page: it costs what is used, whatever is promised.

    Arguments:
        length: most positions of a part; rounded up.
    """

    def __init__(self, shape: Shape, parts: int, length: int, dtype: torch.dtype) -> None:
        length = rounded(length)
        self._map = mmap.mmap(
            -1,
            parts * length * shape.token_bytes(dtype),
            flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _NO_RESERVE,
        )
        self._numbers = torch.frombuffer(self._map, dtype=dtype).view(
            shape.layers, 2, parts, shape.heads, length, shape.size
        )
        super().__init__(shape, self._numbers.unbind(0))

    def held(self, low: int, high: int, length: int) -> Sequence[Held]:
        """Views of what parts hold in each layer, all made at once (`Memory`)."""
        parts = self._numbers[:, :, low:high, :, :length].flatten(2, 3)
        keys, values = parts.unbind(1)
        return list(zip(keys.unbind(0), values.unbind(0), strict=True))

    def all(self, part: int, end: int) -> Sequence[Tensor]:
        """Views of what a part holds (`Memory`)."""
        return (self._numbers[:, :, part, :, :end],)

    def forget(self, part: int, start: int, end: int) -> None:
        """Give pages back, which the system makes zeros of; the rest is made so (`Memory`)."""
        width = self.shape.size * self.dtype.itemsize
        bases = self.addresses(torch.tensor([self.address(part, 0)])).tolist()
        of_layer = len(self._flat[0]) * width
        for layer, numbers in enumerate(self._flat):
            for base in bases:
                begin, stop = (base + start) * width, (base + end) * width
                first = -(-begin // mmap.PAGESIZE) * mmap.PAGESIZE
                last = -(-stop // mmap.PAGESIZE) * mmap.PAGESIZE
                edge = min(base + end, -(-first // width))
                if base + start < edge:
                    numbers[base + start : edge].zero_()
                if first < last:
                    offset = layer * of_layer + first
                    self._map.madvise(mmap.MADV_DONTNEED, offset, last - first)


def rounded(length: int) -> int:
    """Positions that a part has to hold as many."""
    return -(-length // _ROUNDING) * _ROUNDING
