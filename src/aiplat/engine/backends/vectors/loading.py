"""Loads the folder of an encoder: weights only, never code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import AutoModel

from aiplat.engine.backends.slots.devices import Choice
from aiplat.engine.backends.slots.loading import load_weights

_UNUSED = ("pooler.",)
"""Weights that no vector is made with: a folder may lack them."""


def load_encoder(folder: Path, choice: Choice) -> Any:
    """Load the weights in `folder` to where they are computed.

    Raises:
        LoadError: they cannot be, or are another model's.
    """
    return load_weights(AutoModel, folder, choice, _UNUSED)
