"""Finding by the Kademlia DHT (libp2p specs, kad-dht): members by the role that they have.

The DHT only finds peers: what it gives are addresses, which may be stale. Whether a peer lives, and
what it is, is known once there is a channel to it. Records are told anew in each round, and one
that was not for a while is dropped: libp2p's own live for 48 hours.
"""

from __future__ import annotations

import hashlib
import logging
import random
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, cast

import trio
from libp2p.abc import IHost
from libp2p.kad_dht.kad_dht import DHTMode, KadDHT
from libp2p.kad_dht.provider_store import ProviderStore
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import PeerInfo
from libp2p.peer.peerstore import PeerStore
from libp2p.tools.anyio_service import background_trio_service
from multiaddr import Multiaddr  # type: ignore[import-untyped]  # it has no types

from aiplat.domain.errors import NoPeer
from aiplat.domain.ids import PeerId, Role
from aiplat.node.addresses import parse_target
from aiplat.node.finding.dialing import PatientHost
from aiplat.node.membership.membership import Membership
from aiplat.node.settings import NodeSettings
from aiplat.protocol.messages import Addresses, Call, Reply, Revocations

if TYPE_CHECKING:
    from aiplat.node.channel import Channel
    from aiplat.node.host import Host

log = logging.getLogger("aiplat.node.finding")

ADDRESS_SECONDS = 600
"""For how long an address that a member told of itself is handed on."""

STEP_SECONDS = 15.0
"""For one lookup, or for telling one role: several peers may have to be dialed."""

LONGEST_PAUSE_SECONDS = 600.0
"""Between two rounds of a node that lacks nobody, at most."""

MOMENT = 0.1
"""Of `finding_seconds`: for members to tell of others, before the DHT is asked."""

RECORD_SECONDS = 3 * LONGEST_PAUSE_SECONDS
"""For how long it is handed on who has a role."""

MAX_FOUND = 20
MAX_ADDRESSES = 8

FOUND: tuple[Role, ...] = ("gateway", "processor")
"""The roles that are told: nobody looks for clients."""


def key_of(network: bytes, role: Role) -> str:
    """The key under which a network's members of a role are found: a multihash, in hexadecimal."""
    return "1220" + hashlib.sha256(network + b"/" + role.encode()).hexdigest()


class DhtFinder:
    """A node's part in its network's DHT.

    Arguments:
        settings: pauses.
        membership: the network; in none there is no DHT.
        roles: of this node.
        channels: gives the live channels, by peer.
        found: takes the address of a gateway.
        found_member: takes the address of another member.
        lacking: tells how many members are lacking.
        clock: the time of day by which libp2p dates records, seconds since 1970 (UTC).
    """

    def __init__(
        self,
        settings: NodeSettings,
        membership: Membership,
        roles: tuple[Role, ...],
        channels: Callable[[], Mapping[PeerId, Channel]],
        found: Callable[[str], None],
        found_member: Callable[[str], None] = lambda address: None,
        lacking: Callable[[], int] = lambda: 0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.lookups = 0
        self._settings = settings
        self._membership = membership
        self._roles = roles
        self._channels = channels
        self._found = found
        self._found_member = found_member
        self._lacking = lacking
        self._clock = clock
        self._gone: set[PeerId] = set()
        self._is_due = False
        self._calm_rounds = 0
        self._told: dict[PeerId, tuple[str, ...]] = {}
        self._news = trio.Event()

    # -- `Service` -------------------------------------------------------------------------------

    async def run(self, host: Host) -> None:
        """Take part until cancelled; a fault of the library's ends this part alone, for a while."""
        network = self._membership.network
        if network is None:
            return
        while True:
            try:
                await self._take_part(host, network)
            except Exception as fault:  # noqa: BLE001  # of libp2p's many kinds
                log.warning("the DHT failed and is started again: %r", fault)
            await trio.sleep(self._settings.reconnect_max_seconds)

    def opened(self, channel: Channel) -> None:
        """A member is one more way in."""
        self._news.set()

    def told(self, channel: Channel, news: Revocations | Addresses) -> None:
        """Remember where a member is, for the others that look for it."""
        if isinstance(news, Addresses):
            self._told[channel.peer] = news.addresses
            self._news.set()

    async def called(self, channel: Channel, call: Call) -> Reply | None:
        """Nothing is asked of it over a channel."""
        return None

    def ended(self, channel: Channel, reason: str) -> None:
        """Send nobody there, and look for it: it may have moved."""
        self._told.pop(channel.peer, None)
        if self._membership.network is not None:  # else nobody empties it
            self._gone.add(channel.peer)
        self._news.set()

    def moved(self) -> None:
        """This node is reached elsewhere now: its records are out of date."""
        self._is_due = True
        self._news.set()

    # -- inside ----------------------------------------------------------------------------------

    async def _take_part(self, host: Host, network: bytes) -> None:
        settings = self._settings
        patient = PatientHost(host.libp2p, settings.finding_seconds, settings.hearsay_rest_seconds)
        dht = KadDHT(
            cast(IHost, patient), DHTMode.SERVER, enable_random_walk=False, enable_values=False
        )
        async with background_trio_service(dht):
            provided: frozenset[PeerId] = frozenset()
            due = 0.0
            while True:
                members = await self._introduce(host, dht)
                self._drop_old(dht)
                now = trio.current_time()
                if members and (members - provided or self._is_due or now >= due):
                    # Who came since has no record of this node yet.
                    self._is_due = False
                    await self._provide(dht, network)
                    provided, due = members, now + self._settings.dht_seconds
                if members:
                    await self._look(dht, network)
                await self._rest()

    async def _rest(self) -> None:
        """Wait for the next round, which is soon when somebody came or went and it lacks somebody.

        A round asks up to twenty members and costs each of them: none is begun for what members
        tell by themselves within a moment, nor for every arrival in a crowd that comes up together.
        """
        with trio.move_on_after(self._pause() * random.uniform(0.75, 1.0)):  # no secret
            is_urgent = False
            while not is_urgent:
                await self._news.wait()
                self._news = trio.Event()
                if self._is_urgent:
                    await trio.sleep(self._settings.finding_seconds * MOMENT)
                    is_urgent = self._is_urgent
        self._calm_rounds = 0 if self._is_urgent else self._calm_rounds + 1

    def _pause(self) -> float:
        """Until the next round: short while no gateway is there, longer while nobody is lacking."""
        every = self._settings.dht_seconds
        if not self._has_gateway:
            return min(self._settings.finding_seconds, every)
        if self._lacking():
            return every
        return max(every, min(every * 2.0 ** min(self._calm_rounds, 10), LONGEST_PAUSE_SECONDS))

    @property
    def _is_urgent(self) -> bool:
        """Whether it looks for somebody, or others know a place where it is no more."""
        return self._is_due or not self._has_gateway or self._lacking() > 0

    @property
    def _has_gateway(self) -> bool:
        return "gateway" in self._roles or any(
            "gateway" in channel.roles for channel in self._channels().values()
        )

    async def _introduce(self, host: Host, dht: KadDHT) -> frozenset[PeerId]:
        """Put the members that there are channels to into the routing table; take out who went."""
        peerstore = cast(PeerStore, host.libp2p.get_peerstore())
        members = frozenset(self._channels())
        for peer in self._gone - members:
            peer_id = ID.from_base58(peer)
            dht.routing_table.remove_peer(peer_id)
            peerstore.clear_addrs(peer_id)
            # Its signed addresses are dated by its clock, which may be set back before it returns.
            peerstore.peer_record_map.pop(peer_id, None)
        self._gone.clear()
        for peer in members:
            known = [Multiaddr(a) for a in self._told.get(peer, ()) if _is_of(a, peer)]
            if known:
                peer_id = ID.from_base58(peer)
                peerstore.add_addrs(peer_id, known, ADDRESS_SECONDS)
                await dht.add_peer(peer_id, skip_server_mode_check=True)
        return members

    def _drop_old(self, dht: KadDHT) -> None:
        """Hand on no record whose provider did not tell it anew."""
        oldest = self._clock() - RECORD_SECONDS
        providers = dht.provider_store.providers
        for key, records in list(providers.items()):
            kept = {peer: record for peer, record in records.items() if record.timestamp > oldest}
            if kept:
                providers[key] = kept
            else:
                del providers[key]

    async def _provide(self, dht: KadDHT, network: bytes) -> None:
        for role in self._roles:
            if role in FOUND:
                with trio.move_on_after(STEP_SECONDS):
                    await dht.provide(key_of(network, role))

    async def _look(self, dht: KadDHT, network: bytes) -> None:
        """Look for gateways, and for others while there are too few members."""
        for role in FOUND:
            found = self._found if role == "gateway" else self._found_member
            if role == "gateway" or self._lacking():
                with trio.move_on_after(STEP_SECONDS):
                    for info in await self._providers(dht, network, role):
                        peer = PeerId(info.peer_id.to_base58())
                        for address in info.addrs[:MAX_ADDRESSES]:
                            found(_complete(str(address), peer))

    async def _providers(self, dht: KadDHT, network: bytes, role: Role) -> list[PeerInfo]:
        """Who has a role, as others tell and as was told here.

        A store of its own for each lookup: libp2p's would answer from what it heard up to 48 hours
        ago, and would hand on what it hears as if it were told it anew, for ever.
        """
        key = bytes.fromhex(key_of(network, role))
        told = dht.provider_store.get_providers(key)
        lookup = ProviderStore(dht.host, dht.peer_routing)
        found = await lookup.find_providers(key, MAX_FOUND)
        self.lookups += 1
        return list({info.peer_id: info for info in (*told, *found)}.values())


def _complete(address: str, peer: PeerId) -> str:
    return address if f"/p2p/{peer}" in address else f"{address}/p2p/{peer}"


def _is_of(address: str, peer: PeerId) -> bool:
    try:
        return parse_target(address, beyond=True).peer == peer
    except NoPeer:
        return False
