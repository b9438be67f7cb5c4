"""Attention over the arena: all tokens of a step, each to its own request's keys and values.

All that a step reads lies in one row of tokens, request after request; the linear layers see it
whole. Only here is it told apart. So no prompt is padded, and a NaN of one request cannot reach
another: what is computed together shares no sum.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from aiplat.engine.backends.slots.batch import Batch, Run, Span


class Attention(Protocol):
    """How a step attends (`attend`, or the one that is always the same)."""

    def __call__(
        self, batch: Batch, layer: int, query: Tensor, both: Tensor, scale: float
    ) -> Tensor:
        """Store what was read and attend; see `attend`."""


def attend(batch: Batch, layer: int, query: Tensor, both: Tensor, scale: float) -> Tensor:
    """Put keys and values into the arena, and attend over each request's own.

    Arguments:
        query: ``[tokens, heads, head size]``.
        both: keys, then values: ``[tokens, 2 · key heads, head size]``.
        scale: of the products of queries and keys.

    Returns:
        ``[tokens, heads · head size]``.
    """
    batch.memory.store(layer, batch.addresses, both)
    if not batch.spans and len(batch.runs) == 1:  # nothing to put together
        return _run(batch.runs[0], layer, query, scale).flatten(1)
    out = torch.empty_like(query)
    for run in batch.runs:
        out[run.begin : run.end] = _run(run, layer, query, scale)
    for span in batch.spans:
        out[span.begin : span.end] = _span(span, layer, query, scale)
    return out.flatten(1)


def _run(run: Run, layer: int, query: Tensor, scale: float) -> Tensor:
    keys, values = run.held[layer]
    asked = query[run.begin : run.end]
    at, mask = _there(run.at, query), _there(run.mask, query)
    if at is not None:
        asked = query.new_zeros(run.high - run.low, *query.shape[1:]).index_copy_(0, at, asked)
    # The query heads that share a key head lie one after another: they become more queries.
    asked = asked.reshape(len(keys), -1, query.shape[-1])
    if mask is None:
        odds = torch.bmm(asked, keys.transpose(1, 2)).mul_(scale)
    else:
        odds = torch.baddbmm(mask, asked, keys.transpose(1, 2), alpha=scale)
    got = torch.bmm(odds.softmax(-1), values).view(-1, *query.shape[1:])
    return got if at is None else got[at]


def _span(span: Span, layer: int, query: Tensor, scale: float) -> Tensor:
    keys, values = span.held[layer]
    mask = _there(span.mask, query)
    got = scaled_dot_product_attention(
        query[span.begin : span.end].transpose(0, 1)[None],
        keys[None],
        values[None],
        attn_mask=mask,
        is_causal=mask is None,
        scale=scale,
        enable_gqa=True,
    )
    return got[0].transpose(0, 1)


def _there(tensor: Tensor | None, like: Tensor) -> Tensor | None:
    """On the device where the layer is computed; it is there already but with several."""
    return None if tensor is None else tensor.to(like.device)
