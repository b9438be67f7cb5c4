"""What a model's weights are kept in on a CPU, and what they take then. Knows no torch.

- ``float32``: as they are.
- ``float16``: half of that; activations and sums are float32.
- ``4bit``: the groups that they were stored in for one or two rows, float16 for more.
- ``bfloat16``: activations too, where the CPU has instructions for it.
"""

from __future__ import annotations

from pathlib import Path

GROUPS = "groups.safetensors"
"""The file beside a model's weights that holds the 4-bit groups that they were stored in."""

FAMILY = ("llama", "mistral", "qwen2", "qwen3")
"""Types of models that have a forward of ours on a CPU; it is compared with their own."""

_PACKED = 512
_FAST_BFLOAT16 = ("amx_bf16", "avx512_bf16")


def choose_way(stored: str, *, groups: bool, half: bool, flags: frozenset[str]) -> str:
    """What is fast and keeps what the weights hold.

    bfloat16 moves a logit of 25 by up to 1 with the company that a request is in, which is enough
    to turn a close choice (seen: "The" into "L'Étoile, la Marseillaise"). So weights that are
    finer are never computed in it, and none where the CPU only emulates it, ten times slower.

    Arguments:
        stored: the type of the weights on disk.
        groups: whether their 4-bit groups are there.
        half: whether there are products with weights in float16.
        flags: of the CPU.
    """
    if groups and half:
        return "4bit"
    if stored == "bfloat16" and any(flag in flags for flag in _FAST_BFLOAT16):
        return "bfloat16"
    return "float16" if stored in ("float16", "bfloat16") and half else "float32"


def bytes_each(way: str, hidden: int = 0) -> float:
    """Bytes of memory for each weight on a CPU, at most: while it is made smaller, too.

    Arguments:
        hidden: the inputs of most matrices; 0 while unknown. FBGEMM fills them up to multiples of
            512 when it packs them in float16 (seen: 96 MiB for 49152 x 576 in place of 54).
    """
    filled = -(-hidden // _PACKED) * _PACKED / hidden if hidden > 0 else 1.0
    return {"bfloat16": 2.0, "4bit": 0.5 + 2 * filled}.get(way, 4.0)


def cpu_flags() -> frozenset[str]:
    """What this CPU can do, as Linux tells it; nothing elsewhere."""
    try:
        return frozenset(Path("/proc/cpuinfo").read_text("utf-8").split())
    except OSError:
        return frozenset()
