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
        return _run(batch, batch.runs[0], layer, query, scale).flatten(1)
    out = torch.empty_like(query)
    for run in batch.runs:
        out[run.begin : run.end] = _run(batch, run, layer, query, scale)
    for span in batch.spans:
        out[span.begin : span.end] = _span(batch, span, layer, query, scale)
    return out.flatten(1)


def _run(batch: Batch, run: Run, layer: int, query: Tensor, scale: float) -> Tensor:
    heads = batch.memory.shape.heads
    parts = batch.memory.layer(layer)[run.low : run.high, : run.length]
    keys, values = parts[:, :, :heads].transpose(1, 2), parts[:, :, heads:].transpose(1, 2)
    asked = query[run.begin : run.end]
    at, mask = _there(run.at, query), _there(run.mask, query)
    if at is not None:
        asked = query.new_zeros(run.high - run.low, *query.shape[1:]).index_copy_(0, at, asked)
    # The query heads that share a key head lie one after another: they become more queries.
    asked = asked.view(len(asked), heads, -1, query.shape[-1])
    if mask is None or query.device.type != "cpu":
        got = scaled_dot_product_attention(asked, keys, values, attn_mask=mask, scale=scale)
    else:  # twice as fast there as the call above
        odds = torch.matmul(asked * scale, keys.transpose(2, 3)).add_(mask).softmax(-1)
        got = torch.matmul(odds, values)
    got = got.reshape(len(asked), *query.shape[1:])
    return got if at is None else got[at]


def _span(batch: Batch, span: Span, layer: int, query: Tensor, scale: float) -> Tensor:
    heads = batch.memory.shape.heads
    length = span.start + span.end - span.begin
    part = batch.memory.layer(layer)[span.part, :length].transpose(0, 1)
    mask = _there(span.mask, query)
    got = scaled_dot_product_attention(
        query[span.begin : span.end].transpose(0, 1)[None],
        part[None, :heads],
        part[None, heads:],
        attn_mask=mask,
        is_causal=mask is None,
        scale=scale,
        enable_gqa=True,
    )
    return got[0].transpose(0, 1)


def _there(tensor: Tensor | None, like: Tensor) -> Tensor | None:
    """On the device where the layer is computed; it is there already but with several."""
    return None if tensor is None else tensor.to(like.device)
