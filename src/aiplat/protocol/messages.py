"""Every message of the wire, and its number.

The rule: a tag is given once and for all. A message's fields are append-only, each new one with
a default; what cannot be said so gets a new tag. `tests/unit/protocol/test_golden_bytes.py`
holds the bytes of each.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from aiplat.domain.answers import Delta, Failed, Finished, Queued, Started, Submission
from aiplat.domain.ids import Role
from aiplat.domain.models import ModelOffer
from aiplat.protocol.framing import Codec

MAJOR = 1
MINOR = 0
PROTOCOL_ID = f"/aiplat/{MAJOR}"
"""The libp2p protocol id: one for each major version."""


class Hello(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The first frame of each side.

    Arguments:
        major, minor: of the protocol.
        agent: program and version, for people.
        incarnation: grows with each start of the node; what an earlier life said is void.
        roles: what the peer claims to be. (A certificate will have to say so too.)
        capabilities: what it can beyond this version, by name.
        certificate: its membership in a network; empty where there is none.
        max_requests: how many requests it takes at once on this channel.
    """

    major: int = MAJOR
    minor: int = MINOR
    agent: str = ""
    incarnation: int = 0
    roles: tuple[Role, ...] = ()
    capabilities: tuple[str, ...] = ()
    certificate: bytes = b""
    max_requests: int = 256


class Ack(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """From who asked: `tokens` in all were accepted, and `credit` more may come."""

    tokens: int = 0
    credit: int = 0


class Cancel(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """From who asked: end it now. `Finished` or `Failed` answers it."""

    reason: str = ""


class Announce(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A processor's state, at each change. A later `revision` replaces an earlier one whole.

    `paused` says why it takes nothing of others at the moment, in words; it is `draining` then too,
    for those that do not know `paused`.
    """

    revision: int
    models: tuple[ModelOffer, ...] = ()
    draining: bool = False
    paused: str = ""


class Drain(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """The sender takes no new requests; what runs may go on for `grace_ms` milliseconds.

    With `off` it takes them again.
    """

    grace_ms: int
    reason: str = ""
    off: bool = False


class Revocations(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """The owner's signed list of revoked members, whole; a newer version replaces an older."""

    signed: bytes


class Addresses(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """Where the sender can be reached now, complete multiaddrs, best first; at each change."""

    addresses: tuple[str, ...]


class Call(msgspec.Struct, frozen=True, omit_defaults=True):
    """A small question that is no inference; `body` is MessagePack of the method's own."""

    method: str
    body: msgspec.Raw = msgspec.Raw(b"\xc0")
    credential: str = ""

    def __repr__(self) -> str:
        """Name it without what it holds, which may be a secret: a repr ends up in logs."""
        return f"Call({self.method!r})"


class Reply(msgspec.Struct, frozen=True, omit_defaults=True):
    """The answer to a `Call`, or why there is none."""

    body: msgspec.Raw = msgspec.Raw(b"\xc0")
    failed: Failed | None = None


class Ping(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """The heartbeat; `nonce` comes back in a `Pong`."""

    nonce: int


class Pong(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """The answer to a `Ping`."""

    nonce: int


class Goodbye(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """The last frame of a channel: why it ends. Without one, the peer died.

    Arguments:
        revocations: the owner's sealed list, for whoever is on it: it proves what is said.
    """

    code: Literal["bye", "draining", "duplicate", "refused", "protocol_error", "version"] | str
    message: str = ""
    revocations: bytes = b""


Answer = Queued | Started | Delta | Finished | Failed
ToChannel = Hello | Announce | Drain | Ping | Pong | Goodbye | Revocations | Addresses
Message = ToChannel | Submission | Answer | Ack | Cancel | Call | Reply

TAGS: dict[int, type[msgspec.Struct]] = {
    1: Hello,
    2: Goodbye,
    3: Ping,
    4: Pong,
    10: Submission,
    11: Queued,
    12: Started,
    13: Delta,
    14: Finished,
    15: Failed,
    16: Ack,
    17: Cancel,
    20: Announce,
    21: Drain,
    22: Call,
    23: Reply,
    25: Revocations,
    26: Addresses,
    # 24: kept for receipts.  100 and above: the engine's pipes (aiplat.engine.messages).
}

CHANNEL_LEVEL = (Hello, Announce, Drain, Ping, Pong, Goodbye, Revocations, Addresses)
"""These speak of the channel itself and carry the number 0; all others carry a request's."""

CODEC: Codec[msgspec.Struct] = Codec(TAGS)
