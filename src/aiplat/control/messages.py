"""The control API's JSON, as structs. Fields are append-only, each new one with a default.

An answer comes as server-sent events: first ``accepted`` (an `Accepted`), then the events of
`aiplat.domain.answers` under the name of their tag, the last one ``finished`` or ``failed``.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from aiplat.control.series import Exchange
from aiplat.domain.answers import Failed
from aiplat.domain.chat import Message, Sampling
from aiplat.domain.conversations import Conversation
from aiplat.domain.ids import Role
from aiplat.domain.models import Ability

PeerState = Literal["connected", "connecting", "draining", "blocked"]


class PeerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A peer that this node has, or wants, a channel to, or that one of its gateways sees.

    Arguments:
        latency_ms: of the last heartbeat, there and back.
        version: of the program there.
        since_seconds: how long the channel stands.
        slots, running, waiting: over its models, as it announced; None for who told nothing.
        tokens_per_second: of one answer, announced by the processor.
        measured_tokens_per_second: the same, as this gateway saw it.
        path: how it is reached: directly, or relayed by the peer `via`.
        note: why it is not connected, or what it says of itself.
        seen_by: the gateway that told of it, or of its models and figures; empty where this node
            knows all by itself. Without an `address` there is no channel to it from here.
    """

    peer_id: str
    roles: tuple[Role, ...] = ()
    state: PeerState = "connected"
    address: str = ""
    agent: str = ""
    latency_ms: float | None = None
    models: tuple[str, ...] = ()
    note: str = ""
    version: str = ""
    since_seconds: float | None = None
    slots: int | None = None
    running: int | None = None
    waiting: int | None = None
    tokens_per_second: float | None = None
    measured_tokens_per_second: float | None = None
    path: Literal["", "direct", "relayed"] = ""
    via: str = ""
    seen_by: str = ""


class ModelStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A model as this node's gateway sees it. `note` says in words why it is not ready.

    It is `drained` when all who offer it take no new requests. `cold` goes with ``loading``: the
    first request has it loaded. A node tells its faces more of the models that are its own: the
    states ``cold``, and ``on disk`` for one that was pulled and is not served; `bytes` on the
    disk; and `last_used`, in seconds since 1970 (UTC), 0 for never. `can` names what it does.
    """

    name: str
    state: Literal["loading", "ready", "failed", "drained", "cold", "on disk"]
    processors: int = 0
    slots: int = 0
    running: int = 0
    waiting: int = 0
    context: int = 0
    note: str = ""
    cold: bool = False
    bytes: int = 0
    last_used: int = 0
    can: tuple[Ability, ...] = ("generate",)

    @property
    def is_usable(self) -> bool:
        """Whether a request for it is answered, be it after a load."""
        return self.state == "ready" or self.cold

    @property
    def generates(self) -> bool:
        """Whether it answers conversations."""
        return "generate" in self.can


class NetworkStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The network that a node belongs to; never its pre-shared key.

    Arguments:
        key: the owner's public key, 64 hexadecimal digits.
        public: whether anyone may be a client.
        owner: whether this node holds the owner's key.
        roles: what this node's certificate allows; a client without one in a public network.
        expires: when the certificate ends, seconds since 1970 (UTC).
        searching: what it looks for and has not found, in words; empty when all is well.
        revoked: whether the owner took this node's certificate away.
    """

    name: str
    key: str
    public: bool = False
    owner: bool = False
    roles: tuple[Role, ...] = ()
    expires: int = 0
    searching: str = ""
    revoked: bool = False


class ReachStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Whether others reach this node: directly, through relays (peer ids), or not, and why."""

    state: Literal["unknown", "direct", "relayed", "unreachable"]
    via: tuple[str, ...] = ()
    why: str = ""


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """One node, now.

    `addresses` are complete multiaddrs, best first; `http` is the door's base URL without
    ``/v1``; `control` the socket's path; `active` the requests under way; `drained` says that a
    person told it to take no more; `turned_away` says who refuses this node
    and why, a line each; `share` how a processor is shared with others. `models` are all that its
    gateway has, `here` those that this node runs itself.
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
    network: NetworkStatus | None = None
    reach: ReachStatus | None = None
    drained: bool = False
    turned_away: tuple[str, ...] = ()
    share: ShareStatus | None = None
    here: tuple[ModelStatus, ...] = ()


class ModelList(msgspec.Struct, frozen=True, kw_only=True):
    """The models that can be asked for, and those that lie on this machine and cannot."""

    models: tuple[ModelStatus, ...]
    on_disk: tuple[ModelStatus, ...] = ()


class ModelName(msgspec.Struct, frozen=True, kw_only=True):
    """A pulled model by its name."""

    model: str


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """How programs of this account reach the HTTP door. Never logged."""

    base_url: str
    api_key: str


class Keep(msgspec.Struct, frozen=True, kw_only=True):
    """Where the node shall keep an answer: it then goes on when the face is gone.

    Arguments:
        conversation: as it is now; it is kept first, with all turns that are named in it, and
            the answer becomes its head.
        parent: the question, by its id, one of those turns or one that is kept already.
        answer: the id that the answer's turn shall have.
    """

    conversation: Conversation
    parent: str
    answer: str


class Ask(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A prompt of a face's.

    `peer` is the multiaddr of the gateway to ask, and no other; empty leaves the choice to the
    node. `deadline_ms` is for the whole answer. Without `keep` nothing of it is kept, and it ends
    when the face closes the stream.
    """

    messages: tuple[Message, ...]
    model: str = ""
    sampling: Sampling = Sampling()
    peer: str = ""
    deadline_ms: int = 600_000
    privacy: Literal["any", "network", "machine"] = "any"
    keep: Keep | None = None


class Accepted(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="accepted"):
    """The request's name, before its first event.

    Arguments:
        kept: whether the node keeps the answer, so that it outlives the face.
        note: why it does not, if it should, in words; or what befell the conversations' file,
            where it does.
    """

    request: str
    kept: bool = False
    note: str = ""


class Stop(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """End the node: after its work within the grace period, or `now`; `if_idle` only if idle."""

    now: bool = False
    if_idle: bool = False


class Stopping(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to `Stop`: whether it stops, and the requests it still has."""

    stopping: bool
    pid: int
    active: int = 0


class PeerList(msgspec.Struct, frozen=True, kw_only=True):
    """The peers that this node has, or wants, a channel to, and those that a client's gateways see;
    none that is gone.
    """

    peers: tuple[PeerStatus, ...]


class NetworkCreate(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Make a network, of which this node is the owner."""

    name: str
    public: bool = False


class InviteRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Make a token with which `uses` nodes may join."""

    roles: tuple[Role, ...]
    expires_seconds: int = 86_400
    uses: int = 1


class Invitation(msgspec.Struct, frozen=True, kw_only=True):
    """A token, shown once; `expires` in seconds since 1970 (UTC). Never logged.

    `for_anyone`: it makes clients of a public network, any number at any time, and is no secret;
    `expires` and `uses` bound nothing then. `note` is a warning, for a person.
    """

    token: str
    network: str
    roles: tuple[Role, ...]
    expires: int
    uses: int
    for_anyone: bool = False
    note: str = ""


class JoinRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Join the network of a token. Never logged."""

    token: str


class MemberStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A member, as the owner's node knows it; times in seconds since 1970 (UTC).

    `connected` is None where it is not known: only a node that runs has channels.
    """

    peer_id: str
    roles: tuple[Role, ...]
    joined: int
    expires: int
    revoked: bool = False
    connected: bool | None = None


class MemberList(msgspec.Struct, frozen=True, kw_only=True):
    """All members that the owner's node gave certificates to."""

    network: str
    members: tuple[MemberStatus, ...]


class PeerName(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A peer by its id, or by the last characters of it when they name only one."""

    peer: str


class DrainWish(PeerName, frozen=True, kw_only=True, omit_defaults=True):
    """A processor to send no new requests to, or with an empty name the node itself.

    With `off` it gets them again.
    """

    off: bool = False


class RequestName(msgspec.Struct, frozen=True, kw_only=True):
    """A request by the name that it has on every hop."""

    request: str


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """What was done, in a sentence for a person; `peer_id` says to whom."""

    message: str
    peer_id: str = ""


class Weighed(msgspec.Struct, frozen=True, kw_only=True):
    """A processor as a gateway saw it when it chose. Waits and latency are in seconds.

    `rested` says that its breaker was open; `refused` why it was not taken, in words.
    """

    processor: str
    chosen: bool = False
    expected_wait: float = 0.0
    load: int = 0
    slots: int = 0
    tokens_per_second: float = 0.0
    latency: float = 0.0
    refused: str = ""


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """One try to place a request: when (seconds after it arrived), on whom, and who else."""

    after: float
    processor: str = ""
    reason: str = ""
    weighed: tuple[Weighed, ...] = ()
    outcome: str = ""


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """Why a request went where it went. No word of the prompt is in it."""

    request: str
    model: str
    gateway: str
    privacy: str = "any"
    choices: tuple[Choice, ...] = ()
    state: Literal["waiting", "running", "finished", "failed"] = "running"
    outcome: str = ""


ShareState = Literal["open", "paused", "closed", "waiting", "draining", "stopped", "none"]
"""How a machine is shared: with all who may ask; not, by its owner's word; outside its hours; not
while its owner uses it; with nobody at all, because the node is drained or ends, or none runs, or
it is no processor."""


class ShareTerms(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """On which terms an owner shares a machine; kept over restarts.

    Arguments:
        paused: whether others get nothing at all.
        hours: when others may ask, by the clock on the machine's wall, such as ``22-08``.
        idle_only: whether others may ask only while nobody else uses the machine.
        max_memory: of each model's process, a size or a share (``75%``); empty for no bound.
        threads: of each model's process; 0 for no bound.
    """

    paused: bool = False
    hours: str = "always"
    idle_only: bool = False
    max_memory: str = ""
    threads: int = 0


class ShareWish(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What shall be otherwise; None leaves it as it is.

    Arguments:
        pause: take nothing from others, or take requests again.
        now: end what others have under way, so that it is placed elsewhere.
        hours: ``always`` for no bound.
        max_memory: ``none`` for no bound.
        threads: 0 for no bound.
    """

    pause: bool | None = None
    now: bool = False
    hours: str | None = None
    idle_only: bool | None = None
    max_memory: str | None = None
    threads: int | None = None


class ShareUser(msgspec.Struct, frozen=True, kw_only=True):
    """A peer that uses this machine at this moment, for one model.

    Arguments:
        peer_id: of a gateway; or of the client whose request this node's own gateway placed here;
            "" for clients that came by a key to this node's door.
        role: which of the two.
        running: its requests under way.
        tokens: what these have got so far.
        since_seconds: how long the first of them has been under way.
    """

    peer_id: str
    role: Literal["gateway", "client"]
    model: str
    running: int
    tokens: int
    since_seconds: float


class ShareStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How this machine is shared, now.

    Arguments:
        reason: why others get nothing, in words; empty while they do.
        note: more of it, for the owner.
        terms: what holds.
        changes_in: seconds until the hours open or close it; None where they never do.
        changes_at: that time, in words.
        users: who uses it.
        own: requests of this machine's own that run.
        requests, tokens: of others, since this node started, `since_seconds` ago.
        exchange: what was answered for others, and by others, in the last day and month; None
            where it is not known, as while no node runs.
    """

    state: ShareState
    terms: ShareTerms
    reason: str = ""
    note: str = ""
    changes_in: float | None = None
    changes_at: str = ""
    users: tuple[ShareUser, ...] = ()
    own: int = 0
    requests: int = 0
    tokens: int = 0
    since_seconds: float = 0.0
    exchange: Exchange | None = None


class ErrorReply(msgspec.Struct, frozen=True, kw_only=True):
    """What every refusal of the control API looks like."""

    error: Failed
