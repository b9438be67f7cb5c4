"""What the engine's process asks of that which computes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from aiplat.domain.chat import Generate, Sampling
from aiplat.domain.models import Manifest
from aiplat.engine.rows import Fault, Piece, Voice


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What an engine's process shall load, and its bounds (see `EngineSettings`)."""

    name: str
    folder: str
    cache: str
    slots: int
    max_waiting: int
    default_max_tokens: int
    step_seconds: float
    prefill_tokens: int
    cache_mib: int
    threads: int
    max_frame: int
    dtype: str
    backend: str
    """Module and function that make the `Backend`, with a colon between."""
    lifeline: int = -1
    """A file descriptor that stays open as long as the node lives; -1 for none."""


class LoadError(Exception):
    """The model cannot be loaded; one sentence says why. Was it for want of memory, `memory`."""

    memory = False


class Backend(Protocol):
    """A model in memory. One thread calls it, but for `encode` and `voice`, which another may.

    Attributes:
        manifest: what it is, exactly.
        capacity: tokens that its KV cache may hold, over all slots.
        defaults: what holds where a request says nothing.
    """

    manifest: Manifest
    capacity: int
    defaults: Sampling

    def encode(self, work: Generate) -> list[int]:
        """The tokens of a conversation up to the place where the answer begins.

        Raises:
            InvalidRequest: the model's template does not take it.
        """

    def voice(self, stops: tuple[str, ...]) -> Voice:
        """What makes text of an answer's tokens."""

    def open(self, slot: int, length: int) -> None:
        """Make a free slot ready for a request of at most `length` tokens."""

    def close(self, slot: int) -> None:
        """Free a slot."""

    def run(self, pieces: Sequence[Piece]) -> Mapping[int, int | Fault]:
        """Read the pieces at once; draw a token for each that asks for one."""
