"""What the engine has to know of a model of transformers before it can serve it."""

from __future__ import annotations

from typing import Any

from aiplat.engine.backends.slots.arena import Shape


def shape_of(model: Any) -> Shape:
    """What one token holds in each layer."""
    config = model.config.get_text_config()
    heads = config.num_attention_heads
    groups = getattr(config, "num_key_value_heads", None) or heads
    size = getattr(config, "head_dim", None) or config.hidden_size // heads
    return Shape(config.num_hidden_layers, groups, size)


def vocabulary_of(model: Any) -> int:
    """How many tokens it knows."""
    return int(model.config.get_text_config().vocab_size)
