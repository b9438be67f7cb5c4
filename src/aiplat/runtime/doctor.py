"""The steps from a home to an answer, each looked at: what is well, what is not, what to do.

With a node that runs its own view is told; without one the steps are taken by a node that lives
for as long as they take.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec
import trio

from aiplat.config.loader import Loaded
from aiplat.control.messages import ModelStatus, Status
from aiplat.domain.errors import AiplatError
from aiplat.domain.ids import Role, short
from aiplat.node.channel import Channel
from aiplat.node.identity import load_or_create
from aiplat.node.known import KnownPeers
from aiplat.node.membership.files import NetworkFiles
from aiplat.node.membership.membership import CLOCK_TOLERANCE_SECONDS, Membership
from aiplat.node.node import Node
from aiplat.node.settings import NodeSettings
from aiplat.protocol.framing import UNREADABLE
from aiplat.protocol.membership import SealError
from aiplat.protocol.messages import Call, Hello
from aiplat.roles.dispatch import Dispatch
from aiplat.runtime.lock import NodeLock
from aiplat.runtime.places import Places
from aiplat.runtime.reach import NodeClient
from aiplat.telemetry.metrics import Metrics

MAX_DIALS = 8
CALL_SECONDS = 5.0

_MODELS = msgspec.msgpack.Decoder(tuple[ModelStatus, ...])


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One step. `text` says what was found; `advice` what to do, when it is not well."""

    name: str
    ok: bool
    text: str
    advice: str = ""


Tell = Callable[[Step], None]


class Doctor:
    """Looks at one home.

    Arguments:
        places: the home's folders.
        loaded: its settings.
        tell: hears each step as it is taken.
        clock: the time of day, seconds since 1970 (UTC).
    """

    def __init__(
        self, places: Places, loaded: Loaded, tell: Tell, clock: Callable[[], float] = time.time
    ) -> None:
        self.steps: list[Step] = []
        self._places = places
        self._settings = loaded[NodeSettings]
        self._tell = tell
        self._clock = clock

    @property
    def is_well(self) -> bool:
        """Whether every step was."""
        return all(step.ok for step in self.steps)

    def look(self, node: NodeClient | None) -> None:
        """Take every step.

        Arguments:
            node: asks the node that runs here; None when none does.
        """
        try:
            self._places.prepare()
            identity = load_or_create(self._places.identity)
        except AiplatError as fault:
            self._note("identity", False, str(fault))
            return
        self._note("identity", True, f"this node is {identity.peer_id}")
        try:
            membership = Membership(NetworkFiles(self._places.network), identity.peer_id)
        except (AiplatError, SealError) as fault:
            self._note("network", False, str(fault), "Put a copy back, or leave and join again.")
            return
        self._network(membership)
        self._certificate(membership)
        if node is not None:
            self._running(node)
        else:
            with self._alone():
                trio.run(self._dial, membership)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with NodeLock(self._places.node_lock, background=False):
            yield

    def _note(self, name: str, ok: bool, text: str, advice: str = "") -> None:
        step = Step(name=name, ok=ok, text=text, advice="" if ok else advice)
        self.steps.append(step)
        self._tell(step)

    # -- what the files say ----------------------------------------------------------------------

    def _network(self, membership: Membership) -> None:
        record = membership.record
        if record is None:
            self._note("network", True, "none: this node reaches peers of this machine only")
        else:
            kind = "public" if membership.is_public else "private"
            self._note("network", True, f"{record.name} ({kind})")

    def _certificate(self, membership: Membership) -> None:
        if membership.record is None:
            return
        own = membership.own
        if own is None:
            self._note("certificate", membership.is_public, "none", "Join again: `aiplat join`.")
            return
        if own.peer in membership.revoked:
            self._note("certificate", False, "it was revoked by the network's owner",
                       "Ask the owner.")  # fmt: skip
            return
        days = (own.expires - self._clock()) / 86_400
        roles = " and ".join(own.roles)
        if own.issued > self._clock() + CLOCK_TOLERANCE_SECONDS:
            self._note("certificate", False, "it begins in the future",
                       "This machine's clock is more than a day slow: set it.")  # fmt: skip
        elif days < 0:
            self._note(
                "certificate", False, f"it ended {-days:.1f} days ago",
                "Start the node where it reaches the owner's, or ask for a new invitation. Is "
                "this machine's clock right?",
            )  # fmt: skip
        else:
            self._note("certificate", True, f"as {roles}, for {days:.0f} more days")

    # -- a node that runs ------------------------------------------------------------------------

    def _running(self, node: NodeClient) -> None:
        try:
            status = node.status()
        except AiplatError as fault:
            self._note("node", False, str(fault))
            return
        roles = " and ".join(status.roles)
        if status.drained or status.state == "draining":
            self._note("node", False, f"runs (pid {status.pid}) as {roles}, and takes no requests",
                       "It was drained, or it ends: stop it, and start it again.")  # fmt: skip
        else:
            self._note("node", True, f"runs (pid {status.pid}) as {roles}")
        self._reached(status)
        connected = [peer for peer in status.peers if peer.state in ("connected", "draining")]
        self._dialed(status, len(connected))
        gateways = [f"{short(p.peer_id)} ({p.agent})" for p in connected if "gateway" in p.roles]
        if "gateway" in status.roles:
            self._note("gateway", True, f"this node is one itself (aiplat/{status.version})")
        else:
            self._gateway(gateways, status.network.searching if status.network is not None else "")
        self._models_of(node, status, can_ask=bool(gateways))

    def _reached(self, status: Status) -> None:
        """Where it listens, and whether others reach it there."""
        if not status.addresses:
            self._note("addresses", False, "it listens nowhere", "Its log says why.")
            return
        text, reach = f"listens at {_few(status.addresses)}", status.reach
        if reach is None or reach.state == "unknown":
            self._note("addresses", True, text)
            return
        # A client needs nobody to reach it: it dials.
        good = reach.state != "unreachable" or status.roles == ("client",)
        self._note("addresses", good, f"{text}; {reach.state}: {reach.why}",
                   "Forward its port, or run a member that others reach: it relays.")  # fmt: skip

    def _dialed(self, status: Status, connected: int) -> None:
        notes = [p.note for p in status.peers if p.state == "connecting" and p.note]
        text = f"{connected or 'no'} peer{'s' * (connected > 1)} connected"
        if connected or not notes:
            # A gateway may be the first of all. What a client lacks is the gateway's step.
            self._note("dial", True, text)
        else:
            self._note("dial", False, text, notes[0])

    def _gateway(self, found: list[str], seeks: str) -> None:
        self._note(
            "gateway", bool(found), _few(found) or "none is connected",
            seeks or "Start one, and join its network (`aiplat join`), or name it with --peer.",
        )  # fmt: skip

    def _models_of(self, node: NodeClient, status: Status, *, can_ask: bool) -> None:
        if status.roles == ("processor",):
            found = status.models
        elif "gateway" in status.roles or can_ask:
            try:
                found = node.models()
            except AiplatError as fault:
                self._note("model", False, "the gateway did not tell its models", str(fault))
                return
        else:
            return  # without a gateway nobody knows
        self._ready(found)

    def _ready(self, found: tuple[ModelStatus, ...]) -> None:
        ready = [model.name for model in found if model.state == "ready"]
        others = "; ".join(f"{m.name} is {m.state} {m.note}".strip() for m in found)
        self._note("model", bool(ready), f"ready: {_few(ready)}" if ready else "none is ready",
                   others or "Start a processor: `aiplat serve --role processor`.")  # fmt: skip

    # -- no node ---------------------------------------------------------------------------------

    async def _dial(self, membership: Membership) -> None:
        record, own = membership.record, membership.own
        kept = KnownPeers(self._places.known_peers, MAX_DIALS).addresses
        known = [*kept, *(record.addresses if record is not None else ())]
        addresses = list(dict.fromkeys(known))[:MAX_DIALS]
        self._note("addresses", True, "no node runs here: it would listen when it starts")
        if not addresses:
            self._without_peers(membership)
            return
        can_ask = own is None or membership.is_public or "client" in own.roles
        roles: tuple[Role, ...] = ("client",) if can_ask or own is None else own.roles
        settings = msgspec.structs.replace(self._settings, listen=("/ip4/127.0.0.1/tcp/0",))
        node = Node(
            settings, load_or_create(self._places.identity), roles, "aiplat-doctor/1", Metrics(),
            membership=membership,
        )  # fmt: skip
        dispatch = Dispatch({})
        async with trio.open_nursery() as nursery:
            await nursery.start(node.run, dispatch.on_channel, _anyone)
            channels = await self._dial_each(node, addresses)
            await self._ask(channels)
            nursery.cancel_scope.cancel()

    def _without_peers(self, membership: Membership) -> None:
        own = membership.own
        if membership.record is None or (own is not None and "gateway" in own.roles):
            self._note("dial", True, "no address of a peer is known, and none is needed")
            self._note("gateway", True, "this node is one itself when it runs")
        else:
            self._note("dial", False, "no address of a peer is known",
                       "Leave, and join with a new token: `aiplat network leave`.")  # fmt: skip

    async def _dial_each(self, node: Node, addresses: list[str]) -> list[Channel]:
        channels: list[Channel] = []
        problems: list[str] = []

        async def one(address: str) -> None:
            try:
                channels.append(await node.reach(address))
            except AiplatError as fault:
                problems.append(str(fault))

        async with trio.open_nursery() as nursery:
            for address in addresses:
                nursery.start_soon(one, address)
        self._note(
            "dial", bool(channels), f"{len(channels)} of {len(addresses)} addresses answered",
            problems[0] if problems else "",
        )  # fmt: skip
        return list(dict.fromkeys(channels))

    async def _ask(self, channels: list[Channel]) -> None:
        gateways = [channel for channel in channels if "gateway" in channel.roles]
        self._note(
            "gateway", bool(gateways),
            _few([f"{short(c.peer)} ({c.hello.agent})" for c in gateways]) or "none answered",
            "Start a gateway of the network, or ask its owner for its new address.",
        )  # fmt: skip
        for channel in gateways[:1]:
            try:
                found = await _models(channel)
            except (AiplatError, *UNREADABLE) as fault:
                self._note("model", False, "the gateway did not tell its models", str(fault))
                return
            self._ready(found)


async def _models(channel: Channel) -> tuple[ModelStatus, ...]:
    reply = await channel.call(Call("models"), CALL_SECONDS)
    if reply.failed is not None:
        raise reply.failed.error()
    return _MODELS.decode(reply.body)


def _anyone(peer: object, hello: Hello) -> None:
    """Membership decides alone."""


def _few(texts: tuple[str, ...] | list[str]) -> str:
    shown = ", ".join(texts[:3])
    return shown if len(texts) <= 3 else f"{shown} and {len(texts) - 3} more"
