"""Finding the peers of one's network, and saying what is still looked for.

A `Service` of the node. Every way of finding ends in the same step: an address is handed to
`keep`, which stays connected to it. The ways are the addresses of the token and of earlier lives,
what members say of themselves (`Addresses`) and of the gateways that they know
(`finding.gateways`),
and what is handed in by mDNS and the DHT.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import msgspec
import trio

from aiplat.domain.errors import AiplatError, NoPeer
from aiplat.domain.ids import PeerId, Role
from aiplat.node.addresses import parse_target
from aiplat.node.membership.membership import Membership
from aiplat.node.settings import NodeSettings
from aiplat.protocol.framing import UNREADABLE
from aiplat.protocol.messages import Addresses, Call, Reply, Revocations
from aiplat.protocol.news import MAX_ADDRESSES

if TYPE_CHECKING:
    from aiplat.node.channel import Channel
    from aiplat.node.host import Host
    from aiplat.node.keeping import Wanted

log = logging.getLogger("aiplat.node.finding")

GATEWAYS = "finding.gateways"
CALL_SECONDS = 5.0
MAX_TOLD = 64
"""Addresses that one answer may hold."""

_TOLD = msgspec.msgpack.Decoder(tuple[str, ...])


class Finder:
    """Finds the gateways of the network.

    Arguments:
        settings: pauses and bounds.
        membership: the network; in none, only what a person named is reached.
        roles: of this node.
        channels: gives the live channels, by peer.
        keep: stays connected to the peer at an address.
        wanted: gives whom the node tries to reach.
        own: gives this node's own addresses, best first.
    """

    def __init__(
        self,
        settings: NodeSettings,
        membership: Membership,
        roles: tuple[Role, ...],
        channels: Callable[[], Mapping[PeerId, Channel]],
        keep: Callable[[str], None],
        wanted: Callable[[], list[Wanted]],
        own: Callable[[], tuple[str, ...]],
    ) -> None:
        self.searching = ""
        self._settings = settings
        self._membership = membership
        self._roles = roles
        self._channels = channels
        self._keep = keep
        self._wanted = wanted
        self._own = own
        self._told: dict[PeerId, tuple[str, ...]] = {}
        self._news = trio.Event()

    @property
    def gateways(self) -> dict[PeerId, tuple[str, ...]]:
        """The gateways that this node has a channel to, with the addresses that they told."""
        return {
            peer: self._told.get(peer, ())
            for peer, channel in self._channels().items()
            if "gateway" in channel.roles
        }

    # -- `Service` -------------------------------------------------------------------------------

    async def run(self, host: Host) -> None:
        """Look again and again; at once when something changed."""
        record = self._membership.record
        if record is None:
            return
        for address in record.addresses:
            self.found(address)
        while True:
            self._say(self._lacking(record.name))
            await self._ask_around()
            pause = self._settings.finding_seconds * random.uniform(0.75, 1.0)  # no secret
            with trio.move_on_after(pause):
                await self._news.wait()
            self._news = trio.Event()

    def opened(self, channel: Channel) -> None:
        """Say where this node is reached; the peer does the same."""
        if self._membership.record is not None:
            channel.say(Addresses(self._own()[:MAX_ADDRESSES]))
            self._news.set()

    def moved(self) -> None:
        """Say it again: the addresses changed."""
        for channel in self._channels().values():
            channel.say(Addresses(self._own()[:MAX_ADDRESSES]))

    def told(self, channel: Channel, news: Revocations | Addresses) -> None:
        """Remember where a peer says that it is; of itself only."""
        if not isinstance(news, Addresses):
            return
        own = [address for address in news.addresses if _peer_of(address) == channel.peer]
        self._told[channel.peer] = tuple(own)
        if channel.dialed and "gateway" in channel.roles:
            for address in own:
                self.found(address)

    async def called(self, channel: Channel, call: Call) -> Reply | None:
        """Tell a member which gateways are here."""
        if call.method != GATEWAYS:
            return None
        addresses = [a for told in self.gateways.values() for a in told]
        if "gateway" in self._roles:
            addresses = [*self._own(), *addresses]
        return Reply(body=msgspec.Raw(msgspec.msgpack.encode(addresses[:MAX_TOLD])))

    def ended(self, channel: Channel, reason: str) -> None:
        """Look again."""
        self._told.pop(channel.peer, None)
        self._news.set()

    # -- finding ---------------------------------------------------------------------------------

    def found(self, address: str) -> None:
        """Stay connected to the peer at an address, if it can be one and there is room."""
        if len(self._wanted()) >= self._settings.max_known_peers:
            return
        try:
            self._keep(address)
        except NoPeer as fault:
            log.debug("an address is of no use: %s", fault)

    async def _ask_around(self) -> None:
        """Ask two members, chosen by chance, for the gateways that they know."""
        channels = [c for c in self._channels().values() if not c.is_ended]
        for channel in random.sample(channels, min(2, len(channels))):
            try:
                reply = await channel.call(Call(GATEWAYS), CALL_SECONDS)
                addresses = _TOLD.decode(reply.body) if reply.failed is None else ()
            except (AiplatError, *UNREADABLE) as fault:
                log.debug("a peer told no gateways: %s", fault)
                continue
            for address in addresses[:MAX_TOLD]:
                if self._is_new(address):
                    self.found(address)

    def _is_new(self, address: str) -> bool:
        peer = _peer_of(address)
        others = [p for p in self.gateways if p != peer]
        return (
            peer is not None
            and peer not in self._channels()
            and peer != self._membership.peer
            and len(others) < self._settings.max_gateways
        )

    # -- saying ----------------------------------------------------------------------------------

    def _lacking(self, name: str) -> str:
        if "gateway" in self._roles or self.gateways:
            return ""
        wanted = self._wanted()
        tried = f"{len(wanted)} address{'' if len(wanted) == 1 else 'es'}"
        notes = [w.note for w in wanted if w.note]
        why = f" The last try: {notes[0]}" if notes else ""
        are = "is" if len(wanted) == 1 else "are"
        return (
            f"No gateway of the network {name} is reached yet: {tried} {are} tried again and "
            f"again.{why}"
        )

    def _say(self, searching: str) -> None:
        if searching and not self.searching:
            log.info("%s", searching, extra={"sign": "🔄"})
        elif self.searching and not searching:
            log.info("a gateway of the network was found", extra={"sign": "✅"})
        self.searching = searching


def _peer_of(address: str) -> PeerId | None:
    try:
        return parse_target(address, beyond=True).peer
    except NoPeer:
        return None
