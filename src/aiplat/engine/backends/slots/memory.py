"""Memory for the KV cache: a mapping of the system's on a CPU, tensors on other devices."""

from __future__ import annotations

import mmap
from collections.abc import Sequence

import torch
from torch import Tensor

from aiplat.engine.backends.slots.arena import Shape

_NO_RESERVE = getattr(mmap, "MAP_NORESERVE", 0x4000)
_ROUNDING = 128  # positions of a part are a multiple, so that layers begin at whole pages


class Mapped:
    """A CPU's (`Memory`): ``[parts, layers, positions, 2 · key heads, head size]`` in one block.

    An anonymous mapping, which the system fills page by page as tokens are written, and takes back
    page by page: it costs what is used, whatever is promised.

    Arguments:
        length: most positions of a part; rounded up.
    """

    def __init__(self, shape: Shape, parts: int, length: int, dtype: torch.dtype) -> None:
        self.shape, self.dtype = shape, dtype
        self.length = -(-length // _ROUNDING) * _ROUNDING
        self._map = mmap.mmap(
            -1,
            parts * self.length * shape.token_bytes(dtype),
            flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _NO_RESERVE,
        )
        self._numbers = torch.frombuffer(self._map, dtype=dtype).view(
            parts, shape.layers, self.length, 2 * shape.heads, shape.size
        )
        self._flat = self._numbers.view(-1, 2 * shape.heads, shape.size)

    def layer(self, layer: int) -> Tensor:
        """A layer's numbers (`Memory`)."""
        return self._numbers[:, layer]

    def address(self, part: int, position: int) -> int:
        """Where a token's layer 0 lies in the whole block (`Memory`)."""
        return part * self.shape.layers * self.length + position

    def store(self, layer: int, addresses: Tensor, both: Tensor) -> None:
        """Put keys and values of a layer (`Memory`)."""
        self._flat.index_copy_(0, addresses + layer * self.length, both)

    def all(self, part: int, end: int) -> Sequence[Tensor]:
        """Views of what a part holds (`Memory`)."""
        return (self._numbers[part, :, :end],)

    def forget(self, part: int, start: int, end: int) -> None:
        """Give pages back, which the system makes zeros of; the rest is made so (`Memory`)."""
        width = self.shape.token_bytes(self.dtype) // self.shape.layers
        for layer in range(self.shape.layers):
            base = (part * self.shape.layers + layer) * self.length
            first = -(-(base + start) * width // mmap.PAGESIZE) * mmap.PAGESIZE
            last = -(-(base + end) * width // mmap.PAGESIZE) * mmap.PAGESIZE
            edge = min(end, -(-(first - base * width) // width))
            if start < edge:
                self._flat[base + start : base + edge].zero_()
            if first < last:
                self._map.madvise(mmap.MADV_DONTNEED, first, last - first)


class OnDevices:
    """Other devices' (`Memory`): a tensor for each layer, where that layer is computed.

    Arguments:
        length: most positions of a part.
        devices: of each layer.
    """

    def __init__(
        self,
        shape: Shape,
        parts: int,
        length: int,
        dtype: torch.dtype,
        devices: Sequence[torch.device],
    ) -> None:
        self.shape, self.dtype = shape, dtype
        self.length = -(-length // _ROUNDING) * _ROUNDING
        whole = (parts, self.length, 2 * shape.heads, shape.size)
        self._layers = [torch.zeros(whole, dtype=dtype, device=device) for device in devices]

    def layer(self, layer: int) -> Tensor:
        """A layer's numbers (`Memory`)."""
        return self._layers[layer]

    def address(self, part: int, position: int) -> int:
        """The same in every layer (`Memory`)."""
        return part * self.length + position

    def store(self, layer: int, addresses: Tensor, both: Tensor) -> None:
        """Put keys and values of a layer (`Memory`)."""
        flat = self._layers[layer].view(-1, *both.shape[1:])
        flat.index_copy_(0, addresses.to(both.device), both)

    def all(self, part: int, end: int) -> Sequence[Tensor]:
        """Views of what a part holds (`Memory`)."""
        return [numbers[part, :end] for numbers in self._layers]

    def forget(self, part: int, start: int, end: int) -> None:
        """Make zeros (`Memory`)."""
        for numbers in self._layers:
            numbers[part, start:end].zero_()
