"""Makes a tiny random BERT in a folder, as sentence-transformers keeps one: loads fast."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "the", "cat", "sat", "on", "mat", "a", "dog", "ran")
SIZE, CONTEXT = 16, 24
_INNER, _LAYERS, _HEADS = 32, 2, 2


def make_tiny_encoder(folder: Path, *, seed: int = 0, **config: Any) -> Path:
    """Write the model to `folder` and return it; the same seed gives the same weights.

    Its words are few, others are one token; the tokenizer's file says to fill up and to cut, which
    nobody shall heed.
    """
    (folder / "1_Pooling").mkdir(parents=True, exist_ok=True)
    _write(folder / "config.json", _CONFIG | config)
    _write(folder / "tokenizer.json", _TOKENIZER)
    _write(folder / "tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast",
                                              "pad_token": "[PAD]"})  # fmt: skip
    _write(folder / "modules.json", [
        {"idx": 0, "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    ])  # fmt: skip
    _write(folder / "1_Pooling" / "config.json", {"pooling_mode_mean_tokens": True})
    save_file(_weights(seed), folder / "model.safetensors", metadata={"format": "pt"})
    return folder


_CONFIG = {
    "architectures": ["BertModel"], "model_type": "bert", "hidden_size": SIZE,
    "intermediate_size": _INNER, "num_hidden_layers": _LAYERS, "num_attention_heads": _HEADS,
    "max_position_embeddings": CONTEXT, "vocab_size": len(WORDS), "type_vocab_size": 2,
    "hidden_act": "gelu", "layer_norm_eps": 1e-12, "pad_token_id": 0,
}  # fmt: skip

_TOKENIZER = {
    "version": "1.0",
    "truncation": {"max_length": 4, "strategy": "LongestFirst", "stride": 0, "direction": "Right"},
    "padding": {
        "strategy": {"Fixed": 9}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0,
        "pad_type_id": 0, "pad_token": "[PAD]",
    },
    "added_tokens": [
        {"id": place, "content": word, "single_word": False, "lstrip": False, "rstrip": False,
         "normalized": False, "special": True}
        for place, word in enumerate(WORDS[:4])
    ],
    "normalizer": {"type": "Lowercase"},
    "pre_tokenizer": {"type": "Whitespace"},
    "post_processor": {
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}},
                   {"Sequence": {"id": "A", "type_id": 0}},
                   {"SpecialToken": {"id": "[SEP]", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
        "special_tokens": {
            "[CLS]": {"id": "[CLS]", "ids": [2], "tokens": ["[CLS]"]},
            "[SEP]": {"id": "[SEP]", "ids": [3], "tokens": ["[SEP]"]},
        },
    },
    "decoder": None,
    "model": {"type": "WordLevel", "unk_token": "[UNK]",
              "vocab": {word: place for place, word in enumerate(WORDS)}},
}  # fmt: skip


def _weights(seed: int) -> dict[str, Any]:
    random = np.random.default_rng(seed)

    def matrix(rows: int, columns: int) -> Any:
        return (random.standard_normal((rows, columns)) * 0.5).astype(np.float32)

    def linear(name: str, rows: int, columns: int) -> dict[str, Any]:
        return {f"{name}.weight": matrix(rows, columns), f"{name}.bias": matrix(1, rows)[0]}

    def norm(name: str) -> dict[str, Any]:
        return {f"{name}.weight": np.ones(SIZE, np.float32),
                f"{name}.bias": np.zeros(SIZE, np.float32)}  # fmt: skip

    weights = {
        "embeddings.word_embeddings.weight": matrix(len(WORDS), SIZE),
        "embeddings.position_embeddings.weight": matrix(CONTEXT, SIZE),
        "embeddings.token_type_embeddings.weight": matrix(2, SIZE),
        **norm("embeddings.LayerNorm"),
    }
    for layer in range(_LAYERS):
        at = f"encoder.layer.{layer}"
        for part in ("query", "key", "value"):
            weights |= linear(f"{at}.attention.self.{part}", SIZE, SIZE)
        weights |= linear(f"{at}.attention.output.dense", SIZE, SIZE)
        weights |= norm(f"{at}.attention.output.LayerNorm")
        weights |= linear(f"{at}.intermediate.dense", _INNER, SIZE)
        weights |= linear(f"{at}.output.dense", SIZE, _INNER)
        weights |= norm(f"{at}.output.LayerNorm")
    return weights


def _write(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content), "utf-8")
