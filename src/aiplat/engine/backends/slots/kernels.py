"""Matrix products with the weights of a model, in the fastest way that this CPU has for them.

Three ways, all with activations and sums in float32 outside of the product:

- `Full`: the weights as they are; on any device.
- `Half`: weights in float16, widened as they are read (FBGEMM): half of the memory to move, and
  twice to five times as fast as the former at any number of rows on a CPU with AVX2.
- `Four`: 4-bit groups (torch's packed kernel, activations in bfloat16): an eighth of the memory to
  move, but its arithmetic costs more with each row, so it pays for one or two rows.

`docs/decisions/0008-4-bit-weights-on-a-cpu.md` has the figures.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import linear

GROUP = 32
_TRIES = 7
_MATRICES = 8
_MOST_FOUR = 4  # rows; beyond, the packed kernel is never the faster
_GAIN = 0.95  # of the other's time, to be worth the coarser activations
_ROWS = 6  # of FBGEMM's kernel: a tail of one or two rows adds in another order

Product = Callable[[Tensor], Tensor]


class Groups(NamedTuple):
    """A matrix in 4-bit groups of 32 along its rows.

    Arguments:
        codes: ``[outputs, inputs]``, whole numbers from 0 to 15.
        scales, least: ``[outputs, inputs / 32]``: a weight is code · scale + least.
    """

    codes: Tensor
    scales: Tensor
    least: Tensor

    @classmethod
    def joined(cls, several: Sequence[Groups]) -> Groups:
        """Several matrices with the same inputs, one below the other."""
        return cls(*(torch.cat(parts) for parts in zip(*several, strict=True)))

    def rounded(self) -> Groups:
        """With scales as the packed kernel takes them: in bfloat16, around code 8."""
        scales = self.scales.bfloat16().float()
        middle = (self.least + 8 * self.scales).bfloat16().float()
        return Groups(self.codes, scales, middle - 8 * scales)

    def weights(self) -> Tensor:
        """The matrix in float32, ``[outputs, inputs]``."""
        outputs, inputs = self.codes.shape
        codes = self.codes.view(outputs, -1, GROUP).float()
        return (codes * self.scales[..., None] + self.least[..., None]).view(outputs, inputs)


def has_half() -> bool:
    """Whether this build and CPU have products with weights in float16."""
    return "fbgemm" in torch.backends.quantized.supported_engines


class Full:
    """Weights as they are: ``[outputs, inputs]``."""

    def __init__(self, weights: Tensor) -> None:
        self._weights = weights

    def __call__(self, rows: Tensor) -> Tensor:
        """``[rows, inputs]`` to ``[rows, outputs]``."""
        return linear(rows, self._weights)


class Half:
    """Weights in float16.

    Arguments:
        fixed: add in the same order whatever the number of rows.
    """

    def __init__(self, weights: Tensor, *, fixed: bool = False) -> None:
        self._packed = torch.ops.quantized.linear_prepack_fp16(weights.float().contiguous(), None)
        self._fixed = fixed

    def __call__(self, rows: Tensor) -> Tensor:
        """``[rows, inputs]`` to ``[rows, outputs]``."""
        if not self._fixed or len(rows) % _ROWS == 0:
            return torch.ops.quantized.linear_dynamic_fp16(rows, self._packed)  # type: ignore[no-any-return]  # ops have no types
        padded = rows.new_zeros(-(-len(rows) // _ROWS) * _ROWS, rows.shape[1])
        padded[: len(rows)] = rows
        got = torch.ops.quantized.linear_dynamic_fp16(padded, self._packed)
        return got[: len(rows)]  # type: ignore[no-any-return]  # ops have no types


class Four:
    """Weights in 4-bit groups."""

    def __init__(self, groups: Groups) -> None:
        self._packed = torch.ops.aten._convert_weight_to_int4pack_for_cpu(
            groups.codes.to(torch.int32), 1
        )
        middle = groups.least + 8 * groups.scales
        both = torch.stack([groups.scales, middle], -1).transpose(0, 1)
        self._scales = both.contiguous().bfloat16()

    def __call__(self, rows: Tensor) -> Tensor:
        """``[rows, inputs]`` to ``[rows, outputs]``."""
        got = torch.ops.aten._weight_int4pack_mm_for_cpu(
            rows.bfloat16(), self._packed, GROUP, self._scales
        )
        return got.float()  # type: ignore[no-any-return]  # ops have no types


class ByRows:
    """One way for few rows, another for more.

    Arguments:
        most: rows that the first is taken for; 0 for none.
    """

    def __init__(self, few: Product, many: Product, most: int = 0) -> None:
        self.few, self.many, self.most = few, many, most

    def __call__(self, rows: Tensor) -> Tensor:
        """``[rows, inputs]`` to ``[rows, outputs]``."""
        return self.few(rows) if len(rows) <= self.most else self.many(rows)


def most_rows(
    few: Sequence[Product],
    many: Sequence[Product],
    inputs: int,
    now: Callable[[], float] = time.perf_counter,
) -> int:
    """Measure up to how many rows the first way is the faster one; 0 where it never is.

    Arguments:
        few, many: the same matrices, enough of them that they do not stay in the CPU's cache.
        inputs: numbers in a row.
        now: a clock that only goes forward, in seconds.
    """
    few, many = few[:_MATRICES], many[:_MATRICES]
    for count in range(1, _MOST_FOUR + 1):
        rows = torch.randn(count, inputs)
        best = [float("inf"), float("inf")]
        for _ in range(_TRIES):  # in turns, so that other work on the machine hits both
            best = [min(b, _seconds(w, rows, now)) for b, w in zip(best, (few, many), strict=True)]
        if best[0] > _GAIN * best[1]:
            return count - 1
    return _MOST_FOUR


def _seconds(products: Sequence[Product], rows: Tensor, now: Callable[[], float]) -> float:
    began = now()
    for product in products:
        product(rows)
    return now() - began
