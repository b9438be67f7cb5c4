"""Turns the GGUF file of a Llama into a transformers folder, once, in a process of its own.

``python -m aiplat.engine.backends.gguf_convert FILE FOLDER`` prints ``Progress N of M``, counted
in tensors. It reads with the gguf package and writes plain files, so it needs neither torch nor
transformers, and takes a fifth of the time that ``from_pretrained(gguf_file=…)`` does.

The recipe (`aiplat.engine.store.RECIPE`): every tensor to float32; the rows of q and k back from
llama.cpp's order to that of transformers; what was stored in 4-bit groups beside it, as it was, for
CPUs that compute with it (`slots.kernels`); the tokenizer as byte-level BPE with single digits, as
its authors have it; template, special tokens and context as the file says.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGUFReader
from gguf.quants import dequantize
from safetensors.numpy import save_file

from aiplat.engine.backends.gguf_tensors import (
    as_tensors,
    groups_in,
    heads_of,
    name_of,
    unpermuted,
)
from aiplat.engine.ways import GROUPS

Array = np.ndarray[Any, np.dtype[np.float32]]

_CONTROL, _USER_DEFINED = 3, 4  # kinds of tokens in a GGUF file


def convert(source: Path, folder: Path, progress: Callable[[int, int], None]) -> None:
    """Write the model in `source` to `folder`, which is there and empty.

    Raises:
        ValueError: the file holds what this recipe does not know.
    """
    reader = GGUFReader(source)
    fields = {name: field.contents() for name, field in reader.fields.items()}
    if fields.get("general.architecture") != "llama":
        raise ValueError(f"the architecture {fields.get('general.architecture')!r} is not known")
    weights = _weights(reader, fields, progress)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    groups: dict[str, np.ndarray[Any, Any]] = {}
    for name, found in groups_in(reader, fields):
        groups |= as_tensors(name, found)
    if groups:
        save_file(groups, folder / GROUPS)
    _write(folder / "config.json", _config(fields, tied="lm_head.weight" not in weights))
    _write(folder / "generation_config.json", _special_ids(fields))
    _write(folder / "tokenizer.json", _tokenizer(fields))
    _write(folder / "tokenizer_config.json", _tokenizer_config(fields))
    template = fields["tokenizer.chat_template"]
    (folder / "chat_template.jinja").write_text(template, "utf-8", newline="")


def _weights(
    reader: GGUFReader, fields: dict[str, Any], progress: Callable[[int, int], None]
) -> dict[str, Array]:
    weights: dict[str, Array] = {}
    for done, tensor in enumerate(reader.tensors, 1):
        if not (name := name_of(tensor.name)):
            raise ValueError(f"the tensor {tensor.name!r} is not known")
        values = dequantize(tensor.data, tensor.tensor_type).astype(np.float32, copy=False)
        weights[name] = np.ascontiguousarray(unpermuted(values, heads_of(tensor.name, fields)))
        progress(done, len(reader.tensors))
    return weights


def _config(fields: dict[str, Any], *, tied: bool) -> dict[str, Any]:
    hidden = fields["llama.embedding_length"]
    heads = fields["llama.attention.head_count"]
    base = float(fields.get("llama.rope.freq_base", 10_000.0))
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": hidden,
        "intermediate_size": fields["llama.feed_forward_length"],
        "num_hidden_layers": fields["llama.block_count"],
        "num_attention_heads": heads,
        "num_key_value_heads": fields.get("llama.attention.head_count_kv", heads),
        "head_dim": hidden // heads,
        "max_position_embeddings": fields["llama.context_length"],
        "vocab_size": len(fields["tokenizer.ggml.tokens"]),
        "rms_norm_eps": float(fields["llama.attention.layer_norm_rms_epsilon"]),
        "rope_parameters": {"rope_theta": base, "rope_type": "default"},
        "hidden_act": "silu",
        "attention_bias": False,
        "tie_word_embeddings": tied,
        "dtype": "float32",
        **_special_ids(fields),
    }


def _special_ids(fields: dict[str, Any]) -> dict[str, Any]:
    names = {"bos": "bos", "eos": "eos", "pad": "padding"}
    ids = {
        f"{to}_token_id": fields.get(f"tokenizer.ggml.{at}_token_id") for to, at in names.items()
    }
    return {name: number for name, number in ids.items() if number is not None}


def _tokenizer(fields: dict[str, Any]) -> dict[str, Any]:
    if (fields["tokenizer.ggml.model"], fields["tokenizer.ggml.pre"]) != ("gpt2", "smollm"):
        raise ValueError(f"the tokenizer {fields['tokenizer.ggml.pre']!r} is not known")
    tokens: list[str] = fields["tokenizer.ggml.tokens"]
    kinds: list[int] = fields["tokenizer.ggml.token_type"]
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    added = [
        {"id": number, "content": token, **flags, "special": kind == _CONTROL}
        for number, (token, kind) in enumerate(zip(tokens, kinds, strict=True))
        if kind in (_CONTROL, _USER_DEFINED)
    ]
    bytes_ = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
    digits = {"type": "Digits", "individual_digits": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [digits, {**bytes_, "use_regex": True}],
        },
        "post_processor": None,
        "decoder": {**bytes_, "use_regex": True},
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
            "merges": [merge.split(" ", 1) for merge in fields["tokenizer.ggml.merges"]],
        },
    }


def _tokenizer_config(fields: dict[str, Any]) -> dict[str, Any]:
    tokens = fields["tokenizer.ggml.tokens"]
    ids = _special_ids(fields)
    named = {f"{name}_token": tokens[ids[f"{name}_token_id"]] for name in ("bos", "eos", "pad")}
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": False,
        "model_max_length": fields["llama.context_length"],
        **named,
    }


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", "utf-8")


def main() -> int:
    """Convert, and say how far it is; 1 with one line on stderr when it cannot be done."""
    try:
        convert(Path(sys.argv[1]), Path(sys.argv[2]), _tell)
    except (ValueError, KeyError, OSError, MemoryError) as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return 1
    return 0


def _tell(done: int, total: int) -> None:
    sys.stdout.write(f"Progress {done} of {total}\n")


if __name__ == "__main__":
    raise SystemExit(main())
