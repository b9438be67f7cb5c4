"""Loads a transformers folder: weights only, never code."""

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
from aiplat.engine.backends.slots.devices import Choice
from aiplat.engine.child import cores


def use_threads(threads: int) -> None:
    """Set how many threads compute; 0 takes one a core that this process may use."""
    torch.set_num_threads(threads or cores())
    torch.set_grad_enabled(False)


def load_model(folder: Path, choice: Choice) -> PreTrainedModel:
    """Load the weights in `folder` to where they are computed.

    Raises:
        LoadError: they cannot be.
    """
    options: dict[str, Any] = {"device_map": "auto"} if choice.spread else {}
    try:
        model, told = AutoModelForCausalLM.from_pretrained(
            folder,
            output_loading_info=True,
            dtype=choice.dtype,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            **options,
        )
        _refuse_gaps(folder, told)
        model.eval()
        return model if choice.spread else model.to(choice.device)
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        if "allocate memory" in str(error) or isinstance(error, torch.OutOfMemoryError):
            raise MemoryError(str(error)) from error
        raise LoadError(f"The model in {folder} cannot be loaded: {first_line(error)}") from error


def _refuse_gaps(folder: Path, told: dict[str, Any]) -> None:
    """Refuse weights that are not the configuration's: what lacks would be random numbers."""
    lacking = sorted(told.get("missing_keys") or ())
    other = sorted(str(key) for key in told.get("mismatched_keys") or ())
    for names, what in ((lacking, "are not in its files"), (other, "have another shape there")):
        if names:
            raise LoadError(
                f"The model in {folder} cannot be loaded: {len(names)} of the weights that its "
                f"config.json asks for {what}, such as {names[0][:100]}: they are another model's."
            )


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
            f"The tokenizer in {folder} cannot be loaded: {first_line(error)}"
        ) from error
    if not tokenizer.chat_template:
        raise LoadError(f"The model in {folder} has no chat template: it is not made for chats.")
    return tokenizer


def first_line(error: BaseException) -> str:
    """The first line of what an error says, for a sentence."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rstrip(".")[:300]
