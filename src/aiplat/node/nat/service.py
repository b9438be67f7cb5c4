"""Being reached: knows whether others reach this node, and keeps relays while they do not.

A `Service` of the node. What it finds is `NatService.reach`; the addresses that work besides the
node's own are announced by the node.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from itertools import islice
from typing import TYPE_CHECKING

import trio

from aiplat.domain.errors import AiplatError, InvalidRequest, NoPeer, NotAMember, NotReady
from aiplat.domain.ids import PeerId, short
from aiplat.node.addresses import (
    Endpoint,
    Target,
    complete,
    parse_target,
    relay_in,
)
from aiplat.node.nat.autonat import DIAL_ME, DialBack, ask
from aiplat.node.nat.circuits import Circuits
from aiplat.node.nat.holepunch import PUNCH, SYNC, HolePunch, Replace
from aiplat.node.nat.members import Members
from aiplat.node.nat.observed import Place
from aiplat.node.nat.reach import DialedBack, Reach, Seen, judge, relayed
from aiplat.node.nat.relay import Relay
from aiplat.node.pipe import StreamPipe
from aiplat.node.settings import NodeSettings
from aiplat.protocol.framing import UNREADABLE
from aiplat.protocol.messages import Addresses, Call, Reply, Revocations
from aiplat.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from aiplat.node.channel import Channel
    from aiplat.node.host import Host
    from aiplat.node.membership.membership import Membership

log = logging.getLogger("aiplat.node.nat")

MAX_ASKED = 3
GATHER_SECONDS = 0.1
"""After a change, for those that come with it: a node that starts gets several channels at once."""
MAX_RETURNS = 8
"""Lost relays that are dialed again at once."""


class NatService:
    """How one node is reached.

    Arguments:
        settings: bounds and deadlines.
        metrics: where hits of bounds are counted.
        us: this node's peer id.
        channels: gives the live channels, by peer.
        reach: gives the live channel to the peer at an address, or a new one.
        own: gives the complete addresses that this node listens on.
        announce: takes the addresses that reach this node besides those.
        replace: makes a channel over a better connection in place of a relayed one.
        membership: says who is a member, and may be believed and helped.
    """

    def __init__(
        self,
        settings: NodeSettings,
        metrics: Metrics,
        us: PeerId,
        channels: Callable[[], Mapping[PeerId, Channel]],
        reach: Callable[[str], Awaitable[Channel]],
        own: Callable[[], tuple[str, ...]],
        announce: Callable[[tuple[str, ...]], None],
        replace: Replace,
        membership: Membership,
    ) -> None:
        self.reach = Reach()
        self._members = Members(membership)
        self.relay = Relay(settings, metrics, channels, self._members.trusted)
        self._settings = settings
        self._us = us
        self._channels = channels
        self._reach_peer = reach
        self._own = own
        self._announce = announce
        self._announced: tuple[str, ...] = ()
        self._circuits = Circuits(settings, channels, self._members.trusted)
        self._punch = HolePunch(
            settings, metrics, self._where, replace, self._circuits.observed, self._vouching
        )
        self._dial_back = DialBack(settings, metrics, self._would_relay)
        self._seen = Seen(None)
        self._asked: set[PeerId] = set()
        self._offers: dict[PeerId, bool] = {}
        self._relays: dict[PeerId, str] = {}
        self._returning: set[PeerId] = set()
        self._changed = trio.Event()
        self._host: Host | None = None
        self._nursery: trio.Nursery | None = None

    # -- `Service` -------------------------------------------------------------------------------

    async def run(self, host: Host) -> None:
        """Look again and again; at once when something changed."""
        self.relay.open(host)
        self._circuits.open(host)
        self._forget()
        self._host = host
        host.relay_dial = self._dial
        try:
            async with trio.open_nursery() as self._nursery:
                pause = self._settings.reconnect_min_seconds
                while True:
                    await self._look()
                    self._settle()
                    pause = self._next_pause(pause)
                    with trio.move_on_after(pause):
                        await self._changed.wait()
                        await trio.sleep(GATHER_SECONDS)
                    self._changed = trio.Event()
        finally:
            self._host = self._nursery = None

    def opened(self, channel: Channel) -> None:
        """Ask it, while too few were asked; take it for a relay, while there are too few."""
        if channel.peer not in self._asked and (len(self._asked) < MAX_ASKED or self._lacks_relays):
            self._changed.set()
        host, nursery = self._host, self._at_work
        if not channel.dialed or self._vouching(channel) is None or not self._settings.punch:
            return
        if host is not None and nursery is not None:
            nursery.start_soon(self._punch.improve, host, channel)

    def told(self, channel: Channel, news: Revocations | Addresses) -> None:
        """Nothing: where others are is not asked here."""

    async def called(self, channel: Channel, call: Call) -> Reply | None:
        """Dial a peer back that asks for it, or look with it for a way past a relay."""
        host, nursery = self._host, self._at_work
        if call.method in (PUNCH, SYNC) and host is not None and nursery is not None:
            return await self._punch.called(host, nursery, channel, call)
        if call.method != DIAL_ME:
            return None
        if not self._members.trusted(channel):
            raise NotAMember(f"Only members are dialed back, and {short(channel.peer)} is none.")
        try:
            return await self._dial_back.answer(self._host, channel, call)
        except UNREADABLE as fault:
            raise InvalidRequest(f"The call {DIAL_ME} cannot be read: {fault}.") from None

    def ended(self, channel: Channel, reason: str) -> None:
        """A relay that is lost is replaced, and looked for."""
        self._punch.ended(channel.peer)
        self._asked.discard(channel.peer)
        self._offers.pop(channel.peer, None)
        address = self._relays.pop(channel.peer, None)
        if address is None:
            return
        log.info("a relay is lost: %s", reason, extra={"peer": channel.peer})
        self._settle()
        self._changed.set()
        nursery = self._at_work
        if nursery is not None and len(self._returning) < MAX_RETURNS:
            nursery.start_soon(self._return_to, channel.peer, address)

    @property
    def _at_work(self) -> trio.Nursery | None:
        """Where tasks are begun; None while the node stops: its channels end, and tell of it."""
        nursery = self._nursery
        return None if nursery is None or nursery.cancel_scope.cancel_called else nursery

    # -- finding out -----------------------------------------------------------------------------

    async def _look(self) -> None:
        """Find out, unless there is nobody to ask: then what was found still counts."""
        seen = await self._opinion()
        if self._seen.direct and seen.direct is False:
            seen = await self._opinion()  # one may have been busy, or gone as it was asked
        if seen.direct is not None or self._seen.direct is None:
            self._seen = seen

    async def _opinion(self) -> Seen:
        """Ask some members to dial this node."""
        asked = self._whom_to_ask()
        ports = tuple(sorted({place.port for place in self._places()}))
        answers: dict[PeerId, DialedBack] = {}

        async def ask_one(channel: Channel) -> None:
            seconds = self._settings.nat_probe_seconds + self._settings.handshake_seconds
            answer = await ask(channel, ports, seconds)
            if answer is not None:
                answers[channel.peer] = answer

        async with trio.open_nursery() as nursery:
            for channel in asked:
                nursery.start_soon(ask_one, channel)
        self._asked = {channel.peer for channel in asked}
        self._offers |= {peer: answer.relays for peer, answer in answers.items()}
        return judge(answers.values(), ports)

    def _whom_to_ask(self) -> list[Channel]:
        """Members with a direct connection: relays first, then those that this node dialed."""
        direct = [c for c in self._channels().values() if not c.is_ended and _is_direct(c)]
        random.shuffle(direct)  # no secret
        direct.sort(key=lambda c: (c.peer not in self._relays, not c.dialed))
        return list(islice(filter(self._members.trusted, direct), MAX_ASKED))

    def _places(self) -> list[Endpoint]:
        return [parse_target(address, beyond=True).endpoint for address in self._own()]

    def _next_pause(self, last: float) -> float:
        """Until the next look: short and growing while what is known is not enough."""
        if self._seen.direct is None or self._lacks_relays:
            return min(max(last, self._settings.reconnect_min_seconds) * 2, 60.0)
        return self._settings.nat_check_seconds * random.uniform(0.75, 1.0)  # no secret

    # -- relays ----------------------------------------------------------------------------------

    @property
    def _lacks_relays(self) -> bool:
        return self._seen.direct is False and len(self._relays) < self._settings.nat_relays

    def _would_relay(self) -> bool:
        return self._settings.relay and self.reach.state in ("direct", "unknown")

    def _settle(self) -> None:
        """Keep as many relays as are needed, and say what came of it."""
        if self._seen.direct:
            self._relays = {}
        else:
            self._relays = {p: a for p, a in self._relays.items() if self._is_relay(p)}
            if self._lacks_relays:
                self._take_more()
        now = relayed(self._seen, tuple(self._relays))
        if now.state != self.reach.state:
            log.info("this node is %s: %s", now.state, now.why)
        self.reach = now
        addresses = self._beyond()
        if addresses != self._announced:
            self._announced = addresses
            self._announce(addresses)

    def _take_more(self) -> None:
        for peer, channel in self._channels().items():
            if len(self._relays) < self._settings.nat_relays and self._is_relay(peer):
                self._relays.setdefault(peer, channel.address)

    def _is_relay(self, peer: PeerId) -> bool:
        """Tell whether a peer relays: who was reached from behind a NAT is reached by others."""
        channel = self._channels().get(peer)
        return (
            channel is not None
            and not channel.is_ended
            and channel.dialed
            and _is_direct(channel)
            and self._offers.get(peer, False)
            and self._members.trusted(channel)
        )

    def _beyond(self) -> tuple[str, ...]:
        """Addresses that reach this node and are none of its own: a forwarded port, its relays."""
        own = set(self._own())
        forwarded = [complete(Endpoint(ip, port), self._us) for ip, port in self._seen.places]
        circuits = []
        for address in self._relays.values():
            relay = parse_target(address, beyond=True)
            circuits.append(Target(relay.endpoint, self._us, relay.peer).text)
        return tuple(dict.fromkeys(a for a in (*forwarded, *circuits) if a not in own))

    async def _return_to(self, peer: PeerId, address: str) -> None:
        """Dial a lost relay until it is back, or others took its place."""
        if peer in self._returning:
            return
        self._returning.add(peer)
        pause = self._settings.reconnect_min_seconds
        try:
            while self._lacks_relays and peer not in self._channels():
                await trio.sleep(pause * random.uniform(0.75, 1.0))  # no secret
                pause = min(pause * 2, self._settings.reconnect_max_seconds)
                try:
                    await self._reach_peer(address)
                except AiplatError as fault:
                    log.debug("a relay is not back: %s", fault, extra={"peer": peer})
        finally:
            self._returning.discard(peer)

    def _forget(self) -> None:
        """A new life of the host: nothing of the last one holds."""
        self.reach = Reach()
        self._seen = Seen(None)
        self._asked, self._offers, self._relays = set(), {}, {}
        self._announced = ()

    def _where(self) -> tuple[tuple[Place, ...], bool]:
        """Where members see this node, and whether they reach it there."""
        if self._seen.direct:
            return self._seen.places, True
        port = next((place.port for place in self._places()), 0)
        return tuple((ip, port) for ip in self._seen.ips), False

    def _vouching(self, channel: Channel) -> Channel | None:
        """The channel with the relay of another, when all three are members; else None."""
        relay = self._channels().get(relay_in(channel.address) or channel.peer)
        if relay is None or relay.peer == channel.peer or not self._members.certified(relay):
            return None
        return relay if self._members.certified(channel) else None

    # -- reaching others by a relay --------------------------------------------------------------

    async def _dial(self, target: Target) -> StreamPipe:
        """Open a stream to a peer through its relay (`Host.relay_dial`).

        Raises:
            NoPeer: says which of the two was not reached, and why.
        """
        host, nursery, relay = self._host, self._at_work, target.relay
        if host is None or nursery is None:
            raise NotReady("The node does not run yet, or no more.")
        if relay is None or relay == self._us:
            raise NoPeer(f"{target.text} names this node itself as the relay.")
        channel = self._channels().get(relay)
        if channel is None or channel.is_ended:
            await self._reach_peer(complete(target.endpoint, relay))
        return await self._circuits.dial(host, relay, target.peer, nursery)


def _is_direct(channel: Channel) -> bool:
    return relay_in(channel.address) is None
