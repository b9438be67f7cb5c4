"""Finding on a LAN by multicast DNS (RFC 6762, RFC 6763), without any address to begin with.

What is told to the whole LAN: a peer id, a port, and a short hash of the network's public key, by
which members know each other's and others learn nothing. zeroconf runs threads of its own.
"""

from __future__ import annotations

import contextlib
import hashlib
import ipaddress
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

import trio
from zeroconf import Error as ZeroconfError
from zeroconf import IPVersion, ServiceBrowser, ServiceInfo, ServiceStateChange, Zeroconf

from aiplat.domain.errors import NoPeer
from aiplat.domain.ids import PeerId, Role
from aiplat.node.addresses import Endpoint, Target, complete, parse_target
from aiplat.node.membership.membership import Membership
from aiplat.node.settings import NodeSettings
from aiplat.protocol.messages import Addresses, Call, Reply, Revocations

if TYPE_CHECKING:
    from aiplat.node.channel import Channel
    from aiplat.node.host import Host

log = logging.getLogger("aiplat.node.finding")

SERVICE = "_aiplat._tcp.local."
ANSWER_MS = 3000
CLOSING_SECONDS = 2.0
MAX_IPS = 8


def tag_of(network: bytes) -> str:
    """By what members of a network know each other: 16 hexadecimal digits."""
    return hashlib.sha256(b"aiplat/1 mdns\0" + network).hexdigest()[:16]


class MdnsFinder:
    """A node's part in the mDNS of its LAN.

    Arguments:
        settings: whether it takes part.
        membership: the network; in none it does not.
        roles: of this node; told, so that only gateways are dialed.
        own: gives this node's own addresses, best first.
        found: takes the address of a gateway.
        interfaces: IP addresses to speak on; all when not given.
    """

    def __init__(
        self,
        settings: NodeSettings,
        membership: Membership,
        roles: tuple[Role, ...],
        own: Callable[[], tuple[str, ...]],
        found: Callable[[str], None],
        interfaces: list[str] | None = None,
    ) -> None:
        self.is_running = False
        self._settings = settings
        self._membership = membership
        self._roles = roles
        self._own = own
        self._found = found
        self._interfaces = interfaces
        self._moved = trio.Event()

    # -- `Service` -------------------------------------------------------------------------------

    async def run(self, host: Host) -> None:
        """Tell and listen until cancelled; where there is no multicast, do without."""
        network, peer = self._membership.network, self._membership.peer
        if not self._settings.mdns or network is None or peer is None:
            return
        while True:
            self._moved = trio.Event()
            places = self._places()
            try:
                if places:
                    await self._take_part(peer, tag_of(network), places)
            except (OSError, ZeroconfError) as fault:
                log.info("mDNS is not used: %s", fault)
            # Anew, and not only with other words: it speaks on the interfaces that there were.
            await self._moved.wait()

    async def _take_part(self, peer: PeerId, tag: str, places: list[Endpoint]) -> None:
        """Until this node moves; it speaks on the interfaces that there are now."""
        zeroconf = await trio.to_thread.run_sync(self._open)
        try:
            info = self._info(peer, tag, places)
            await trio.to_thread.run_sync(zeroconf.register_service, info)
            browser = self._browse(zeroconf, peer, tag, trio.lowlevel.current_trio_token())
            self.is_running = True
            try:
                await self._moved.wait()
            finally:
                browser.cancel()
        finally:
            self.is_running = False
            with trio.move_on_after(CLOSING_SECONDS, shield=True):
                await trio.to_thread.run_sync(zeroconf.close, abandon_on_cancel=True)

    def moved(self) -> None:
        """This node is reached elsewhere now."""
        self._moved.set()

    def opened(self, channel: Channel) -> None:
        """Nothing hangs on a channel here."""

    def told(self, channel: Channel, news: Revocations | Addresses) -> None:
        """Nothing hangs on a channel here."""

    async def called(self, channel: Channel, call: Call) -> Reply | None:
        """Nothing is asked of it over a channel."""
        return None

    def ended(self, channel: Channel, reason: str) -> None:
        """Nothing hangs on a channel here."""

    # -- inside ----------------------------------------------------------------------------------

    def _open(self) -> Zeroconf:
        if self._interfaces is not None:
            return Zeroconf(interfaces=self._interfaces, ip_version=IPVersion.V4Only)
        return Zeroconf(ip_version=IPVersion.V4Only)

    def _places(self) -> list[Endpoint]:
        """Where the LAN reaches this node; with an interface that was named, loopback too."""
        targets = [parse_target(address, beyond=True) for address in self._own()]
        return [t.endpoint for t in targets if _is_direct(t) and self._is_told(t.endpoint)]

    def _is_told(self, endpoint: Endpoint) -> bool:
        return self._interfaces is not None or not endpoint.is_loopback

    def _info(self, peer: PeerId, tag: str, places: list[Endpoint]) -> ServiceInfo:
        ips = [place.ip for place in places if ":" not in place.ip][:MAX_IPS]
        return ServiceInfo(
            SERVICE, f"{peer[-16:]}-{tag}.{SERVICE}", port=places[0].port,
            addresses=[ipaddress.ip_address(ip).packed for ip in ips],
            properties={"peer": peer, "net": tag, "roles": ",".join(self._roles)},
        )  # fmt: skip

    def _browse(
        self, zeroconf: Zeroconf, peer: PeerId, tag: str, token: trio.lowlevel.TrioToken
    ) -> ServiceBrowser:
        def changed(
            zeroconf: Zeroconf, service_type: str, name: str, state_change: ServiceStateChange
        ) -> None:
            """Called in zeroconf's own thread."""
            if state_change is ServiceStateChange.Removed or not name.endswith(f"-{tag}.{SERVICE}"):
                return
            info = zeroconf.get_service_info(service_type, name, ANSWER_MS)
            if info is not None:
                with contextlib.suppress(trio.RunFinishedError):  # the node has just ended
                    token.run_sync_soon(self._heard, info, peer, tag)

        return ServiceBrowser(zeroconf, SERVICE, handlers=[changed])

    def _heard(self, info: ServiceInfo, us: PeerId, tag: str) -> None:
        said = {key: (value or b"") for key, value in info.properties.items()}
        peer = PeerId(said.get(b"peer", b"").decode("ascii", "replace"))
        if said.get(b"net") != tag.encode() or peer == us or not info.port:
            return
        if b"gateway" not in said.get(b"roles", b"").split(b","):
            return
        for ip in info.parsed_addresses(IPVersion.V4Only)[:MAX_IPS]:
            address = complete(Endpoint(ip, info.port), peer)
            try:
                parse_target(address, beyond=True)
            except NoPeer:
                continue  # anyone on the LAN may say anything
            self._found(address)


def _is_direct(target: Target) -> bool:
    return target.relay is None
