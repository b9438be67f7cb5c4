"""How much memory this machine has for models, and how much of it one model takes. Estimates.

It reads small files and imports no torch. Sizes are in MiB.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import msgspec

from aiplat.engine.settings import EngineSettings
from aiplat.engine.vector_folder import makes_vectors
from aiplat.engine.ways import GROUPS, bytes_each, choose_way, cpu_flags

MIB = 1024 * 1024
OVERHEAD_MIB = 350
"""Of a process with torch and transformers in it, before any weight (seen: 330 to 360)."""
VECTORS_MIB = 128
"""Of what an encoder's layers hold while it reads a step of texts; it has no KV cache."""
LEAST_CACHE_MIB = 64
"""A KV cache that is smaller serves nobody."""
SHARE = 0.75
"""Of the machine's memory that models get when no setting says how much."""

_NVIDIA = Path("/proc/driver/nvidia/version")
_BYTES = {"float32": 4, "float16": 2, "bfloat16": 2, "float64": 8}


class Footprint(msgspec.Struct, frozen=True, kw_only=True):
    """What one model takes: `weights` and `overhead` always, `cache` at most, all in MiB.

    One that is `alone` is computed on a GPU, whose memory it takes but for a rest: with no other.
    """

    weights: int
    cache: int
    overhead: int = OVERHEAD_MIB
    alone: bool = False

    @property
    def least(self) -> int:
        """With the smallest cache that makes sense."""
        return self.weights + self.overhead + min(self.cache, LEAST_CACHE_MIB)

    def cache_within(self, budget: int | None) -> int:
        """The cache that it gets: at most half of what a budget leaves beside its weights."""
        if budget is None:
            return self.cache
        spare = (budget - self.weights - self.overhead) // 2
        return max(min(self.cache, LEAST_CACHE_MIB), min(self.cache, spare))

    def need_within(self, budget: int | None) -> int:
        """All that it takes, with that cache."""
        return self.weights + self.overhead + self.cache_within(budget)


def footprint(folder: Path, settings: EngineSettings) -> Footprint:
    """What the model in `folder` will take; a folder that cannot be read takes no weights."""
    config = _config(folder)
    stored = str(config.get("dtype", config.get("torch_dtype", "float32")))
    files = [path for path in folder.glob("*.safetensors") if path.is_file()]
    size = sum(path.stat().st_size for path in files if path.name != GROUPS)
    if _on_gpu(settings):
        return Footprint(weights=0, cache=0, alone=True)
    if makes_vectors(folder):  # computed in float32 on a CPU
        weights = round(size * 4 / _BYTES.get(stored, 4) / MIB)
        return Footprint(weights=weights, cache=0, overhead=OVERHEAD_MIB + VECTORS_MIB)
    hidden = config.get("hidden_size")
    each = bytes_each(_way(settings, stored, folder), hidden if isinstance(hidden, int) else 0)
    factor = each / _BYTES.get(stored, 4)
    return Footprint(weights=round(size * factor / MIB), cache=_cache(config, settings))


def _on_gpu(settings: EngineSettings) -> bool:
    """Whether weights and cache lie in a GPU's own memory, as far as one can tell without torch."""
    if settings.device == "auto":
        return _NVIDIA.exists()
    return settings.device.startswith("cuda")


def _way(settings: EngineSettings, stored: str, folder: Path) -> str:
    if settings.dtype != "auto":
        return settings.dtype
    flags = cpu_flags()
    groups = (folder / GROUPS).is_file()
    return choose_way(stored, groups=groups, half="avx2" in flags, flags=flags)


def _cache(config: dict[str, Any], settings: EngineSettings) -> int:
    """The setting's bound, or what all slots fill at most where the model is a small one."""
    try:
        heads = int(config["num_attention_heads"])
        groups = int(config.get("num_key_value_heads") or heads)
        size = int(config.get("head_dim") or config["hidden_size"] // heads)
        layers, context = int(config["num_hidden_layers"]), int(config["max_position_embeddings"])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return settings.cache_mib
    most = 2 * layers * groups * size * 4 * context * settings.slots
    return min(settings.cache_mib, -(-most // MIB))


def _config(folder: Path) -> dict[str, Any]:
    try:
        return msgspec.json.decode((folder / "config.json").read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.MsgspecError):
        return {}


# -- the machine -------------------------------------------------------------------------------


def budget_mib(setting: int, root: Path = Path("/")) -> int | None:
    """What models may take together; None where nobody knows how much memory there is.

    Arguments:
        setting: `engine.memory_mib`; 0 takes three quarters of the machine's.
        root: where ``proc`` and ``sys`` lie.
    """
    if setting:
        return setting
    total = machine_mib(root)
    return None if total is None else round(total * SHARE)


def machine_mib(root: Path = Path("/")) -> int | None:
    """The machine's memory, or what its control group (v2 or v1) leaves of it."""
    known = [*_meminfo(root, "MemTotal"), *_limits(root)]
    return min(known) // MIB if known else None


def be_the_first_to_go() -> None:
    """Should the machine run out of memory, the kernel shall take this process and not its node."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500", "ascii")


def killed_for_memory(root: Path = Path("/")) -> int | None:
    """How often the kernel killed a process for want of memory (proc(5), vmstat); None: unknown."""
    try:
        lines = (root / "proc/vmstat").read_text("utf-8").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))
    except (OSError, ValueError, IndexError, StopIteration):
        return None


def free_mib(root: Path = Path("/")) -> int | None:
    """What is free on the machine right now, its control group apart."""
    known = _meminfo(root, "MemAvailable")
    return known[0] // MIB if known else None


def _meminfo(root: Path, name: str) -> list[int]:
    try:
        lines = (root / "proc/meminfo").read_text("utf-8").splitlines()
        return [1024 * int(line.split()[1]) for line in lines if line.startswith(f"{name}:")][:1]
    except (OSError, ValueError, IndexError):
        return []


def _limits(root: Path) -> list[int]:
    """The limits of this process's control group and of those above it, in bytes."""
    try:
        lines = (root / "proc/self/cgroup").read_text("utf-8").splitlines()
    except OSError:
        lines = []
    found = []
    for line in (*lines, "0::/", "1:memory:/"):  # the last two: what a container sees of its own
        _, controllers, path = (*line.split(":", 2), "", "")[:3]
        if controllers == "":
            found += _upwards(root / "sys/fs/cgroup", path, "memory.max")
        elif "memory" in controllers.split(","):
            found += _upwards(root / "sys/fs/cgroup/memory", path, "memory.limit_in_bytes")
    return found


def _upwards(base: Path, path: str, name: str) -> list[int]:
    place, found = base / path.strip("/"), []
    while True:
        try:
            found.append(int((place / name).read_text("utf-8")))
        except (OSError, ValueError):  # it is not there, or says "max"
            pass
        if place == base or base not in place.parents:
            return found
        place = place.parent
