"""The node: who it is, where it listens, and the channels that it has to its peers."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import trio

from aiplat.domain.errors import ConfigError, InvalidRequest, NoPeer, NotReady
from aiplat.domain.ids import PeerId, Role
from aiplat.node.addresses import Endpoint, Target, parse_listen, parse_target
from aiplat.node.channel import Channel
from aiplat.node.finding.dht import DhtFinder
from aiplat.node.finding.finder import Finder
from aiplat.node.finding.mdns import MdnsFinder
from aiplat.node.host import Host, bind_all, open_host
from aiplat.node.identity import Identity
from aiplat.node.incarnation import wall_ms
from aiplat.node.keepers import Keepers
from aiplat.node.keeping import Wanted
from aiplat.node.known import KnownPeers
from aiplat.node.listening import PortMemory, announced, where_to_listen
from aiplat.node.meeting import Admit, Meeting
from aiplat.node.membership.lasting import LastingMembers
from aiplat.node.membership.membership import Membership
from aiplat.node.membership.service import MembershipService
from aiplat.node.nat.service import NatService
from aiplat.node.refusals import Refusals
from aiplat.node.services import Service, run_service
from aiplat.node.settings import NodeSettings
from aiplat.node.standing import OnChannel, Standing
from aiplat.node.swarm import bind
from aiplat.protocol.messages import Drain, Hello
from aiplat.telemetry.metrics import Metrics

log = logging.getLogger("aiplat.node")


class Node:
    """One node of the network.

    Arguments:
        settings: where it listens; deadlines and bounds.
        identity: its keys.
        roles: what it claims to be.
        agent: program and version, for people.
        metrics: the node's registry.
        known_peers_path: where addresses are kept for next time; None keeps none.
        incarnation: grows with each start (`next_incarnation`); the time when not given.
        membership: the network that it belongs to; none when not given.
        port_path: where the port is kept for next time; None keeps none.
        passing: it is here for a moment only, and tells nobody where it is.
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
        membership: Membership | None = None,
        port_path: Path | None = None,
        passing: bool = False,
    ) -> None:
        self.peer_id: PeerId = identity.peer_id
        self.addresses: tuple[str, ...] = ()
        self._own_addresses: tuple[str, ...] = ()
        self._relayed: tuple[str, ...] = ()
        self._bound: list[Endpoint] = []
        self._settings = settings
        self._identity = identity
        self._metrics = metrics
        hello = Hello(
            agent=agent,
            incarnation=wall_ms() if incarnation is None else incarnation,
            roles=roles,
            max_requests=settings.max_requests_per_channel,
        )
        self._services: list[Service] = []
        self._standing = Standing(self.peer_id, self._services)
        self.membership = membership or Membership()
        self.members = MembershipService(
            self.membership, metrics, lambda: self._standing.channels, self.gateway_addresses
        )
        lasting = LastingMembers(
            settings, self.membership, self.members, metrics, lambda: self._standing.channels
        )
        self._known = KnownPeers(known_peers_path, settings.max_known_peers)
        self.finding = Finder(
            settings, self.membership, roles, lambda: self._standing.channels, self.keep,
            self.found, lambda: self.wanted, lambda: self.addresses, self._known, tells=not passing,
        )  # fmt: skip
        self.nat = NatService(
            settings, metrics, self.peer_id, lambda: self._standing.channels, self.reach,
            lambda: self._own_addresses, self.set_relayed,
            lambda target, pipe: self._meeting.replace(target, pipe), self.membership,
        )  # fmt: skip
        self.dht = DhtFinder(
            settings, self.membership, roles, lambda: self._standing.channels,
            self.finding.found, self.finding.found_member, lambda: self.finding.lacking,
        )  # fmt: skip
        self.mdns = MdnsFinder(
            settings, self.membership, roles, lambda: self._own_addresses, self.finding.found
        )
        self._refusals = Refusals(self.members.turned_away)
        self._services += [
            self.members, lasting, self.finding, self.dht, self.mdns, self.nat, self._refusals
        ]  # fmt: skip
        self._meeting = Meeting(
            settings, self.peer_id, hello, metrics, self._standing, self.membership, self._refusals
        )
        self._port = PortMemory(port_path)
        self._renewed = trio.Event()
        self._runs = False
        self._asked = self._taking = self._taken = 0
        self._listens = trio.lowlevel.ParkingLot()
        self._keepers = Keepers(
            settings, metrics, self._known, self._meeting.reach, lambda: self._standing.channels,
            lambda: self.membership.revoked, lambda: self.membership.blocked,
        )  # fmt: skip
        self._host: Host | None = None
        self._nursery: trio.Nursery | None = None

    # -- what there is ---------------------------------------------------------------------------

    @property
    def channels(self) -> Mapping[PeerId, Channel]:
        """The live channels, one a peer."""
        return MappingProxyType(self._standing.channels)

    @property
    def draining(self) -> str:
        """Why it takes no new peers; empty while it does."""
        return self._meeting.draining

    @property
    def turned_away(self) -> Mapping[PeerId, str]:
        """Who refuses this node, each with its reason."""
        return self._refusals.reasons

    @property
    def known(self) -> tuple[str, ...]:
        """Addresses from this life and earlier ones, the one that last worked first."""
        return self._known.addresses

    @property
    def wanted(self) -> list[Wanted]:
        """The peers to stay connected to."""
        return self._keepers.wanted

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
        self._standing.on_channel = on_channel
        self._meeting.admit = admit
        self._runs = True
        try:
            self._take_up()
            sockets = await self._bind_first()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._known.run)
                await self._live_on(sockets, task_status)
        finally:
            self._runs = False
            self._listens.unpark_all()

    async def _live_on(
        self, sockets: dict[str, trio.SocketListener], task_status: trio.TaskStatus[None]
    ) -> None:
        """One life of the host after the other."""
        while True:
            self._listens_at(sockets)
            if not await self._live(sockets, task_status):
                log.error("the libp2p host ended by itself and is started again")
                await trio.sleep(self._settings.reconnect_min_seconds)
            task_status = trio.TASK_STATUS_IGNORED
            sockets = await self._bind_again()

    async def _bind_first(self) -> dict[str, trio.SocketListener]:
        """Bind, on the port of the last life if it is free and none was asked for."""
        remembered = self._port.port
        try:
            return await bind_all(self._endpoints())
        except ConfigError:
            self._port.forget()
            if not remembered or self._endpoints()[0].port:
                raise
            log.warning("the port %d of the last time is taken: another is used", remembered)
            return await bind_all(self._endpoints())

    async def rejoin(self) -> None:
        """Take up another membership: a new host in the place of the old, on the same port.

        Every channel ends. Comes back when a host listens that took the membership up as it is
        now, or a later one; several may ask at once. At once when the node does not run.

        Raises:
            NotReady: it did not within `rejoin_seconds`; it goes on trying.
        """
        self._asked += 1
        asked = self._asked
        self._renewed.set()
        with trio.move_on_after(self._settings.rejoin_seconds) as scope:
            while self._runs and self._taken < asked:
                await self._listens.park()
        if scope.cancelled_caught:
            where = ", ".join(map(str, self._endpoints()))
            raise NotReady(
                f"The membership is changed, but this node does not listen yet at {where} after "
                f"{self._settings.rejoin_seconds:g} s (rejoin_seconds). It goes on trying."
            )

    def refuse_to_be_alone(self) -> None:
        """Look whether this node may listen where it does when it is in no network.

        Raises:
            InvalidRequest: it listens beyond loopback.
        """
        try:
            where_to_listen(self._settings.listen, in_network=False, port=0)
        except ConfigError:
            raise InvalidRequest(
                f"This node listens at {', '.join(self._settings.listen)} (node.listen), and "
                "beyond loopback only a member of a network may: stop it (`aiplat stop`), and "
                "leave then."
            ) from None

    def _take_up(self) -> None:
        """What is asked for until now is for the life that begins; later, for the next."""
        self._renewed = trio.Event()
        self._taking = self._asked

    def _endpoints(self) -> list[Endpoint]:
        in_network = self.membership.record is not None
        return where_to_listen(self._settings.listen, in_network=in_network, port=self._port.port)

    def _listens_at(self, sockets: Mapping[str, object]) -> None:
        self._bound = [parse_listen(address, beyond=True) for address in sockets]
        self._relayed = ()
        self.addresses = self._own_addresses = announced(self._bound, self.peer_id)
        if self._bound:
            self._port.keep(self._bound[0].port)

    async def _watch_own(self) -> None:
        """Interfaces come and go, and get other addresses, while the node lives."""
        while True:
            await trio.sleep(self._settings.finding_seconds)
            own = announced(self._bound, self.peer_id)
            if own != self._own_addresses:
                log.info("this node is reached elsewhere now", extra={"addresses": own})
                self._own_addresses = own
                self.mdns.moved()
                self._tell_addresses()

    async def _bind_again(self) -> dict[str, trio.SocketListener]:
        """Listen where it did before; who took a port in between may leave it again."""
        pause = self._settings.reconnect_min_seconds
        while True:
            self._take_up()
            try:
                return await bind(self._endpoints())
            except OSError as fault:
                where, why = fault.filename, fault.strerror
                log.error("cannot listen on %s (%s); next try in %g s", where, why, pause)
            await trio.sleep(pause)
            pause = min(pause * 2, self._settings.reconnect_max_seconds)

    async def _live(
        self, sockets: dict[str, trio.SocketListener], task_status: trio.TaskStatus[None]
    ) -> bool:
        """One life of the host, and of the channels over it; tells whether its end was wanted."""
        async with trio.open_nursery() as nursery:
            stop = trio.Event()
            host: Host = await nursery.start(self._run_host, sockets, stop)
            self._host = host
            try:
                async with trio.open_nursery() as self._nursery:
                    self._meeting.open(host, self._nursery)
                    self._keepers.open(self._nursery)
                    host.announce(lambda: self.addresses)
                    for service in self._services:
                        self._nursery.start_soon(run_service, service, host)
                    self._nursery.start_soon(self._watch_own)
                    log.debug("listening", extra={"addresses": self.addresses})
                    task_status.started()
                    self._taken = self._taking
                    self._listens.unpark_all()
                    self._nursery.start_soon(self._end_with, host, self._nursery.cancel_scope)
                    await self._renewed.wait()
                    self._nursery.cancel_scope.cancel()
            finally:
                self._host = self._nursery = None
                self._meeting.close()
                self._keepers.close()
                stop.set()
        return self._renewed.is_set()

    @staticmethod
    async def _end_with(host: Host, scope: trio.CancelScope) -> None:
        await host.wait_dead()
        scope.cancel()

    async def _run_host(
        self,
        sockets: dict[str, trio.SocketListener],
        stop: trio.Event,
        *,
        task_status: trio.TaskStatus[Host],
    ) -> None:
        """Run the host; it outlives a cancel of the node, so that goodbyes can be said."""
        with trio.CancelScope(shield=True):
            async with open_host(
                self._identity, self._settings, self._metrics, sockets, self.membership.psk
            ) as host:
                host.serve(self._meeting.accept)
                task_status.started(host)
                await stop.wait()

    def set_relayed(self, addresses: tuple[str, ...]) -> None:
        """Announce these before the node's own: they work from everywhere."""
        self._relayed = addresses
        self._tell_addresses()

    def _tell_addresses(self) -> None:
        self.addresses = (*self._relayed, *self._own_addresses)
        self.finding.moved()
        self.dht.moved()

    # -- peers that are wanted -------------------------------------------------------------------

    async def reach(self, address: str) -> Channel:
        """The live channel to the peer at `address`, or a new one.

        Raises:
            NoPeer: says which step failed and what to do.
            NotReady: the node does not run.
        """
        return await self._meeting.reach(self._target(address))

    def keep(self, address: str) -> None:
        """Stay connected to the peer at `address`, and remember it for next time.

        Raises:
            NoPeer: the address cannot be one of a peer.
        """
        self._keepers.keep(self._target(address))

    def found(self, address: str) -> None:
        """Try an address that was heard of for a while; stay connected once it works.

        Raises:
            NoPeer: the address cannot be one of a peer.
        """
        self._keepers.found(self._target(address))

    def forget(self, address: str) -> None:
        """Stay connected no more, and do not remember it. A live channel stays."""
        self._keepers.forget(parse_target(address, beyond=True).text)

    def forget_all(self) -> None:
        """Nobody is wanted, and nobody is remembered. Live channels stay."""
        self._keepers.forget_all()

    def block(self, peer: PeerId) -> None:
        """Shut a peer out of this node, now and after a restart; it is not dialed either."""
        self.members.block(peer)

    def unblock(self, peer: PeerId) -> None:
        """Let a peer in again, and look for it at once if it is wanted."""
        self.members.unblock(peer)
        self._keepers.hurry(peer)

    def drain(self, reason: str, grace_seconds: float = 30.0) -> None:
        """Tell every peer to send no new requests; new peers are turned away."""
        self._meeting.draining = reason or "it shuts down"
        for channel in self._standing.channels.values():
            channel.say(Drain(round(grace_seconds * 1000), reason))

    def undrain(self) -> None:
        """Take peers again, and tell those that are here that they may send requests."""
        self._meeting.draining = ""
        for channel in self._standing.channels.values():
            channel.say(Drain(0, off=True))

    def gateway_addresses(self) -> tuple[str, ...]:
        """Where this node and the gateways that it knows are reached, complete multiaddrs."""
        told = [address for found in self.finding.gateways.values() for address in found[:4]]
        return (*self.addresses, *told)

    def _target(self, address: str) -> Target:
        target = parse_target(address, beyond=self.membership.record is not None)
        if target.peer == self.peer_id:
            raise NoPeer(f"{target.text} is the address of this node itself.")
        return target
