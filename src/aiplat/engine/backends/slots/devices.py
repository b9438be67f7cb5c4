"""Where a model is computed and in what numbers: by what is there, unless the operator says."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch

from aiplat.engine.backend import LoadError
from aiplat.engine.backends.slots.kernels import has_half
from aiplat.engine.folders import facts_of
from aiplat.engine.ways import FAMILY, choose_way, cpu_flags

WAYS = ("float32", "float16", "bfloat16", "4bit")


class Choice(NamedTuple):
    """Where, and in what.

    Arguments:
        device: where the model begins.
        spread: over all GPUs, layer by layer.
        way: of `WAYS`. On a CPU ``float16`` and ``4bit`` are about the weights; activations and
            sums are float32.
    """

    device: torch.device
    spread: bool
    way: str

    @property
    def dtype(self) -> torch.dtype:
        """What the KV cache and the activations are in."""
        if self.way == "bfloat16":
            return torch.bfloat16
        if self.way == "float16" and self.device.type != "cpu":
            return torch.float16
        return torch.float32


def choose(device: str, dtype: str, folder: Path, *, groups: bool) -> Choice:
    """Choose for the model in `folder`.

    Arguments:
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N``, ``cuda:all`` or ``mps``.
        dtype: ``auto`` or one of `WAYS`.
        groups: whether its weights are there in 4-bit groups.

    Raises:
        LoadError: this machine has no such device, or the device or model does not do that.
    """
    where = _device(device)
    stored = facts_of(folder).dtype
    way = dtype if dtype != "auto" else _way(where, stored, groups)
    if way == "4bit" and (where.type != "cpu" or not has_half()):
        raise LoadError(
            "engine.dtype is 4bit, which needs an x86 CPU with AVX2 and no GPU: set it to auto, "
            "or engine.device to cpu."
        )
    if way == "4bit" and not groups:
        raise LoadError(
            "engine.dtype is 4bit, but this model's weights are not there in 4-bit groups (those "
            f"of a GGUF file of type Q4_0, Q4_1 or Q4_K are, if it is a {', '.join(FAMILY)}): set "
            "it to auto."
        )
    return Choice(where, device == "cuda:all", way)


def _device(asked: str) -> torch.device:
    if asked == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda:0")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    found = torch.device("cuda:0" if asked in ("cuda", "cuda:all") else asked)
    if found.type == "cuda":
        count = torch.cuda.device_count()
        if (found.index or 0) >= count:
            raise LoadError(f"engine.device is {asked}, but torch sees {count} CUDA devices here.")
    if found.type == "mps" and not torch.backends.mps.is_available():
        raise LoadError("engine.device is mps, but torch sees no Apple GPU here.")
    return found


def _way(device: torch.device, stored: str, groups: bool) -> str:
    if device.type == "cpu":
        return choose_way(stored, groups=groups, half=has_half(), flags=cpu_flags())
    if stored == "bfloat16" and device.type == "cuda" and not torch.cuda.is_bf16_supported():
        return "float16"
    return stored if stored in ("bfloat16", "float16") else "float32"
