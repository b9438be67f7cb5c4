"""Finding by the Kademlia DHT (libp2p specs, kad-dht): members by the role that they have.

The DHT only finds peers: what it gives are addresses, which may be stale. Whether a peer lives, and
what it is, is known once there is a channel to it.
"""

from __future__ import annotations

import hashlib
import logging
import random
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import trio
from libp2p.kad_dht.kad_dht import DHTMode, KadDHT
from libp2p.peer.id import ID
from libp2p.tools.anyio_service import background_trio_service
from multiaddr import Multiaddr  # type: ignore[import-untyped]  # it has no types

from aiplat.domain.errors import NoPeer
from aiplat.domain.ids import PeerId, Role
from aiplat.node.addresses import parse_target
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

MAX_FOUND = 20


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
    """

    def __init__(
        self,
        settings: NodeSettings,
        membership: Membership,
        roles: tuple[Role, ...],
        channels: Callable[[], Mapping[PeerId, Channel]],
        found: Callable[[str], None],
    ) -> None:
        self.lookups = 0
        self._settings = settings
        self._membership = membership
        self._roles = roles
        self._channels = channels
        self._found = found
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
        """It may still be found by others: its record ends by itself."""
        self._told.pop(channel.peer, None)

    # -- inside ----------------------------------------------------------------------------------

    async def _take_part(self, host: Host, network: bytes) -> None:
        dht = KadDHT(host.libp2p, DHTMode.SERVER, enable_random_walk=False, enable_values=False)
        async with background_trio_service(dht):
            provided: frozenset[PeerId] = frozenset()
            while True:
                members = await self._introduce(host, dht)
                if members:
                    if members - provided:  # who came since has no record of this node yet
                        await self._provide(dht, network)
                        provided = members
                    if "gateway" not in self._roles:
                        await self._look(dht, network)
                pause = self._settings.finding_seconds * random.uniform(0.75, 1.0)  # no secret
                with trio.move_on_after(pause):
                    await self._news.wait()
                    await trio.sleep(self._settings.reconnect_min_seconds)  # several at once
                self._news = trio.Event()

    async def _introduce(self, host: Host, dht: KadDHT) -> frozenset[PeerId]:
        """Put the members that there are channels to into the routing table."""
        peerstore = host.libp2p.get_peerstore()
        members = frozenset(self._channels())
        for peer in members:
            known = [Multiaddr(a) for a in self._told.get(peer, ()) if _is_of(a, peer)]
            if known:
                peer_id = ID.from_base58(peer)
                peerstore.add_addrs(peer_id, known, ADDRESS_SECONDS)
                await dht.add_peer(peer_id, skip_server_mode_check=True)
        return members

    async def _provide(self, dht: KadDHT, network: bytes) -> None:
        for role in self._roles:
            if role != "client":  # nobody looks for clients
                with trio.move_on_after(STEP_SECONDS):
                    await dht.provide(key_of(network, role))

    async def _look(self, dht: KadDHT, network: bytes) -> None:
        # Else it would answer from what it heard up to 48 hours ago.
        dht.provider_store.providers.clear()
        with trio.move_on_after(STEP_SECONDS):
            found = await dht.find_providers(key_of(network, "gateway"), MAX_FOUND)
            self.lookups += 1
            for info in {info.peer_id: info for info in found}.values():
                peer = PeerId(info.peer_id.to_base58())
                if peer != self._membership.peer and peer not in self._channels():
                    for address in info.addrs[:8]:
                        self._found(_complete(str(address), peer))


def _complete(address: str, peer: PeerId) -> str:
    return address if f"/p2p/{peer}" in address else f"{address}/p2p/{peer}"


def _is_of(address: str, peer: PeerId) -> bool:
    try:
        return parse_target(address, beyond=True).peer == peer
    except NoPeer:
        return False
