"""What the engine's process asks of that which computes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from aiplat.domain.chat import Generate, Sampling
from aiplat.domain.models import Ability, Manifest
from aiplat.engine.rows import Drawn, Fault, Matcher, Opening, Piece, Voice


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
    device: str = "auto"
    attention: str = "auto"
    backend: str
    """Module and function that make the `Backend`, with a colon between."""
    lifeline: int = -1
    """A file descriptor that stays open as long as the node lives; -1 for none."""
    prefix_places: int = 0
    prefix_least: int = 32
    share_prefixes: bool = False
    deterministic: bool = False
    vector_tokens: int = 8192

    @property
    def places(self) -> int:
        """Places of the KV cache: those that run, and those that only keep what was read."""
        return self.slots + self.prefix_places


class LoadError(Exception):
    """The model cannot be loaded; one sentence says why. Was it for want of memory, `memory`."""

    memory = False


class Backend(Protocol):
    """A model in memory. One thread calls it, but for `encode`, `voice` and `matcher`, which
    another may.

    Attributes:
        manifest: what it is, exactly.
        context: tokens that the model itself can take.
        capacity: tokens that its KV cache may hold, over all places.
        places: of the KV cache, at most as many as the plan has.
        keeps: whether a place can keep what was read for the next request.
        note: why it is slower than it could be, in words that follow its name; or empty.
        defaults: what holds where a request says nothing.
        can: what it does besides.
    """

    manifest: Manifest
    context: int
    capacity: int
    places: int
    keeps: bool
    note: str
    defaults: Sampling
    can: tuple[Ability, ...]

    def encode(self, work: Generate) -> list[int]:
        """The tokens of a conversation up to the place where the answer begins.

        Raises:
            InvalidRequest: the model's template does not take it.
            UnsupportedParameter: it has no tools.
        """

    def voice(self, work: Generate) -> Voice:
        """What makes text, and calls of tools, of an answer's tokens."""

    def matcher(self, work: Generate, said: Sequence[int]) -> Matcher | None:
        """What keeps the answer to the form that was asked for, after the tokens `said`, if any.

        Raises:
            InvalidRequest: no grammar can be made of it, or the tokens break it.
            UnsupportedParameter: there is nothing that could.
        """

    def spell(self, token: int) -> bytes:
        """The bytes of one token, for logprobs: of a special one its name, such as ``<|end|>``."""

    def open(self, opening: Opening) -> None:
        """Make a place ready for a request; it keeps or copies what the opening says."""

    def close(self, place: int) -> None:
        """Empty a place: its memory may go. A request's end alone does not close its place."""

    def run(self, pieces: Sequence[Piece]) -> Mapping[int, Drawn | Fault]:
        """Read the pieces at once; draw a token for each that asks for one, by `Row.number`."""
