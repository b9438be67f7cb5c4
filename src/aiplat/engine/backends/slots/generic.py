"""Any model of transformers with the standard attention, over the arena, in its own forward."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface

from aiplat.engine.backends.slots.attention import Attention
from aiplat.engine.backends.slots.batch import Batch

NAME = "aiplat_slots"
_NOT_HONOURED = ("sliding_window", "softcap", "s_aux", "position_bias")


class Generic:
    """A model whose attention is ours, until it is `released`.

    Arguments:
        model: a causal language model of transformers.
        attend: how it attends.
    """

    def __init__(self, model: Any, attend: Attention) -> None:
        AttentionInterface.register(NAME, _interface)  # which then makes no mask of its own
        self._model, self._attend = model, attend
        self._own = model.config._attn_implementation
        model.set_attn_implementation(NAME)

    def released(self) -> Any:
        """Give the model back with the attention that it had."""
        self._model.set_attn_implementation(self._own)
        return self._model

    def __call__(self, batch: Batch) -> Tensor:
        """Logits of the tokens of the batch that are answered, ``[drawn, vocabulary]``."""
        got = self._model(
            input_ids=batch.ids[None],
            position_ids=batch.positions[None],
            use_cache=False,
            slots=(batch, self._attend),
            logits_to_keep=batch.last,
        )
        return got.logits[0]  # type: ignore[no-any-return]  # transformers has no types


def _interface(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    slots: tuple[Batch, Attention] | None = None,
    **options: Any,
) -> tuple[Tensor, None]:
    """Attend over the arena, in transformers' words.

    Arguments:
        query: ``[1, heads, tokens, head size]``; key and value alike with the key heads.

    Returns:
        ``[1, tokens, heads, head size]``.

    Raises:
        NotImplementedError: the model wants an attention that this is not.
    """
    if slots is None or any(options.get(name) is not None for name in _NOT_HONOURED):
        raise NotImplementedError("its attention is not the standard one")
    batch, attend = slots
    layer: int = module.layer_idx  # type: ignore[assignment]  # transformers numbers its layers
    size = query.shape[-1]
    got = attend(
        batch,
        layer,
        query[0].transpose(0, 1).contiguous(),
        torch.cat([key[0], value[0]]).transpose(0, 1),
        size**-0.5 if scaling is None else scaling,
    )
    return got.view(1, len(got), -1, size), None
