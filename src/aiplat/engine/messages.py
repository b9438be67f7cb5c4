"""What a node and an engine's process say to each other, besides the wire's own messages."""

from __future__ import annotations

import msgspec

from aiplat.domain.answers import Delta, Failed, Finished, Queued, Started, Submission
from aiplat.domain.models import Ability, Manifest
from aiplat.protocol.framing import Codec
from aiplat.protocol.messages import TAGS, Ack, Cancel, Ping, Pong


class Ready(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The model is loaded; submissions may come.

    `slots` run at once, `max_waiting` may wait besides; `capacity` counts tokens of KV cache;
    `note` says why it is slower than it could be; `can` names what it does.
    """

    manifest: Manifest
    slots: int
    max_waiting: int
    capacity: int
    load_seconds: float = 0.0
    note: str = ""
    can: tuple[Ability, ...] = ()


class LoadFailed(msgspec.Struct, frozen=True, omit_defaults=True):
    """The model cannot be loaded; the last frame. Trying again may help only where `memory` was
    what lacked.
    """

    message: str
    memory: bool = False


class Numbers(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """How the engine stands, with each step and at least each second.

    `kv_used` is the share of the KV cache that is promised; `tokens_per_second` what one
    request got lately; `steps` counts since the start, and so do the tokens of prompts that were
    looked for in kept prefixes, and those that were found there. `expected_wait` is how many
    seconds the next request would wait for a slot.
    """

    running: int = 0
    waiting: int = 0
    kv_used: float = 0.0
    tokens_per_second: float = 0.0
    steps: int = 0
    prefix_lookups: int = 0
    prefix_hits: int = 0
    expected_wait: float = 0.0


_OWN: dict[int, type[msgspec.Struct]] = {100: Ready, 101: LoadFailed, 102: Numbers}

_SHARED = (
    Submission, Ack, Cancel, Queued, Started, Delta, Finished, Failed, Ping, Pong,
)  # fmt: skip

ENGINE_CODEC: Codec[msgspec.Struct] = Codec(
    {**{tag: kind for tag, kind in TAGS.items() if kind in _SHARED}, **_OWN}
)
"""The pipes' messages; their numbers are those of the wire where they are shared."""
