"""Attention that gives the same numbers however a request was cut, and in whatever company.

A sum's last bits depend on the order in which it was taken, and libraries choose that by the
shape of what they are given. So here all shapes depend on a token's position alone: queries are
taken in blocks of 16 positions that begin at multiples of 16, those that are not asked for as
zeros, over keys up to the next multiple of 64, those to come hidden. Each request is alone.
(He, "Defeating Nondeterminism in LLM Inference", 2025.)
"""

from __future__ import annotations

import torch
from torch import Tensor

from aiplat.engine.backends.slots.batch import Batch, Span

BLOCK = 16
_KEYS = 64


def attend_fixed(batch: Batch, layer: int, query: Tensor, both: Tensor, scale: float) -> Tensor:
    """Attend as `attention.attend` does; the batch takes each request alone."""
    batch.memory.store(layer, batch.addresses, both)
    out = torch.empty_like(query)
    for span in batch.spans:
        first, last = span.start // BLOCK, (span.start + span.end - span.begin - 1) // BLOCK
        for block in range(first, last + 1):
            _block(batch, span, block, layer, query, scale, out)
    return out.flatten(1)


def _block(
    batch: Batch, span: Span, block: int, layer: int, query: Tensor, scale: float, out: Tensor
) -> None:
    heads, size = batch.memory.shape.heads, batch.memory.shape.size
    low = max(block * BLOCK, span.start)
    high = min((block + 1) * BLOCK, span.start + span.end - span.begin)
    rows = slice(span.begin + low - span.start, span.begin + high - span.start)
    within = slice(low - block * BLOCK, high - block * BLOCK)
    groups = query.shape[1] // heads
    asked = query.new_zeros(heads, groups, BLOCK, size)
    asked[:, :, within] = query[rows].view(high - low, heads, groups, size).permute(1, 2, 0, 3)
    length = min(-(-(block + 1) * BLOCK // _KEYS) * _KEYS, batch.memory.length)
    keys, values = (numbers[:, :length] for numbers in span.held[layer])
    odds = torch.bmm(asked.view(heads, groups * BLOCK, size) * scale, keys.transpose(1, 2))
    odds = odds.view(heads, groups, BLOCK, length) + _mask(block, length, query)
    got = torch.bmm(odds.softmax(-1).view(heads, groups * BLOCK, length), values)
    got = got.view(heads, groups, BLOCK, size)[:, :, within]
    out[rows] = got.permute(2, 0, 1, 3).reshape(high - low, heads * groups, size)


def _mask(block: int, length: int, like: Tensor) -> Tensor:
    mask = torch.full((BLOCK, length), float("-inf"), dtype=like.dtype, device=like.device)
    return mask.triu_(block * BLOCK + 1)
