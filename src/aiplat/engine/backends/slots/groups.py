"""The 4-bit groups that a model's weights were stored in, beside its weights as numbers.

`groups.safetensors` holds of each matrix, by its name in the model: ``.codes``, two a byte, the
earlier in the low half, ``[outputs, inputs / 2]``; ``.scales`` and ``.least``, ``[outputs,
inputs / 32]`` in float32. A weight is code · scale + least. `gguf_convert` and `gguf_any` write it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from safetensors import safe_open

from aiplat.engine.backends.slots.kernels import Groups
from aiplat.engine.ways import GROUPS


class StoredGroups(Mapping[str, Groups]):
    """The groups in a folder, read when they are asked for; none where there is no such file."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / GROUPS
        self._names: frozenset[str] = frozenset()
        if self._path.is_file():
            with safe_open(self._path, framework="pt") as file:
                keys = file.keys()
            self._names = frozenset(
                key.removesuffix(".codes") for key in keys if key.endswith(".codes")
            )

    def __getitem__(self, name: str) -> Groups:
        """The groups of the matrix `name`."""
        if name not in self._names:
            raise KeyError(name)
        with safe_open(self._path, framework="pt") as file:
            packed, scales, least = (
                file.get_tensor(f"{name}.{part}") for part in ("codes", "scales", "least")
            )
        codes = packed.new_empty(len(packed), 2 * packed.shape[1])
        codes[:, ::2], codes[:, 1::2] = packed & 15, packed >> 4
        return Groups(codes, scales, least)

    def __iter__(self) -> Iterator[str]:
        """The matrices' names."""
        return iter(self._names)

    def __len__(self) -> int:
        """How many there are."""
        return len(self._names)
