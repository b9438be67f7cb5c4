"""What Ollama's API has and nothing here can honour, and what it has and is decided elsewhere.

Refused by name is what would change an answer. What asks for how a machine loads and runs a model
(`MACHINES`, and `keep_alive`) is taken and has no effect: here the processor's owner decides that.
A prompt is never cut to fit a context: it is refused, with both numbers.
Source: Ollama's API reference and the types of its published client.
"""

from __future__ import annotations

from aiplat.http.neutral import Neutral

_ANY: Neutral = {
    "think": (False,),
    "truncate": (False,),
    "shift": (False,),
    # No parameter of Ollama's, but who writes it here means the header, and must not be ignored.
    "privacy": ("any",),
}

CHAT: Neutral = _ANY

GENERATE: Neutral = {
    "suffix": ("",),
    "template": ("",),
    "context": ([],),
    "images": ([],),
    "width": (0,),
    "height": (0,),
    "steps": (0,),
    **_ANY,
}

EMBED: Neutral = {"privacy": ("any",)}

MESSAGE: Neutral = {"images": ([],), "thinking": ("",)}

OPTIONS: Neutral = {
    "mirostat": (0,),
    "tfs_z": (1, 1.0),
    "typical_p": (1, 1.0),
    "repeat_last_n": (-1,),
    "penalize_newline": (True,),
    "logits_all": (False,),
    "vocab_only": (False,),
    "embedding_only": (False,),
}
"""Penalties count over all that was read and said, which Ollama calls a `repeat_last_n` of -1."""

MACHINES = (
    "num_ctx", "num_batch", "num_gpu", "main_gpu", "num_thread", "num_keep", "numa", "low_vram",
    "f16_kv", "use_mmap", "use_mlock",
)  # fmt: skip
