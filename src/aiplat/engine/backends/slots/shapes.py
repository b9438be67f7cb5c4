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


def turns_by_length(model: Any) -> str:
    """Why requests cannot share a forward, or nothing: some rotate by the longest of a batch."""
    config = model.config.get_text_config()
    given = getattr(config, "rope_parameters", None) or {}
    kinds = {str(given.get("rope_type", ""))} if isinstance(given, dict) else set()
    kinds |= {str(part.get("rope_type")) for part in given.values() if isinstance(part, dict)}
    found = kinds & {"dynamic", "longrope"}
    return f"its rotary embedding is {found.pop()}, which depends on the length" if found else ""


def vocabulary_of(model: Any) -> int:
    """How many tokens it knows."""
    return int(model.config.get_text_config().vocab_size)
