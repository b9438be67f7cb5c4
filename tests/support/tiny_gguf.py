"""Writes the tiny model as a GGUF file, as llama.cpp's own converter would."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter
from gguf.quants import quantize
from safetensors.numpy import load_file

_OUTER = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
}
_INNER = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def write_gguf(
    model: Path, file: Path, *, kind: str = "llama", pre: str = "smollm", quantised: bool = False
) -> Path:
    """Write the tiny model in the folder `model` to `file`.

    Arguments:
        kind: the architecture; ``qwen2`` gets the biases that it has.
        pre: the kind of its tokenizer.
        quantised: matrices of blocks as Q4_0; those that feed on outliers stay as they are.
    """
    config = json.loads((model / "config.json").read_text())
    heads, groups = config["num_attention_heads"], config["num_key_value_heads"]
    writer = GGUFWriter(file, kind)
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(groups)
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(10_000.0)
    writer.add_vocab_size(config["vocab_size"])
    _write_tokenizer(writer, model, pre)
    for name, weight in load_file(model / "model.safetensors").items():
        if kind == "llama" and ".q_proj." in name:
            weight = _permuted(weight, heads)
        if kind == "llama" and ".k_proj." in name:
            weight = _permuted(weight, groups)
        if quantised and "_proj." in name and ".down_" not in name:
            raw = quantize(weight, GGMLQuantizationType.Q4_0)
            writer.add_tensor(_name(name), raw, raw_dtype=GGMLQuantizationType.Q4_0)
        else:
            writer.add_tensor(_name(name), weight)
        if kind == "qwen2" and any(f".{p}_proj." in name for p in "qkv"):
            bias = np.full(len(weight), 0.25, np.float32)
            writer.add_tensor(_name(name).replace(".weight", ".bias"), bias)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def _write_tokenizer(writer: GGUFWriter, model: Path, pre: str) -> None:
    tokenizer = json.loads((model / "tokenizer.json").read_text())["model"]
    template = json.loads((model / "tokenizer_config.json").read_text())["chat_template"]
    tokens = sorted(tokenizer["vocab"], key=tokenizer["vocab"].__getitem__)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types([3 if number < 3 else 1 for number in range(len(tokens))])
    writer.add_token_merges([" ".join(merge) for merge in tokenizer["merges"]])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(2)
    writer.add_chat_template(template)


def _name(name: str) -> str:
    if name in _OUTER:
        return _OUTER[name]
    _, _, layer, inner = name.removesuffix(".weight").split(".", 3)
    return f"blk.{layer}.{_INNER[inner]}.weight"


def _permuted(weight: Any, heads: int) -> Any:
    half = weight.shape[0] // heads // 2
    shape = (heads, 2, half, *weight.shape[1:])
    return np.ascontiguousarray(weight.reshape(shape).swapaxes(1, 2).reshape(weight.shape))
