"""Loads a transformers folder: weights only, never code, in a type that this machine is good at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from aiplat.engine.backend import LoadError
from aiplat.engine.backends.slots.attention import NAME, Batch, Segment, register
from aiplat.engine.child import cores
from aiplat.engine.folders import facts_of

_CHECKED_TOKENS = 12
_TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 0.1}  # of the largest logit


def use_threads(threads: int) -> None:
    """Set how many threads compute; 0 takes one a core that this process may use."""
    torch.set_num_threads(threads or cores())
    torch.set_grad_enabled(False)


def choose_dtype(asked: str, folder: Path) -> torch.dtype:
    """What to compute in.

    bfloat16 moves a logit of 25 by up to 1 with the company that a request is in, which is
    enough to turn a close choice (seen: "The" into "L'Étoile, la Marseillaise"). So weights that
    are finer are never computed in it, and none where the CPU only emulates it, ten times slower.

    Arguments:
        asked: ``float32``, ``bfloat16``, or ``auto``.
        folder: of the model, whose configuration names the type of its weights.
    """
    if asked != "auto":
        return torch.bfloat16 if asked == "bfloat16" else torch.float32
    own = facts_of(folder).dtype
    if own == "bfloat16" and any(flag in _cpu_flags() for flag in ("amx_bf16", "avx512_bf16")):
        return torch.bfloat16
    return torch.float32


def _cpu_flags() -> frozenset[str]:
    try:
        return frozenset(Path("/proc/cpuinfo").read_text("utf-8").split())
    except OSError:
        return frozenset()


def load_model(folder: Path, dtype: torch.dtype) -> PreTrainedModel:
    """Load the weights in `folder` for attention over slots.

    Raises:
        LoadError: it cannot be served that way.
    """
    register()
    try:
        model = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=dtype,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            attn_implementation="sdpa",
        ).eval()
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        raise LoadError(f"The model in {folder} cannot be loaded: {_first_line(error)}") from error
    _check(model, folder)
    return model


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """Load the tokenizer in `folder`.

    Raises:
        LoadError: it is broken, or has no chat template.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, use_fast=True
        )
    except Exception as error:  # its parsers raise bare Exception for a broken file
        raise LoadError(
            f"The tokenizer in {folder} cannot be loaded: {_first_line(error)}"
        ) from error
    if not tokenizer.chat_template:
        raise LoadError(f"The model in {folder} has no chat template: it is not made for chats.")
    return tokenizer


def key_value_shape(model: PreTrainedModel) -> tuple[int, int, int]:
    """Layers, key heads and head size: what one token of one slot holds, twice."""
    config = model.config.get_text_config()
    heads = config.num_attention_heads
    groups = getattr(config, "num_key_value_heads", None) or heads
    size = getattr(config, "head_dim", None) or config.hidden_size // heads
    return config.num_hidden_layers, groups, size


def _check(model: PreTrainedModel, folder: Path) -> None:
    """Compare attention over slots, in two pieces, with the model's own; leave it set to slots."""
    vocabulary = model.config.get_text_config().vocab_size
    ids = torch.arange(_CHECKED_TOKENS)[None] * 7 % vocabulary
    expected = model(input_ids=ids, use_cache=False).logits[0]
    layers, heads, size = key_value_shape(model)
    store = torch.zeros(layers, 2, heads, _CHECKED_TOKENS, size, dtype=model.dtype)
    half = _CHECKED_TOKENS // 2
    try:
        model.set_attn_implementation(NAME)
        pieces = [(0, half), (half, _CHECKED_TOKENS)]
        parts = [_forward(model, ids[:, a:b], a, store) for a, b in pieces]
    except (NotImplementedError, RuntimeError, TypeError, ValueError) as error:
        raise LoadError(
            f"The model in {folder} ({model.config.model_type}) cannot be served yet: "
            f"{_first_line(error)}."
        ) from error
    scale = expected.abs().max().clamp(min=1.0)
    if not bool(((torch.cat(parts) - expected).abs().max() / scale) < _TOLERANCE[model.dtype]):
        raise LoadError(
            f"The model in {folder} ({model.config.model_type}) cannot be served yet: its "
            "attention is not the standard one."
        )


def _forward(model: PreTrainedModel, ids: Any, start: int, store: Any) -> Any:
    batch = Batch([Segment(0, ids.shape[1], start, store)])
    positions = torch.arange(start, start + ids.shape[1])[None]
    got = model(input_ids=ids, position_ids=positions, use_cache=False, slots=batch)
    return got.logits[0]


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rstrip(".")[:300]
