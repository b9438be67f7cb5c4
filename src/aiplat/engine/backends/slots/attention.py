"""Attention over a KV cache of slots, as an attention function of transformers.

All that a step reads lies in one row of tokens, ``[1, tokens]``, request after request; the
linear layers see it whole. Only here is it told apart: each request attends to its own slot,
whose memory was made for it alone. So no token is padded, no mask keeps strangers apart, and a
NaN of one request cannot reach another.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

NAME = "aiplat_slots"
_NOT_HONOURED = ("sliding_window", "softcap", "s_aux", "position_bias")


class Segment(NamedTuple):
    """A request's part of the row.

    Arguments:
        begin, end: its tokens in the row.
        start: position of its first token in the request.
        store: its slot, ``[layers, 2, key heads, length, head size]``.
    """

    begin: int
    end: int
    start: int
    store: Tensor


class Batch:
    """All segments of a step, with the masks that they need (the same in every layer)."""

    def __init__(self, segments: list[Segment]) -> None:
        self.segments = segments
        self._masks: dict[int, Tensor] = {}

    def mask(self, segment: Segment, groups: int, like: Tensor) -> Tensor:
        """What the tokens of `segment` may see, once for each of `groups` query heads a key head.

        Shape ``[groups · tokens, positions]``, to be added.
        """
        found = self._masks.get(segment.begin)
        if found is None:
            tokens = segment.end - segment.begin
            positions = segment.start + tokens
            mask = torch.full((tokens, positions), float("-inf"), dtype=like.dtype)
            found = self._masks[segment.begin] = mask.triu(segment.start + 1).repeat(groups, 1)
        return found


def attend(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    slots: Batch | None = None,
    **options: Any,
) -> tuple[Tensor, None]:
    """Put keys and values into their slots and attend over each.

    Arguments:
        query: ``[1, heads, tokens, head size]``; key and value alike with the key heads.

    Returns:
        ``[1, tokens, heads, head size]``.

    Raises:
        NotImplementedError: the model wants an attention that this is not.
    """
    if slots is None or any(options.get(name) is not None for name in _NOT_HONOURED):
        raise NotImplementedError("the model's attention is not the standard one")
    _, heads, tokens, size = query.shape
    groups = heads // key.shape[1]
    out = query.new_empty(1, tokens, heads, size)
    layer: int = module.layer_idx  # type: ignore[assignment]  # transformers numbers its layers
    for segment in slots.segments:
        begin, end, start, store = segment
        positions = start + end - begin
        keys, values = store[layer].unbind()
        keys[:, start:positions] = key[0, :, begin:end]
        values[:, start:positions] = value[0, :, begin:end]
        # The query heads that share a key head lie one after another: they become more queries.
        asked = query[0, :, begin:end].reshape(key.shape[1], groups * (end - begin), size)
        mask = slots.mask(segment, groups, query) if end - begin > 1 else None
        got = scaled_dot_product_attention(
            asked[None],
            keys[None, :, :positions],
            values[None, :, :positions],
            attn_mask=mask,
            scale=scaling,
        )
        out[0, begin:end] = got.view(heads, end - begin, size).transpose(0, 1)
    return out, None


def register() -> None:
    """Make it known to transformers, which then makes no mask of its own."""
    AttentionInterface.register(NAME, attend)
