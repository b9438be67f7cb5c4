"""What a model is, exactly, and what a processor offers of it."""

from __future__ import annotations

import functools
import hashlib
from typing import Literal

import msgspec


class Manifest(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A model named exactly: two manifests that are equal give the same answers.

    Digests are SHA-256 in hexadecimal: `weights` of the source file (not of a conversion),
    `tokenizer` and `template` of theirs. `recipe` is the version of our conversion.
    `context` and `vocabulary` are counts of tokens. `backend` and `kernels` name what computes.
    """

    name: str
    weights: str
    tokenizer: str
    template: str
    recipe: int
    dtype: str
    quantisation: str = "none"
    context: int
    vocabulary: int
    backend: str
    kernels: str = ""

    @property
    def numerics(self) -> str:
        """The numerics class: within one, deterministic answers are equal token for token."""
        return _numerics(self)


@functools.lru_cache(maxsize=32)  # each answer asks for that of one of few; a peer names them
def _numerics(manifest: Manifest) -> str:
    digest = hashlib.sha256(msgspec.msgpack.encode(manifest, order="deterministic"))
    return digest.hexdigest()[:16]


Ability = Literal["generate", "tools", "grammar", "embed"]
"""What a model does: answers; calls tools, because its template has them; keeps to a grammar; makes
vectors."""


class ModelOffer(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What one processor offers of one model at this moment.

    `slots` are the requests it runs at once, `running` and `waiting` those it has;
    `tokens_per_second` is what one request got lately, 0 while unknown. `note` says why a
    model is not ready, in words for a person. `cold` goes with ``loading``: nothing loads it yet,
    and a request will; `load_ms` is about how long that takes, in milliseconds, 0 while unknown.

    `can` names what it does; a peer that says nothing generates, and no more is known.

    `reach` says how far a prompt goes from there: no farther, to another machine of the network's
    people, or to anybody's.

    (A peer that knows no `cold` sees a model that loads, and leaves it to others.)
    """

    name: str
    state: Literal["loading", "ready", "failed"]
    manifest: Manifest | None = None
    slots: int = 0
    running: int = 0
    waiting: int = 0
    tokens_per_second: float = 0.0
    note: str = ""
    cold: bool = False
    load_ms: int = 0
    reach: Literal["", "network", "any"] = ""
    can: tuple[Ability, ...] = ("generate",)

    @property
    def generates(self) -> bool:
        """Whether it answers conversations."""
        return "generate" in self.can

    def keeps_to(self, privacy: str) -> bool:
        """Whether a request of that class (`Privacy`) may go as far as this model would send it."""
        return not self.reach or privacy == "any" or privacy == self.reach

    @property
    def takes_requests(self) -> bool:
        """Whether a request that is placed now is worked on, be it after a load."""
        return self.state == "ready" or self.cold
