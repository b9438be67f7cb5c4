"""Makes a tiny random Llama in a folder, with a tokenizer of bytes: loads fast, says noise."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

TEMPLATE = (
    "{% for message in messages %}{% if message.role == 'tool' %}"
    "{{ raise_exception('no tools here') }}{% endif %}"
    "<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
CONTEXT = 512
_SPECIAL = ("<|end|>", "<|im_start|>", "<|im_end|>")
_HIDDEN, _LAYERS, _HEADS, _GROUPS, _INNER = 32, 2, 4, 2, 64


def _bytes_as_characters() -> list[str]:
    """How byte-level BPE writes the 256 bytes (GPT-2)."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in plain]
    named = {byte: chr(byte) for byte in plain}
    named |= {byte: chr(256 + place) for place, byte in enumerate(others)}
    return [named[byte] for byte in range(256)]


def make_tiny_model(folder: Path, *, seed: int = 0, context: int = CONTEXT) -> Path:
    """Write the model to `folder` and return it; the same seed gives the same weights."""
    folder.mkdir(parents=True, exist_ok=True)
    tokens = [*_SPECIAL, *_bytes_as_characters()]
    words = ["Ġthe", "Ġa", "in", "er", "Ġt", "he"]
    merges = [["Ġ", "t"], ["h", "e"], ["Ġt", "he"], ["Ġ", "a"], ["i", "n"], ["e", "r"]]
    tokens += words
    _write(folder / "config.json", _config(len(tokens), context))
    _write(folder / "generation_config.json", {"eos_token_id": 2, "do_sample": False})
    _write(folder / "tokenizer.json", _tokenizer(tokens, merges))
    _write(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "eos_token": "<|im_end|>",
            "clean_up_tokenization_spaces": False,
            "chat_template": TEMPLATE,
        },
    )
    save_file(_weights(len(tokens), seed), folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def _config(vocabulary: int, context: int) -> dict[str, Any]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": _HIDDEN,
        "intermediate_size": _INNER,
        "num_hidden_layers": _LAYERS,
        "num_attention_heads": _HEADS,
        "num_key_value_heads": _GROUPS,
        "max_position_embeddings": context,
        "vocab_size": vocabulary,
        "rms_norm_eps": 1e-5,
        "rope_parameters": {"rope_theta": 10_000.0, "rope_type": "default"},
        "tie_word_embeddings": False,
        "eos_token_id": 2,
        "dtype": "float32",
    }


def _weights(vocabulary: int, seed: int) -> dict[str, Any]:
    random = np.random.default_rng(seed)
    size = _HIDDEN // _HEADS

    def matrix(rows: int, columns: int, scale: float = 0.3) -> Any:
        return (random.standard_normal((rows, columns)) * scale).astype(np.float32)

    weights = {
        "model.embed_tokens.weight": matrix(vocabulary, _HIDDEN, 1.0),
        "model.norm.weight": np.ones(_HIDDEN, np.float32),
        "lm_head.weight": matrix(vocabulary, _HIDDEN, 0.5),
    }
    weights["lm_head.weight"][2] = 0.0  # the end token is never likely: answers are long
    for layer in range(_LAYERS):
        at = f"model.layers.{layer}"
        weights |= {
            f"{at}.input_layernorm.weight": np.ones(_HIDDEN, np.float32),
            f"{at}.post_attention_layernorm.weight": np.ones(_HIDDEN, np.float32),
            f"{at}.self_attn.q_proj.weight": matrix(_HEADS * size, _HIDDEN),
            f"{at}.self_attn.k_proj.weight": matrix(_GROUPS * size, _HIDDEN),
            f"{at}.self_attn.v_proj.weight": matrix(_GROUPS * size, _HIDDEN),
            f"{at}.self_attn.o_proj.weight": matrix(_HIDDEN, _HEADS * size),
            f"{at}.mlp.gate_proj.weight": matrix(_INNER, _HIDDEN),
            f"{at}.mlp.up_proj.weight": matrix(_INNER, _HIDDEN),
            f"{at}.mlp.down_proj.weight": matrix(_HIDDEN, _INNER),
        }
    return weights


def _tokenizer(tokens: list[str], merges: list[list[str]]) -> dict[str, Any]:
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": number, "content": token, **flags, "special": True}
            for number, token in enumerate(_SPECIAL)
        ],
        "normalizer": None,
        "pre_tokenizer": {**level, "use_regex": True},
        "post_processor": None,
        "decoder": {**level, "use_regex": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {token: number for number, token in enumerate(tokens)},
            "merges": merges,
        },
    }


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content), "utf-8")


HANGS = "hangs"
"""A file that `load_hanging` makes in its cache before it does."""


def load_hanging(plan: Any) -> Any:
    """A backend for the engine's process whose step never ends once a prompt holds ``hang``.

    It breaks the process when one holds ``crash``, and finds no memory when one holds ``starve``.
    Given to `EngineProcess` by name.
    """
    import threading

    from aiplat.engine.backends.slots.backend import load

    backend = load(plan)
    run = backend.run

    def hooked(pieces: Any) -> Any:
        text = backend._templates._decode([token for piece in pieces for token in piece.row.ids])
        if "hang" in text:
            (Path(plan.cache) / HANGS).touch()
            threading.Event().wait()
        if "starve" in text:
            load_in_vain(plan)
        if "crash" in text:
            raise RuntimeError("as was asked")
        return run(pieces)

    backend.run = hooked  # type: ignore[method-assign]  # that is the point of it
    return backend


def load_in_vain(plan: Any) -> Any:
    """A backend that asks for more memory than any machine has, as torch does."""
    import torch

    return torch.empty(1 << 60, dtype=torch.uint8)
