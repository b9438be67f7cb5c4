"""The control API's JSON, as structs. Fields are append-only, each new one with a default.

An answer comes as server-sent events: first ``accepted`` (an `Accepted`), then the events of
`aiplat.domain.answers` under the name of their tag, the last one ``finished`` or ``failed``.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from aiplat.domain.answers import Failed
from aiplat.domain.chat import Message, Sampling
from aiplat.domain.ids import Role


class PeerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A peer that this node has, or wants, a channel to. `latency_ms` is of the last heartbeat."""

    peer_id: str
    roles: tuple[Role, ...] = ()
    state: Literal["connected", "connecting"] = "connected"
    address: str = ""
    agent: str = ""
    latency_ms: float | None = None
    models: tuple[str, ...] = ()
    note: str = ""


class ModelStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A model as this node's gateway sees it. `note` says in words why it is not ready."""

    name: str
    state: Literal["loading", "ready", "failed"]
    processors: int = 0
    slots: int = 0
    running: int = 0
    waiting: int = 0
    context: int = 0
    note: str = ""


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """One node, now.

    `addresses` are complete multiaddrs, best first; `http` is the door's base URL without
    ``/v1``; `control` the socket's path; `active` the requests under way.
    """

    peer_id: str
    addresses: tuple[str, ...]
    http: str
    control: str
    roles: tuple[Role, ...]
    models: tuple[ModelStatus, ...]
    peers: tuple[PeerStatus, ...]
    version: str
    state: Literal["starting", "ready", "draining"] = "ready"
    pid: int = 0
    background: bool = False
    active: int = 0
    uptime_seconds: float = 0.0


class ModelList(msgspec.Struct, frozen=True, kw_only=True):
    """The models that can be asked for."""

    models: tuple[ModelStatus, ...]


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """How programs of this account reach the HTTP door. Never logged."""

    base_url: str
    api_key: str


class Ask(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A prompt of a face's.

    `peer` is the multiaddr of the gateway to ask, and no other; empty leaves the choice to the
    node. `deadline_ms` is for the whole answer.
    """

    messages: tuple[Message, ...]
    model: str = ""
    sampling: Sampling = Sampling()
    peer: str = ""
    deadline_ms: int = 600_000


class Accepted(msgspec.Struct, frozen=True, kw_only=True, tag="accepted"):
    """The request's name, before its first event."""

    request: str


class Stop(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """End the node: after its work within the grace period, or `now`; `if_idle` only if idle."""

    now: bool = False
    if_idle: bool = False


class Stopping(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to `Stop`: whether it stops, and the requests it still has."""

    stopping: bool
    pid: int
    active: int = 0


class ErrorReply(msgspec.Struct, frozen=True, kw_only=True):
    """What every refusal of the control API looks like."""

    error: Failed
