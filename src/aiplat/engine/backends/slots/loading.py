"""Loads a transformers folder: weights only, never code."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
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


def prepare(threads: int) -> None:
    """Do what a process does once before it loads; `threads` as `use_threads` takes them."""
    warnings.filterwarnings("ignore")  # of torch and transformers: nobody reads them here
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    use_threads(threads)


def load_model(folder: Path, choice: Choice) -> PreTrainedModel:
    """Load the weights in `folder` to where they are computed.

    Raises:
        LoadError: they cannot be, or are another model's.
    """
    options: dict[str, Any] = {"device_map": "auto"} if choice.spread else {}
    model: PreTrainedModel = load_weights(AutoModelForCausalLM, folder, choice, **options)
    return model


def load_weights(
    kind: Any, folder: Path, choice: Choice, unused: Sequence[str] = (), **options: Any
) -> Any:
    """Load the weights in `folder` to where they are computed.

    Arguments:
        kind: of transformers' classes that make a model of a folder.
        unused: parts of the names of weights that a folder may lack.
        options: for that class, besides.

    Raises:
        LoadError: they cannot be, or are another model's.
    """
    try:
        model, told = kind.from_pretrained(
            folder,
            output_loading_info=True,
            dtype=choice.dtype,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            **options,
        )
        _refuse_gaps(folder, told, unused)
        model.eval()
        return model if choice.spread else model.to(choice.device)
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        if "allocate memory" in str(error) or isinstance(error, torch.OutOfMemoryError):
            raise MemoryError(str(error)) from error
        raise LoadError(f"The model in {folder} cannot be loaded: {first_line(error)}") from error


def _refuse_gaps(folder: Path, told: dict[str, Any], unused: Sequence[str]) -> None:
    """Refuse weights that are not the configuration's: what lacks would be random numbers."""
    missing = sorted(str(key) for key in told.get("missing_keys") or ())
    lacking = [name for name in missing if not any(part in name for part in unused)]
    other = sorted(str(key) for key in told.get("mismatched_keys") or ())
    for names, what in ((lacking, "are not in its files"), (other, "have another shape there")):
        if names:
            raise LoadError(
                f"The model in {folder} cannot be loaded: {len(names)} of the weights that its "
                f"config.json asks for {what}, such as {names[0][:100]}: they are another model's."
            )


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """Load the tokenizer in `folder`, and its chat template.

    Raises:
        LoadError: it is broken, or has no chat template.
    """
    tokenizer = read_tokenizer(folder)
    if not tokenizer.chat_template:
        raise LoadError(f"The model in {folder} has no chat template: it is not made for chats.")
    return tokenizer


def read_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """Load the tokenizer in `folder`, whether it is made for chats or not.

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


def first_line(error: BaseException) -> str:
    """The first line of what an error says, for a sentence."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rstrip(".")[:300]
