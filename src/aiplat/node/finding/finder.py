"""Finding the peers of one's network, and saying what is still looked for.

A `Service` of the node. Every way of finding ends in the same step: an address is tried, and kept
once it works. The ways are the addresses of the token and of earlier lives, what members say of
themselves (`Addresses`), of the gateways that they know (`finding.gateways`) and of any members
(`finding.members`), and what is handed in by mDNS and the DHT.

Besides the gateways a node keeps to a few members of any role: where all know the entry node
alone, nobody finds anybody any more once that is gone.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Protocol

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
MEMBERS = "finding.members"
CALL_SECONDS = 5.0
MAX_TOLD = 64
"""Addresses that one answer may hold."""
MAX_OF_ONE = 4
"""Of which one member has no more."""
MAX_READ = 16
"""Addresses that are read of all that a peer tells of itself."""

_TOLD = msgspec.msgpack.Decoder(tuple[str, ...])


class Heard(Protocol):
    """What members told of themselves (`KnownPeers`)."""

    @property
    def heard(self) -> tuple[str, ...]:
        """Their addresses, the latest first."""

    def hear(self, peer: PeerId, addresses: Iterable[str]) -> None:
        """Keep where a member says that it is."""


class Finder:
    """Finds the gateways of the network.

    Arguments:
        settings: pauses and bounds.
        membership: the network; in none, only what a person named is reached.
        roles: of this node.
        channels: gives the live channels, by peer.
        keep: stays connected to the peer at an address.
        try_: tries an address that was heard of, and stays connected once it works.
        wanted: gives whom the node tries to reach.
        own: gives this node's own addresses, best first.
        heard: keeps, and gives, what members tell of themselves, for the next life of the node.
        tells: whether it says where this node is reached.
    """

    def __init__(
        self,
        settings: NodeSettings,
        membership: Membership,
        roles: tuple[Role, ...],
        channels: Callable[[], Mapping[PeerId, Channel]],
        keep: Callable[[str], None],
        try_: Callable[[str], None],
        wanted: Callable[[], list[Wanted]],
        own: Callable[[], tuple[str, ...]],
        heard: Heard,
        *,
        tells: bool = True,
    ) -> None:
        self._is_searching = False
        self._settings = settings
        self._membership = membership
        self._roles = roles
        self._channels = channels
        self._keep = keep
        self._try = try_
        self._wanted = wanted
        self._own = own
        self._heard = heard
        self._tells = tells
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

    @property
    def searching(self) -> str:
        """What is looked for and not there, in words; empty when all is well."""
        return self._unfound() if self._is_searching else ""

    @property
    def lacking(self) -> int:
        """How many members more this node should have channels to."""
        members = [c for c in self._channels().values() if self._is_believed(c)]
        return max(0, self._settings.min_members - len(members))

    def _is_believed(self, channel: Channel) -> bool:
        """Whether what it tells of others counts: in a public network anyone may be a client."""
        if not self._membership.is_public:
            return True
        return bool(channel.hello.certificate) and channel.roles != ("client",)

    # -- `Service` -------------------------------------------------------------------------------

    async def run(self, host: Host) -> None:
        """Look again and again; at once when something changed."""
        self._is_searching = False
        record = self._membership.record
        if record is None:
            return
        for address in record.addresses:
            self._handed(self._keep, address)
        await trio.sleep(self._settings.reconnect_min_seconds)  # most are there at once
        while True:
            self._say(self._unfound())
            await self._ask_around()
            pause = self._settings.finding_seconds * random.uniform(0.75, 1.0)  # no secret
            with trio.move_on_after(pause):
                await self._news.wait()
            self._news = trio.Event()

    def opened(self, channel: Channel) -> None:
        """Say where this node is reached; the peer does the same."""
        if self._membership.record is not None:
            if self._tells:
                channel.say(Addresses(self._own()[:MAX_ADDRESSES]))
            self._news.set()

    def moved(self) -> None:
        """Say it again: the addresses changed."""
        if not self._tells:
            return
        for channel in self._channels().values():
            channel.say(Addresses(self._own()[:MAX_ADDRESSES]))

    def told(self, channel: Channel, news: Revocations | Addresses) -> None:
        """Remember where a peer says that it is; of itself only."""
        if not isinstance(news, Addresses):
            return
        # Cheaply first: to read an address costs 50 µs, and a message may have many.
        theirs = [a for a in news.addresses if a.endswith(f"/p2p/{channel.peer}")][:MAX_READ]
        own = [address for address in theirs if self._is_of(channel.peer, address)]
        self._told[channel.peer] = tuple(own)
        if self._membership.record is not None and channel.hello.certificate:
            self._heard.hear(channel.peer, own[:MAX_OF_ONE])
        if channel.dialed and "gateway" in channel.roles:
            for address in own[: self._settings.max_addresses_per_peer]:
                self._handed(self._try, address)

    def _is_of(self, peer: PeerId, address: str) -> bool:
        return address in self._told.get(peer, ()) or _peer_of(address) == peer

    async def called(self, channel: Channel, call: Call) -> Reply | None:
        """Tell a member which gateways are here, or which members."""
        if call.method == GATEWAYS:
            addresses = [a for told in self.gateways.values() for a in told[:MAX_OF_ONE]]
            if "gateway" in self._roles:
                addresses = [*self._own(), *addresses]
        elif call.method == MEMBERS:
            addresses = self._members_but(channel.peer)
        else:
            return None
        return Reply(body=msgspec.Raw(msgspec.msgpack.encode(addresses[:MAX_TOLD])))

    def _members_but(self, asker: PeerId) -> list[str]:
        """Where others are: in no fixed order, those that may only be clients last."""
        others = [c for c in self._channels().values() if c.peer != asker and c.hello.certificate]
        random.shuffle(others)  # no secret
        others.sort(key=lambda c: c.roles == ("client",))
        return [a for c in others for a in self._told.get(c.peer, ())[:MAX_OF_ONE]]

    def ended(self, channel: Channel, reason: str) -> None:
        """Look again."""
        self._told.pop(channel.peer, None)
        self._news.set()

    # -- finding ---------------------------------------------------------------------------------

    def found(self, address: str) -> None:
        """Try the address of a gateway, unless there are as many gateways as are wanted."""
        peer = _peer_of(address)
        others = [p for p in self.gateways if p != peer]
        if self._is_new(peer) and len(others) < self._settings.max_gateways:
            self._handed(self._try, address)

    def found_member(self, address: str) -> None:
        """Try the address of a member, whatever its role, if too few are there."""
        if self.lacking and self._is_new(_peer_of(address)):
            self._handed(self._try, address)

    def _handed(self, to: Callable[[str], None], address: str) -> None:
        if self._membership.record is None:
            return  # what is still under way when the node leaves a network
        try:
            to(address)
        except NoPeer as fault:
            log.debug("an address is of no use: %s", fault)

    async def _ask_around(self) -> None:
        """Ask two members, chosen by chance, for those that they know."""
        channels = [c for c in self._channels().values() if not c.is_ended and self._is_believed(c)]
        for channel in random.sample(channels, min(2, len(channels))):
            for address in await self._ask(channel, GATEWAYS):
                self.found(address)
            if self.lacking:
                self._take_some(await self._ask(channel, MEMBERS))
        if self.lacking:
            self._take_some(random.sample(self._heard.heard, len(self._heard.heard)))

    async def _ask(self, channel: Channel, method: str) -> tuple[str, ...]:
        try:
            reply = await channel.call(Call(method), CALL_SECONDS)
            return _TOLD.decode(reply.body)[:MAX_TOLD] if reply.failed is None else ()
        except (AiplatError, *UNREADABLE) as fault:
            log.debug("a peer did not tell whom it knows: %s", fault)
            return ()

    def _take_some(self, addresses: Iterable[str]) -> None:
        """Try as many members as are lacking, each at all of its addresses."""
        tried = {wanted.peer_id for wanted in self._wanted()}
        told: dict[PeerId, list[str]] = {}
        for address in addresses:
            peer = _peer_of(address)
            if peer is not None and peer not in tried:
                told.setdefault(peer, []).append(address)
        for own in [own for peer, own in told.items() if self._is_new(peer)][: self.lacking]:
            for address in own[:MAX_OF_ONE]:
                self._handed(self._try, address)

    def _is_new(self, peer: PeerId | None) -> bool:
        return peer is not None and peer not in self._channels() and peer != self._membership.peer

    # -- saying ----------------------------------------------------------------------------------

    def _unfound(self) -> str:
        record = self._membership.record
        if record is None:
            return ""
        wanted = self._wanted()
        if "gateway" in self._roles:
            if self._channels() or not wanted:
                return ""  # it can serve alone, and knows of nobody
            what = "other member"
        elif self.gateways:
            return ""
        else:
            what = "gateway"
        return f"No {what} of the network {record.name} is reached yet: {_how(wanted)}"

    def _say(self, unfound: str) -> None:
        if unfound and not self._is_searching:
            log.info("%s", unfound, extra={"sign": "🔄"})
        elif self._is_searching and not unfound:
            log.info("what was looked for in the network was found", extra={"sign": "✅"})
        self._is_searching = bool(unfound)


def _how(wanted: list[Wanted]) -> str:
    if not wanted:
        return (
            "none of their addresses is known here, and this node waits until one is heard of, or "
            "comes. A new invitation holds addresses that are good today."
        )
    tried = "1 address is" if len(wanted) == 1 else f"{len(wanted)} addresses are"
    notes = [w.note for w in wanted if w.note]
    return f"{tried} tried again and again." + (f" The last try: {notes[0]}" if notes else "")


def _peer_of(address: str) -> PeerId | None:
    try:
        return parse_target(address, beyond=True).peer
    except NoPeer:
        return None
