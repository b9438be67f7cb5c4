"""Tiny models of several families, with random weights, in folders of transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from aiplat.engine.backend import Plan
from aiplat.engine.backends.slots.kernels import has_half

needs_half = pytest.mark.skipif(not has_half(), reason="no FBGEMM in this torch, or no AVX2")

_SMALL: dict[str, Any] = {
    "vocab_size": 96, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16,
    "max_position_embeddings": 256, "bos_token_id": None, "eos_token_id": None,
    "pad_token_id": None,
}  # fmt: skip


def save_model(folder: Path, kind: str, **more: Any) -> Path:
    """Write a model of the type `kind` to `folder`; the weights are always the same."""
    config = AutoConfig.for_model(kind, **{**_SMALL, **more})
    torch.manual_seed(5)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    for name, weights in model.named_parameters():
        if weights.dim() > 1 or name.endswith("bias"):
            weights.data.normal_(0.0, 0.3)
    model.save_pretrained(folder)
    return folder


def plan_for(folder: Path, **more: Any) -> Plan:
    """A plan with few bounds."""
    return Plan(**{
        "name": folder.name, "folder": str(folder), "cache": str(folder / "cache"), "slots": 4,
        "max_waiting": 4, "default_max_tokens": 16, "step_seconds": 0.2, "prefill_tokens": 64,
        "cache_mib": 64, "threads": 1, "max_frame": 1 << 20, "dtype": "float32", "device": "cpu",
        "backend": "", "prefix_places": 4, **more,
    })  # fmt: skip
