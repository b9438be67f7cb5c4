"""What one stream could reach: the memory's bandwidth over the bytes that a token must read.

    .venv/bin/python -m bench.engine.limits

prints the bandwidth in GB/s; the bench runs it as a process of its own, so that torch and the
array that is read are gone afterwards.
"""

from __future__ import annotations

import json
import math
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from bench.engine.contenders import Files

_BYTES = 512 * 1024 * 1024
"""Of the array: many times what the CPU's cache holds."""
_TRIES = 12
_SECONDS = 120.0
_GROUP_BYTES = 0.625
"""Of a weight in a packed group of 32: half a byte, and its share of two numbers in bfloat16."""


def bandwidth() -> float:
    """Read with all cores, the best of some tries, in GB/s.

    Raises:
        subprocess.SubprocessError: it failed or took too long.
    """
    command = [sys.executable, "-m", "bench.engine.limits"]
    done = subprocess.run(
        command, cwd=Path(__file__).parents[2], timeout=_SECONDS, check=True, capture_output=True
    )
    return float(done.stdout)


def _read() -> float:
    import torch  # only in the process that measures

    from bench.engine.contenders import CORES

    torch.set_num_threads(CORES)
    array = torch.ones(_BYTES // 4)
    best = math.inf
    for _ in range(_TRIES):
        began = time.perf_counter()
        array.sum()
        best = min(best, time.perf_counter() - began)
    return _BYTES / best / 1e9


def weights_read(files: Files) -> dict[str, int]:
    """Bytes of weights that each contender must read for a token, by its name.

    A token's own row of the embedding is nothing beside the head, which is the same matrix.
    """
    shapes = _shapes(files.folder / "model.safetensors")
    count = {name: math.prod(shape) for name, shape in shapes.items()}
    if "lm_head.weight" in count:
        del count["model.embed_tokens.weight"]
    whole = 4 * sum(count.values())
    groups = files.folder / "groups.safetensors"
    packed = {key.removesuffix(".codes") for key in _shapes(groups)} if groups.is_file() else set()
    ours = sum(n * _kept_bytes(name, name in packed) for name, n in count.items())
    return {
        "ours": round(ours), "ours-f32": whole, "transformers": whole,
        "llama.cpp": files.gguf.stat().st_size,
    }  # fmt: skip


def _kept_bytes(name: str, packed: bool) -> float:
    """As engine/backends/slots/fusing.py keeps a weight for few rows: the head and what feeds
    outliers (down_proj) in float16, what else is there in groups in 4 bits."""
    return _GROUP_BYTES if packed and "down_proj" not in name and "lm_head" not in name else 2


def _shapes(file: Path) -> dict[str, list[int]]:
    """The tensors of a safetensors file, from its head."""
    with file.open("rb") as opened:
        (length,) = struct.unpack("<Q", opened.read(8))
        head: dict[str, Any] = json.loads(opened.read(length))
    return {name: told["shape"] for name, told in head.items() if name != "__metadata__"}


if __name__ == "__main__":
    print(_read())
