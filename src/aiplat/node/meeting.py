"""How a channel comes to be: this node dials a peer, or a peer dials it, or both at once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from weakref import WeakValueDictionary

import trio
from msgspec.structs import replace

from aiplat.domain.errors import AiplatError, NoPeer, NotReady, clip
from aiplat.domain.ids import PeerId, Role, short
from aiplat.node.addresses import Target
from aiplat.node.channel import Channel
from aiplat.node.handshake import HandshakeFailed, accept, offer, say_goodbye
from aiplat.node.host import Host
from aiplat.node.link import Pipe
from aiplat.node.membership.membership import Membership
from aiplat.node.reaching import no_peer, too_slow
from aiplat.node.refusals import Refusals
from aiplat.node.seating import Seating
from aiplat.node.settings import NodeSettings
from aiplat.node.standing import Standing
from aiplat.protocol.channel import ChannelMachine, Received
from aiplat.protocol.messages import Goodbye, Hello
from aiplat.telemetry.metrics import Metrics

log = logging.getLogger("aiplat.node")

Admit = Callable[[PeerId, Hello], None]

SETTLE_SECONDS = 2.0
"""For two nodes that dialed each other at once to agree on one channel."""

TWIN = (
    "Another node with the same identity started later, and has this one's place here: two nodes "
    "must not share one home or one key. Stop one of them and give it an identity of its own: "
    "`aiplat reset --identity`, then join with a new invitation."
)

HEAD_START_SECONDS = 0.5
"""For the direct addresses of a peer, before a relay is asked for it."""


class _Attempt:
    """A dial under way, which several may wait for."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.is_connected = False
        self.done = trio.Event()
        self.channel: Channel | None = None
        self.error = NoPeer("This node stops.")


class Meeting:
    """Makes channels, and hands them to the table.

    Arguments:
        settings: deadlines and bounds.
        us: this node's peer id.
        hello: what it says first.
        metrics: where hits of bounds are counted.
        standing: the table.
        membership: what a peer may be here.
        refusals: who turns this node away.
    """

    def __init__(
        self,
        settings: NodeSettings,
        us: PeerId,
        hello: Hello,
        metrics: Metrics,
        standing: Standing,
        membership: Membership,
        refusals: Refusals,
    ) -> None:
        self.admit: Admit = lambda peer, hello: None
        self.draining = ""
        self._settings = settings
        self._us = us
        self._hello = hello
        self._metrics = metrics
        self._standing = standing
        self._membership = membership
        self._refusals = refusals
        self._seating = Seating(
            settings, metrics, lambda: standing.channels.values(), lambda: membership.is_public
        )
        self._attempts: dict[Target, _Attempt] = {}
        self._turns: WeakValueDictionary[PeerId, trio.Lock] = WeakValueDictionary()
        self._host: Host | None = None
        self._nursery: trio.Nursery | None = None

    def open(self, host: Host, nursery: trio.Nursery) -> None:
        """Dial over this host, and run channels in this nursery, from now on."""
        self._host, self._nursery = host, nursery
        host.trust(lambda peer: self._standing.live(peer) is not None)
        self._standing.proved = host.prove

    def close(self) -> None:
        """Make no more channels."""
        self._host = self._nursery = None

    # -- dialing ---------------------------------------------------------------------------------

    async def reach(self, target: Target) -> Channel:
        """The live channel to a peer, or a new one; many callers share one dial.

        Raises:
            NoPeer: says which step failed.
            NotReady: the node does not run.
        """
        while (channel := self._standing.live(target.peer)) is None:
            attempt = self._attempts.get(target) or self._start(target)
            await attempt.done.wait()
            if attempt.channel is not None:
                return attempt.channel
            if self._standing.live(target.peer) is None:
                raise NoPeer(str(attempt.error))
        return channel

    def _start(self, target: Target) -> _Attempt:
        if self._nursery is None:
            raise NotReady("The node does not run yet, or no more.")
        attempt = self._attempts[target] = _Attempt(target)
        self._nursery.start_soon(self._try, attempt)
        return attempt

    async def _try(self, attempt: _Attempt) -> None:
        target = attempt.target
        try:
            with trio.move_on_after(self._settings.connect_seconds) as scope:
                attempt.channel = await self._dial(attempt)
            if scope.cancelled_caught:
                attempt.error = too_slow(target, self._settings.connect_seconds)
        except Exception as fault:  # noqa: BLE001  # of libp2p's many kinds; told to who waits
            attempt.error = no_peer(target, fault, private=self._membership.psk is not None)
            log.debug("a dial failed", extra={"address": target.text, "fault": repr(fault)})
        finally:
            del self._attempts[target]
            attempt.done.set()

    async def _dial(self, attempt: _Attempt) -> Channel:
        target, host, nursery = attempt.target, self._host, self._nursery
        if host is None or nursery is None:
            raise NoPeer("This node stops.")
        if target.peer in self._membership.blocked:  # it would be let in for a moment
            raise NoPeer(f"This node blocks the peer {short(target.peer)}.")
        if not self._seating.make_room():
            raise NoPeer(
                f"This node has all {self._settings.max_channels} channels that it allows "
                "(max_channels)."
            )
        if target.relay is not None:
            await self._let_direct_go_first(target)
        pipe = await host.reach(target)
        attempt.is_connected = True
        # Several addresses of one peer may be dialed at once: they take turns from here on, or
        # each would take the place of the one before.
        async with self._turns.setdefault(target.peer, trio.Lock()):
            return await self._agree(pipe, target, nursery)

    async def replace(self, target: Target, pipe: Pipe) -> Channel:
        """Make a channel over a better connection, in place of the one that this node dialed.

        Raises:
            NoPeer, HandshakeFailed: the peer does not agree; the old one stands.
        """
        if self._nursery is None:
            pipe.abort()
            raise NoPeer("This node stops.")
        async with self._turns.setdefault(target.peer, trio.Lock()):
            return await self._agree(pipe, target, self._nursery, replacing=True)

    async def _agree(
        self, pipe: Pipe, target: Target, nursery: trio.Nursery, *, replacing: bool = False
    ) -> Channel:
        if not replacing and (other := self._standing.live(target.peer)) is not None:
            pipe.abort()  # another address of the same peer was quicker
            return other
        machine = self._machine(initiator=True)
        try:
            early = await offer(pipe, machine, self._settings.handshake_seconds)
            roles = await self._granted_or_refused(pipe, target.peer, machine)
        except HandshakeFailed as fault:
            pipe.abort()
            self._count(fault)
            if fault.goodbye is not None:
                self._refusals.refused(target.peer, fault.goodbye)
            if fault.goodbye is not None and fault.goodbye.code == "duplicate":
                return await self._other_channel(target.peer)
            raise
        except BaseException:
            pipe.abort()
            raise
        channel = self._channel(pipe, machine, target.peer, roles, target.text, early, dialed=True)
        return self._standing.take(channel, nursery)

    async def _let_direct_go_first(self, target: Target) -> None:
        """A relay is the second best way: see what becomes of the others that are tried now."""
        direct = [
            attempt
            for attempt in self._attempts.values()
            if attempt.target.peer == target.peer and attempt.target.relay is None
        ]
        with trio.move_on_after(HEAD_START_SECONDS):
            for attempt in direct:
                await attempt.done.wait()

    async def _granted_or_refused(
        self, pipe: Pipe, peer: PeerId, machine: ChannelMachine
    ) -> tuple[Role, ...]:
        assert machine.remote is not None
        granted = self._grant(peer, machine.remote)
        if isinstance(granted, Goodbye):
            await say_goodbye(pipe, granted)
            raise NoPeer(f"This node refuses {short(peer)}: {granted.message}")
        return granted

    async def _other_channel(self, peer: PeerId) -> Channel:
        """The channel because of which ours was turned away; it may be about to stand."""
        with trio.move_on_after(SETTLE_SECONDS):
            return await self._standing.wait_for(peer)
        raise NoPeer(
            f"The peer {short(peer)} says that it has a channel to this node, which this node "
            "has not. It will notice in a few seconds."
        )

    # -- being dialed ----------------------------------------------------------------------------

    async def accept(self, pipe: Pipe, peer: PeerId, address: str) -> None:
        """Take a stream that a peer opened; stays until it is done."""
        machine = self._machine(initiator=False)
        roles: tuple[Role, ...] = ()

        async def decide(hello: Hello) -> Goodbye | None:
            nonlocal roles
            granted = self._grant(peer, hello)
            if isinstance(granted, Goodbye):
                return granted
            roles = granted
            return await self._decide(peer, hello, address)

        try:
            early = await accept(pipe, machine, self._settings.handshake_seconds, decide)
        except HandshakeFailed as fault:
            pipe.abort()
            self._count(fault)
            # A second try that its peer gave up, because the first came through, is no news.
            level = logging.DEBUG if self._standing.live(peer) is not None else logging.INFO
            log.log(
                level, "no channel with %s: %s", short(peer), clip(fault.clause, 300),
                extra={"peer": peer},
            )  # fmt: skip
            return
        except BaseException:
            pipe.abort()
            raise
        if self._nursery is None:
            pipe.abort()
            return
        assert machine.remote is not None
        refusal = self._no_room(peer, machine.remote, address)  # others may have been quicker
        if refusal is not None:
            await say_goodbye(pipe, refusal)
            pipe.abort()
            return
        channel = self._channel(pipe, machine, peer, roles, address, early, dialed=False)
        self._standing.take(channel, self._nursery)
        await channel.wait_ended()

    async def _decide(self, peer: PeerId, hello: Hello, address: str) -> Goodbye | None:
        if self._us < peer:
            # Both dial at once, and ours would stay: see what becomes of it first. One that has
            # not found the peer yet may never: an address of earlier, or behind a NAT.
            with trio.move_on_after(SETTLE_SECONDS):
                for ours in [a for a in self._attempts.values() if a.target.peer == peer]:
                    if ours.is_connected:
                        await ours.done.wait()
        old = self._standing.live(peer)
        if old is not None and old.hello.incarnation > hello.incarnation:
            return Goodbye("refused", TWIN)
        if not self._standing.would_stand(peer, hello):
            return Goodbye("duplicate", "There is a channel between us already.")
        return self._no_room(peer, hello, address)

    def _no_room(self, peer: PeerId, hello: Hello, address: str) -> Goodbye | None:
        """Why there is none for a peer that has no channel yet."""
        if self._standing.live(peer) is not None:
            return None
        return self._seating.refusal(hello, address)

    def _grant(self, peer: PeerId, hello: Hello) -> tuple[Role, ...] | Goodbye:
        """The roles that the peer has here, or why it has none."""
        if peer == self._us:
            return Goodbye("refused", "The peer has the identity of this node: two nodes must "
                           "not share one home or one key.")  # fmt: skip
        if self.draining:
            return Goodbye("draining", f"The node takes no new peers: {self.draining}.")
        try:
            roles = self._membership.admit(peer, hello)
            self.admit(peer, hello)
        except AiplatError as refusal:
            return Goodbye("refused", str(refusal), self._proof(peer))
        except Exception:
            log.exception("admit failed", extra={"peer": peer})
            return Goodbye("refused", "The node could not decide; its log says why.")
        return roles

    def _proof(self, peer: PeerId) -> bytes:
        """The list of the revoked for a peer that is on it."""
        record = self._membership.record
        on_it = record is not None and peer in self._membership.revoked
        return record.revocations if record is not None and on_it else b""

    # -- both ------------------------------------------------------------------------------------

    def _machine(self, *, initiator: bool) -> ChannelMachine:
        return ChannelMachine(
            initiator=initiator,
            hello=replace(self._hello, certificate=self._membership.certificate),
            max_frame=self._settings.max_frame_bytes,
        )

    def _channel(
        self,
        pipe: Pipe,
        machine: ChannelMachine,
        peer: PeerId,
        roles: tuple[Role, ...],
        address: str,
        early: Iterable[Received],
        *,
        dialed: bool,
    ) -> Channel:
        return Channel(
            pipe, machine, peer=peer, roles=roles, dialed=dialed, address=address,
            settings=self._settings, metrics=self._metrics, early=early,
        )  # fmt: skip

    def _count(self, fault: HandshakeFailed) -> None:
        if fault.hostile:
            self._metrics.protocol_violations.inc()
