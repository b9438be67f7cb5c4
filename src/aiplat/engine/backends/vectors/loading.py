"""Loads the folder of an encoder: weights only, never code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import AutoModel, AutoTokenizer

from aiplat.engine.backend import LoadError
from aiplat.engine.backends.slots.devices import Choice
from aiplat.engine.backends.slots.loading import first_line

_UNUSED = ("pooler.",)
"""Weights that no vector is made with: a folder may lack them."""


def load_encoder(folder: Path, choice: Choice) -> Any:
    """Load the weights in `folder` to where they are computed.

    Raises:
        LoadError: they cannot be, or are another model's.
    """
    try:
        model, told = AutoModel.from_pretrained(
            folder,
            output_loading_info=True,
            dtype=choice.dtype,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
        )
        _refuse_gaps(folder, told)
        return model.eval().to(choice.device)
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        if "allocate memory" in str(error) or isinstance(error, torch.OutOfMemoryError):
            raise MemoryError(str(error)) from error
        raise LoadError(f"The model in {folder} cannot be loaded: {first_line(error)}") from error


def _refuse_gaps(folder: Path, told: dict[str, Any]) -> None:
    """Refuse weights that are not the configuration's: what lacks would be random numbers."""
    missing = sorted(str(key) for key in told.get("missing_keys") or ())
    lacking = [name for name in missing if not any(part in name for part in _UNUSED)]
    other = sorted(str(key) for key in told.get("mismatched_keys") or ())
    for names, what in ((lacking, "are not in its files"), (other, "have another shape there")):
        if names:
            raise LoadError(
                f"The model in {folder} cannot be loaded: {len(names)} of the weights that its "
                f"config.json asks for {what}, such as {names[0][:100]}: they are another model's."
            )


def load_tokenizer(folder: Path) -> Any:
    """Load the tokenizer in `folder`.

    Raises:
        LoadError: it is broken.
    """
    try:
        return AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, use_fast=True
        )
    except Exception as error:  # its parsers raise bare Exception for a broken file
        raise LoadError(
            f"The tokenizer in {folder} cannot be loaded: {first_line(error)}"
        ) from error
