"""What the series are told: tokens that came, a request that ended, a look at the machine. Pure."""

from __future__ import annotations

from typing import Literal

import msgspec

from aiplat.domain.ids import Role

Part = Literal["engine", "gpu"]


class Seen(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A request that ended, as one role of this node saw it. No word of it is in here.

    Arguments:
        role: the role that saw it.
        model: its name; "" where nobody said one.
        key: id of the API key that it came with, at a gateway; "" elsewhere, and without one.
        peer: a peer id and nothing else: who answered, for a client or a gateway; who asked, for a
            processor. This node's own when it was itself; "" when nobody took it, or when who
            asked came by a key to this node's door.
        failed: whether it ended in an error.
        prompt_tokens, cached_tokens, completion_tokens: as far as they are known.
        first_seconds: from its arrival to its first token; None without one.
        total_seconds: from its arrival to its end.
        told_tokens: those of its answer that were told before, by `Came`.
    """

    role: Role
    model: str
    total_seconds: float
    key: str = ""
    peer: str = ""
    failed: bool = False
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    first_seconds: float | None = None
    told_tokens: int = 0


class Came(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Tokens that came of an answer that is under way, since the last time that it was told.

    Its end still has them all (`Seen.completion_tokens`): only the seconds are told of these.
    """

    role: Role
    model: str
    tokens: int
    key: str = ""
    peer: str = ""


class Reading(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An engine's process or a GPU, at one look.

    Arguments:
        name: the model that the process runs, or the GPU's number and name.
        busy: of a process how many CPUs it kept busy since the last look, of a GPU the share of
            the time (0 to 1); None where that is not known.
        memory_bytes: resident, or in use on the GPU; 0 where it does not tell.
        memory_total: of the GPU, in bytes; 0 for a process, and where it does not tell.
    """

    part: Part
    name: str
    memory_bytes: int
    busy: float | None = None
    memory_total: int = 0


def ignore(seen: Seen | Came) -> None:
    """Hear of a request, and keep nothing: for a role without series."""
