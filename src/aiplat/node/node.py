"""The node: who it is, where it listens, and the channels that it has to its peers."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import trio

from aiplat.domain.errors import AiplatError, NoPeer, NotReady, clip
from aiplat.domain.ids import PeerId, Role, short
from aiplat.node.addresses import Target, parse_listen, parse_target
from aiplat.node.channel import Channel, ChannelHandler
from aiplat.node.duplicates import Claim, replaces
from aiplat.node.handshake import HandshakeFailed, accept, offer, say_goodbye
from aiplat.node.host import Host, bind_all, open_host
from aiplat.node.identity import Identity
from aiplat.node.keeping import Keeper, Wanted
from aiplat.node.known import KnownPeers
from aiplat.node.link import Pipe
from aiplat.node.reaching import no_peer, too_slow
from aiplat.node.settings import NodeSettings
from aiplat.node.swarm import bind
from aiplat.protocol.channel import ChannelMachine
from aiplat.protocol.messages import Announce, Call, Drain, Goodbye, Hello, Reply
from aiplat.telemetry.metrics import Metrics

log = logging.getLogger("aiplat.node")

OnChannel = Callable[[Channel], ChannelHandler]
Admit = Callable[[PeerId, Hello], None]

SETTLE_SECONDS = 2.0
"""For two nodes that dialed each other at once to agree on one channel."""


class _Attempt:
    """A dial under way, which several may wait for."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.done = trio.Event()
        self.channel: Channel | None = None
        self.error: NoPeer | None = None


class Node:
    """One node of the network.

    Arguments:
        settings: where it listens; deadlines and bounds.
        identity: its keys.
        roles: what it claims to be.
        agent: program and version, for people.
        metrics: the node's registry.
        known_peers_path: where addresses are kept for next time; None keeps none.
        incarnation: grows with each start; the time of this one when not given.
    """

    def __init__(
        self,
        settings: NodeSettings,
        identity: Identity,
        roles: tuple[Role, ...],
        agent: str,
        metrics: Metrics,
        known_peers_path: Path | None = None,
        *,
        incarnation: int | None = None,
    ) -> None:
        self.peer_id: PeerId = identity.peer_id
        self.addresses: tuple[str, ...] = ()
        self.draining = ""
        self._settings = settings
        self._identity = identity
        self._metrics = metrics
        self._hello = Hello(
            agent=agent,
            incarnation=time.time_ns() // 1_000_000 if incarnation is None else incarnation,
            roles=roles,
            max_requests=settings.max_requests_per_channel,
        )
        self._known = KnownPeers(known_peers_path, settings.max_known_peers)
        self._channels: dict[PeerId, Channel] = {}
        self._attempts: dict[PeerId, _Attempt] = {}
        self._keepers: dict[str, Keeper] = {}
        self._appeared = trio.lowlevel.ParkingLot()
        self._host: Host | None = None
        self._nursery: trio.Nursery | None = None
        self._on_channel: OnChannel | None = None
        self._admit: Admit = lambda peer, hello: None

    # -- what there is ---------------------------------------------------------------------------

    @property
    def channels(self) -> Mapping[PeerId, Channel]:
        """The live channels, one a peer."""
        return MappingProxyType(self._channels)

    @property
    def known(self) -> tuple[str, ...]:
        """Addresses from this life and earlier ones, the one that last worked first."""
        return self._known.addresses

    @property
    def wanted(self) -> list[Wanted]:
        """The peers to stay connected to."""
        return [
            Wanted(address, keeper.target.peer, "connected", "")
            if keeper.target.peer in self._channels
            else Wanted(address, keeper.target.peer, "connecting", keeper.note)
            for address, keeper in self._keepers.items()
        ]

    # -- its life --------------------------------------------------------------------------------

    async def run(
        self,
        on_channel: OnChannel,
        admit: Admit,
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Live until cancelled; started once it listens. A cancel says goodbye to every peer.

        Arguments:
            on_channel: makes the handler of a new channel.
            admit: raises AiplatError to refuse a peer, which is told the text.

        Raises:
            ConfigError: it cannot listen where the settings say.
        """
        self._on_channel = on_channel
        self._admit = admit
        sockets = await bind_all(self._settings)
        endpoints = [parse_listen(address) for address in sockets]
        while True:
            await self._live(sockets, task_status)
            log.error("the libp2p host ended by itself and is started again")
            task_status = trio.TASK_STATUS_IGNORED
            await trio.sleep(self._settings.reconnect_min_seconds)
            sockets = await bind(endpoints)

    async def _live(
        self, sockets: dict[str, trio.SocketListener], task_status: trio.TaskStatus[None]
    ) -> None:
        """One life of the host, and of the channels over it; comes back when it died."""
        async with trio.open_nursery() as nursery:
            stop = trio.Event()
            host: Host = await nursery.start(self._run_host, sockets, stop)
            self.addresses = host.addresses
            self._host = host
            try:
                async with trio.open_nursery() as self._nursery:
                    for keeper in self._keepers.values():
                        self._nursery.start_soon(keeper.run)
                    log.info("listening", extra={"addresses": self.addresses})
                    task_status.started()
                    await host.wait_dead()
                    self._nursery.cancel_scope.cancel()
            finally:
                self._host = self._nursery = None
                stop.set()

    async def _run_host(
        self,
        sockets: dict[str, trio.SocketListener],
        stop: trio.Event,
        *,
        task_status: trio.TaskStatus[Host],
    ) -> None:
        """Run the host; it outlives a cancel of the node, so that goodbyes can be said."""
        with trio.CancelScope(shield=True):
            async with open_host(self._identity, self._settings, self._metrics, sockets) as host:
                host.serve(self._accept)
                task_status.started(host)
                await stop.wait()

    # -- peers that are wanted -------------------------------------------------------------------

    async def reach(self, address: str) -> Channel:
        """The live channel to the peer at `address`, or a new one.

        Raises:
            NoPeer: says which step failed and what to do.
        """
        return await self._reach(parse_target(address))

    def keep(self, address: str) -> None:
        """Stay connected to the peer at `address`, and remember it for next time.

        Raises:
            NoPeer: the address cannot be one of a peer.
        """
        target = self._not_self(parse_target(address))
        if target.text in self._keepers:
            return
        if len(self._keepers) >= self._settings.max_known_peers and not self._make_room():
            self._metrics.bound_hits.labels(bound="known_peers").inc()
            log.warning("not kept: max_known_peers is reached", extra={"address": target.text})
            return
        self._known.add(target.text)
        keeper = Keeper(target, self._settings, self._reach, self._reached)
        self._keepers[target.text] = keeper
        if self._nursery is not None:
            self._nursery.start_soon(keeper.run)

    def forget(self, address: str) -> None:
        """Stay connected no more, and do not remember it. A live channel stays."""
        text = parse_target(address).text
        self._known.forget(text)
        keeper = self._keepers.pop(text, None)
        if keeper is not None:
            keeper.scope.cancel()

    def drain(self, reason: str, grace_seconds: float = 30.0) -> None:
        """Tell every peer to send no new requests; new peers are turned away."""
        self.draining = reason or "it shuts down"
        for channel in self._channels.values():
            channel.say(Drain(round(grace_seconds * 1000), reason))

    def _reached(self, target: Target, channel: Channel) -> None:
        """The address works: older ones of the same peer are of no more use."""
        if not channel.dialed or channel.address != target.text:
            return
        if target.text not in self._keepers:
            return  # it was forgotten in the meantime
        self._known.worked(target.text)
        for address, keeper in list(self._keepers.items()):
            if keeper.target.peer == target.peer and address != target.text:
                self.forget(address)

    def _make_room(self) -> bool:
        for address, keeper in self._keepers.items():
            if keeper.target.peer not in self._channels:
                self.forget(address)
                return True
        return False

    def _not_self(self, target: Target) -> Target:
        if target.peer == self.peer_id:
            raise NoPeer(f"{target.text} is the address of this node itself.")
        return target

    # -- dialing ---------------------------------------------------------------------------------

    async def _reach(self, target: Target) -> Channel:
        self._not_self(target)
        while True:
            channel = self._channels.get(target.peer)
            if channel is not None and not channel.is_ended:
                return channel
            attempt = self._attempts.get(target.peer)
            if attempt is None:
                attempt = self._start_attempt(target)
            await attempt.done.wait()
            if attempt.channel is not None:
                return attempt.channel
            if attempt.target == target:
                raise NoPeer(str(attempt.error))

    def _start_attempt(self, target: Target) -> _Attempt:
        if self._nursery is None:
            raise NotReady("The node does not run yet.")
        attempt = self._attempts[target.peer] = _Attempt(target)
        self._nursery.start_soon(self._try, attempt)
        return attempt

    async def _try(self, attempt: _Attempt) -> None:
        target = attempt.target
        attempt.error = NoPeer("This node stops.")
        try:
            with trio.move_on_after(self._settings.connect_seconds) as scope:
                attempt.channel = await self._dial(target)
            if scope.cancelled_caught:
                attempt.error = too_slow(target, self._settings.connect_seconds)
        except Exception as fault:  # noqa: BLE001  # of libp2p's many kinds; told to who waits
            attempt.error = no_peer(target, fault)
            log.debug("a dial failed", extra={"address": target.text, "fault": repr(fault)})
        finally:
            del self._attempts[target.peer]
            attempt.done.set()

    async def _dial(self, target: Target) -> Channel:
        host = self._host
        if host is None:
            raise NoPeer("This node stops.")
        if len(self._channels) >= self._settings.max_channels:
            self._metrics.bound_hits.labels(bound="channels").inc()
            raise NoPeer(f"This node has all {len(self._channels)} channels that it allows.")
        pipe = await host.open(target.endpoint, target.peer)
        machine = self._machine(initiator=True)
        try:
            early = await offer(pipe, machine, self._settings.handshake_seconds)
            assert machine.remote is not None
            refusal = self._refusal(target.peer, machine.remote)
            if refusal is not None:
                await say_goodbye(pipe, refusal)
                raise NoPeer(f"This node refuses {short(target.peer)}: {refusal.message}")
        except HandshakeFailed as fault:
            pipe.abort()
            if fault.hostile:
                self._metrics.protocol_violations.inc()
            if fault.goodbye is not None and fault.goodbye.code == "duplicate":
                return await self._other_channel(target)
            raise
        except BaseException:
            pipe.abort()
            raise
        channel = Channel(
            pipe, machine, peer=target.peer, dialed=True, address=target.text,
            settings=self._settings, metrics=self._metrics, early=early,
        )  # fmt: skip
        return self._take(channel)

    async def _other_channel(self, target: Target) -> Channel:
        """The channel because of which ours was turned away; it may be about to stand."""
        with trio.move_on_after(SETTLE_SECONDS):
            while target.peer not in self._channels:
                await self._appeared.park()
            return self._channels[target.peer]
        raise NoPeer(
            f"The peer {short(target.peer)} says that it has a channel to this node, which this "
            "node has not. It will notice in a few seconds."
        )

    # -- being dialed ----------------------------------------------------------------------------

    async def _accept(self, pipe: Pipe, peer: PeerId, address: str) -> None:
        """Take a stream that a peer opened; stays until it is done."""
        machine = self._machine(initiator=False)

        async def decide(hello: Hello) -> Goodbye | None:
            return await self._decide(peer, hello)

        try:
            early = await accept(pipe, machine, self._settings.handshake_seconds, decide)
        except HandshakeFailed as fault:
            pipe.abort()
            if fault.hostile:
                self._metrics.protocol_violations.inc()
            log.info("no channel: %s", clip(fault.clause, 300), extra={"peer": peer})
            return
        except BaseException:
            pipe.abort()
            raise
        channel = Channel(
            pipe, machine, peer=peer, dialed=False, address=address,
            settings=self._settings, metrics=self._metrics, early=early,
        )  # fmt: skip
        if self._nursery is None:
            pipe.abort()
            return
        self._take(channel)
        await channel.wait_ended()

    async def _decide(self, peer: PeerId, hello: Hello) -> Goodbye | None:
        refusal = self._refusal(peer, hello)
        if refusal is not None:
            return refusal
        ours = self._attempts.get(peer)
        if ours is not None and self.peer_id < peer:
            # Both dial at once, and ours would stay: see what becomes of it first.
            with trio.move_on_after(SETTLE_SECONDS):
                await ours.done.wait()
        old = self._channels.get(peer)
        new = Claim(hello.incarnation, peer)
        if old is not None and not replaces(new, self._claim(old), self.peer_id, peer):
            return Goodbye("duplicate", "There is a channel between us already.")
        if old is None and len(self._channels) >= self._settings.max_channels:
            self._metrics.bound_hits.labels(bound="channels").inc()
            return Goodbye("refused", "The node has as many channels as it allows. Try later.")
        return None

    def _refusal(self, peer: PeerId, hello: Hello) -> Goodbye | None:
        if peer == self.peer_id:
            return Goodbye("refused", "The peer has the identity of this node: two nodes must "
                           "not share one home or one key.")  # fmt: skip
        if self.draining:
            return Goodbye("draining", f"The node takes no new peers: {self.draining}.")
        try:
            self._admit(peer, hello)
        except AiplatError as refusal:
            return Goodbye("refused", str(refusal))
        except Exception:
            log.exception("admit failed", extra={"peer": peer})
            return Goodbye("refused", "The node could not decide; its log says why.")
        return None

    # -- channels --------------------------------------------------------------------------------

    def _machine(self, *, initiator: bool) -> ChannelMachine:
        return ChannelMachine(
            initiator=initiator, hello=self._hello, max_frame=self._settings.max_frame_bytes
        )

    def _claim(self, channel: Channel) -> Claim:
        dialed_by = self.peer_id if channel.dialed else channel.peer
        return Claim(channel.hello.incarnation, dialed_by)

    def _take(self, channel: Channel) -> Channel:
        """Let a channel live, or another in its place; gives the one that stays."""
        assert self._nursery is not None
        old = self._channels.get(channel.peer)
        if old is not None and not old.is_ended:
            claim = self._claim(channel)
            if not replaces(claim, self._claim(old), self.peer_id, channel.peer):
                channel.close("duplicate", "There is a channel between us already.")
                self._nursery.start_soon(channel.run, _Nobody())
                return old
        replaced = old if old is not None and not old.is_ended else None
        if replaced is not None:
            replaced.close("duplicate", "A newer channel took its place.")
        self._channels[channel.peer] = channel
        self._appeared.unpark_all()
        if replaced is None:
            # Who reached the peer finds that the roles know of it already.
            self._nursery.start_soon(
                channel.run, self._handler_of(channel), self._releasing(channel)
            )
        else:
            self._nursery.start_soon(self._succeed, channel, replaced)
        return channel

    async def _succeed(self, channel: Channel, old: Channel) -> None:
        """Run a channel after the one in whose place it comes, so that the roles hear in order."""
        with trio.CancelScope(shield=True):  # it ends at once
            await old.wait_ended()
        await channel.run(self._handler_of(channel), self._releasing(channel))

    def _releasing(self, channel: Channel) -> Callable[[], None]:
        def release() -> None:
            if self._channels.get(channel.peer) is channel:
                del self._channels[channel.peer]

        return release

    def _handler_of(self, channel: Channel) -> ChannelHandler:
        assert self._on_channel is not None
        try:
            return self._on_channel(channel)
        except Exception:
            log.exception("no handler for a channel", extra={"peer": channel.peer})
            channel.close("internal", "The node failed to take the channel; its log says why.")
            return _Nobody()


class _Nobody:
    """The handler of a channel that is only there to say goodbye."""

    def submitted(self, incoming: object) -> None: ...
    def announced(self, announce: Announce) -> None: ...
    def drained(self, drain: Drain) -> None: ...
    def ended(self, reason: str) -> None: ...

    async def called(self, call: Call) -> Reply:
        return Reply()
