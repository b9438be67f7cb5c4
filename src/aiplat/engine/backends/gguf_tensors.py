"""What transformers calls the tensors of a GGUF file, and in which order it has their rows.

Those of the families whose blocks are a Llama's; what else a file holds has no name here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from gguf import GGUFReader

from aiplat.engine.backends.gguf_groups import Groups, groups_of

_OUTER = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
_INNER = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def name_of(name: str) -> str:
    """The name in transformers of a tensor; empty for one that is not known."""
    if name in _OUTER:
        return _OUTER[name]
    parts = name.split(".")
    if len(parts) == 4 and parts[0] == "blk" and parts[2] in _INNER:
        return f"model.layers.{parts[1]}.{_INNER[parts[2]]}.{parts[3]}"
    return ""


def heads_of(name: str, fields: dict[str, Any]) -> int:
    """How many heads the rows of a tensor are turned in; 0 where they are in transformers' order.

    Arguments:
        fields: what the file says of the model.
    """
    if fields.get("general.architecture") != "llama":
        return 0
    heads = int(fields["llama.attention.head_count"])
    if ".attn_q." in name:
        return heads
    if ".attn_k." in name:
        return int(fields.get("llama.attention.head_count_kv", heads))
    return 0


def unpermuted(weight: Any, heads: int) -> Any:
    """Undo llama.cpp's interleaving of the halves that rotary embedding turns together."""
    if not heads:
        return weight
    half = weight.shape[0] // heads // 2
    return weight.reshape(heads, half, 2, *weight.shape[1:]).swapaxes(1, 2).reshape(weight.shape)


def groups_in(reader: GGUFReader, fields: dict[str, Any]) -> Iterator[tuple[str, Groups]]:
    """The matrices of blocks that were stored in 4-bit groups, by their names in transformers."""
    for tensor in reader.tensors:
        name = name_of(tensor.name) if tensor.name.startswith("blk.") else ""
        groups = groups_of(tensor.data, tensor.tensor_type) if name else None
        if groups is not None:
            order = unpermuted(np.arange(len(groups.codes)), heads_of(tensor.name, fields))
            yield name, groups.rearranged(order)


def as_tensors(name: str, groups: Groups) -> dict[str, np.ndarray[Any, Any]]:
    """What `slots.groups` reads of a matrix."""
    return {
        f"{name}.codes": groups.packed(),
        f"{name}.scales": groups.scales,
        f"{name}.least": groups.least,
    }
