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
from aiplat.protocol.messages import Call, Hello
from aiplat.roles.dispatch import Dispatch
from aiplat.runtime.lock import NodeLock
from aiplat.runtime.places import Places
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

    def look(self, status: Status | None) -> None:
        """Take every step.

        Arguments:
            status: of the node that runs here; None when none does.
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
        except (AiplatError, Exception) as fault:  # noqa: BLE001  # a broken file of any kind
            self._note("network", False, str(fault), "Put a copy back, or leave and join again.")
            return
        self._network(membership)
        self._certificate(membership)
        if status is not None:
            self._running(status)
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

    def _running(self, status: Status) -> None:
        self._note("addresses", bool(status.addresses), f"listens at {_few(status.addresses)}",
                   "It listens nowhere: see its log.")  # fmt: skip
        connected = [peer for peer in status.peers if peer.state in ("connected", "draining")]
        notes = [p.note for p in status.peers if p.state == "connecting" and p.note]
        alone = "gateway" in status.roles and not notes
        self._note(
            "dial", bool(connected) or alone,
            f"{len(connected)} peers are connected" if connected else "no peer is connected",
            notes[0] if notes else "No address of a peer is known: `aiplat join`.",
        )  # fmt: skip
        gateways = [peer for peer in connected if "gateway" in peer.roles]
        here = "gateway" in status.roles
        if here:
            self._note("gateway", True, "this node is one itself")
        else:
            seeks = status.network.searching if status.network is not None else ""
            self._note(
                "gateway", bool(gateways), _few([f"…{p.peer_id[-8:]} ({p.agent})"
                                                 for p in gateways]) or "none is connected",
                seeks or "Start one, and name it with --peer or join its network.",
            )  # fmt: skip
        ready = [model.name for model in status.models if model.state == "ready"]
        if here or "processor" in status.roles:
            why = "; ".join(f"{m.name} is {m.state} {m.note}".strip() for m in status.models)
            self._note("model", bool(ready), f"ready: {_few(ready)}" if ready else "none is ready",
                       why or "Start a processor: `aiplat serve --role processor`.")  # fmt: skip

    # -- no node ---------------------------------------------------------------------------------

    async def _dial(self, membership: Membership) -> None:
        record, own = membership.record, membership.own
        kept = KnownPeers(self._places.known_peers, MAX_DIALS).addresses
        known = [*kept, *(record.addresses if record is not None else ())]
        addresses = list(dict.fromkeys(known))[:MAX_DIALS]
        self._note("addresses", True, "no node runs here: it would listen when it starts")
        if not addresses:
            alone = record is None or (own is not None and "gateway" in own.roles)
            self._note("dial", alone, "no address of a peer is known",
                       "Join a network: `aiplat join`.")  # fmt: skip
            return
        roles: tuple[Role, ...] = own.roles if own is not None else ("client",)
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
                ready = [m.name for m in await _models(channel) if m.state == "ready"]
            except (AiplatError, *UNREADABLE) as fault:
                self._note("model", False, "the gateway did not tell its models", str(fault))
                return
            self._note("model", bool(ready), f"ready: {_few(ready)}" if ready else "none is ready",
                       "Start a processor: `aiplat serve --role processor`.")  # fmt: skip


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
