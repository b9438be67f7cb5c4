"""A direct connection in place of a relayed one, where it can be had (as libp2p's DCUtR).

The two sides tell each other over the relayed channel where they are seen, agree on a moment half
a round trip from now, and connect to each other in it. Who dialed the relayed channel leads, and
speaks first on what comes of it. When one side is reached directly, the other just connects to it.

Either side connects only to an ip at which their relay sees the other: any else would be a third
party's. All three are members, by certificate. So in no network nobody punches.

The direct connection takes the relayed one's place while no request runs, so that none is lost.
It is an improvement and never needed: behind symmetric NATs, and most that answer RST, it fails.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from itertools import chain, repeat
from typing import TYPE_CHECKING

import msgspec
import trio
from libp2p.io.trio import TrioTCPStream

from aiplat.domain.errors import InvalidRequest
from aiplat.domain.ids import PeerId
from aiplat.node.addresses import Endpoint, Target, seen_from
from aiplat.node.channel import Channel
from aiplat.node.nat.crossing import cross
from aiplat.node.nat.observed import MAX_PLACES, Observed, Place, own_places
from aiplat.node.nat.punches import Punches
from aiplat.node.pipe import StreamPipe
from aiplat.node.settings import NodeSettings
from aiplat.protocol.framing import UNREADABLE
from aiplat.protocol.messages import PROTOCOL_ID, Call, Reply
from aiplat.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from aiplat.node.host import Host

log = logging.getLogger("aiplat.node.nat")

PUNCH, SYNC = "nat.punch", "nat.sync"
PAUSES = (1.0, 5.0, 30.0)
"""Seconds before each try. A new channel's first requests go first, and a node that has just
started does not yet know where it is seen."""
LATER_SECONDS = 600.0
"""Between the tries after those, while it is relayed: a NAT is replaced, a machine moves."""
IDLE_SECONDS = 0.3
"""A channel without a request for so long counts as idle."""
WAIT_IDLE_SECONDS = 600.0
KEEP_SECONDS = 8.0
"""For a channel to fall idle again, while the direct connection waits for it."""


class Punch(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where the sender is seen; `come` says that it is reached there: just connect."""

    places: tuple[Place, ...]
    come: bool = False


class Punched(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where the answerer is seen, and whether it came."""

    places: tuple[Place, ...] = ()
    came: bool = False


_PUNCH = msgspec.msgpack.Decoder(Punch)
_PUNCHED = msgspec.msgpack.Decoder(Punched)

Replace = Callable[[Target, StreamPipe], Awaitable[Channel]]


class HolePunch:
    """The tries of one node.

    Arguments:
        settings: bounds and deadlines.
        metrics: where hits of bounds are counted.
        places: gives where members see this node, and whether they reach it there.
        replace: makes a channel over a better connection in place of a relayed one.
        observed: knows where relays see others.
        vouching: gives the channel with the relay of another, when all are members.
    """

    def __init__(
        self,
        settings: NodeSettings,
        metrics: Metrics,
        places: Callable[[], tuple[tuple[Place, ...], bool]],
        replace: Replace,
        observed: Observed,
        vouching: Callable[[Channel], Channel | None],
    ) -> None:
        self._settings = settings
        self._observed = observed
        self._vouching = vouching
        self._punches = Punches(settings, metrics)
        self._places = places
        self._replace = replace
        self._agreed: dict[PeerId, list[Endpoint]] = {}

    # -- who leads -------------------------------------------------------------------------------

    async def improve(self, host: Host, channel: Channel) -> None:
        """Try for a direct connection in place of a relayed channel: soon, and then seldom."""
        for pause in chain(PAUSES, repeat(LATER_SECONDS)):
            with trio.move_on_after(pause):
                await channel.wait_ended()
                return
            if not await _idle(channel, WAIT_IDLE_SECONDS):
                continue
            try:
                if await self._try(host, channel):
                    return
            except Exception as fault:  # noqa: BLE001  # of libp2p's many kinds: the relay stays
                log.debug(
                    "no way past the relay", extra={"peer": channel.peer, "fault": str(fault)}
                )

    async def _try(self, host: Host, channel: Channel) -> bool:
        places, reached = self._places()
        if not places:
            return False
        began = trio.current_time()
        ask = Call(PUNCH, _raw(Punch(places[:MAX_PLACES], come=reached)))
        reply = await channel.call(ask, self._settings.connect_seconds)
        trip = trio.current_time() - began
        if reply.failed is not None:
            return False
        answer = _PUNCHED.decode(reply.body)
        if reached:
            return answer.came and await self._over_theirs(host, channel)
        theirs = self._theirs(channel, answer.places)
        if not theirs:
            return False
        with self._punches.one(channel.peer):
            stream = await self._meet(host, channel, theirs, trip)
        return stream is not None and await self._over_ours(host, channel, stream)

    async def _over_theirs(self, host: Host, channel: Channel) -> bool:
        """They came: their connection is here, and carries streams both ways."""
        pipe = await host.stream(channel.peer, PROTOCOL_ID)
        if pipe.via is not None:
            await pipe.reset()
            return False
        ip, port = pipe.remote or ("0.0.0.0", 0)  # nothing is bound to it
        return await self._take(channel, pipe, Endpoint(ip, port))

    async def _meet(
        self, host: Host, channel: Channel, places: Sequence[Endpoint], trip: float
    ) -> trio.SocketStream | None:
        """Both connect at the same moment."""
        found: list[trio.SocketStream | None] = []
        async with trio.open_nursery() as nursery:

            async def go() -> None:
                await trio.sleep(trip / 2)
                seconds = self._settings.nat_probe_seconds
                connects = self._punches.connects()
                found.append(await cross(host.listeners, places, seconds, connects))

            nursery.start_soon(go)
            try:
                await channel.call(Call(SYNC), self._settings.connect_seconds)
            except BaseException:
                for stream in filter(None, found):
                    stream.socket.close()
                raise
        return found[0] if found else None

    async def _over_ours(self, host: Host, channel: Channel, stream: trio.SocketStream) -> bool:
        """They met: the leader speaks first."""
        where = stream.socket.getpeername()
        try:
            with trio.fail_after(self._settings.connect_seconds):
                pipe = await host.open_over(TrioTCPStream(stream), channel.peer)
        except BaseException:
            stream.socket.close()
            raise
        return await self._take(channel, pipe, Endpoint(where[0], where[1]))

    async def _take(self, channel: Channel, pipe: StreamPipe, place: Endpoint) -> bool:
        """Let the direct connection take the relayed one's place when no request runs."""
        if not await _idle(channel, KEEP_SECONDS):
            pipe.abort()
            return False
        await self._replace(Target(place, channel.peer), pipe)
        log.info("a direct connection took the relay's place", extra={"peer": channel.peer})
        return True

    # -- who follows -----------------------------------------------------------------------------

    async def called(
        self, host: Host, nursery: trio.Nursery, channel: Channel, call: Call
    ) -> Reply:
        """Answer one who leads.

        Raises:
            InvalidRequest: it may not lead, or says what makes no sense.
            RateLimited, Overloaded: a bound is hit.
        """
        if channel.dialed or self._vouching(channel) is None or not self._settings.punch:
            raise InvalidRequest(
                "Only a member that dialed a channel relayed by a member asks for a way past it."
            )
        if call.method == SYNC:
            return self._sync(host, nursery, channel.peer)
        self._punches.ask(channel.peer)
        try:
            punch = _PUNCH.decode(call.body)
        except UNREADABLE as fault:
            raise InvalidRequest(f"The call {PUNCH} cannot be read: {fault}.") from None
        theirs = self._theirs(channel, punch.places)
        if punch.come:
            return Reply(_raw(Punched(came=await self._come(host, channel.peer, theirs))))
        if not theirs:
            return Reply(_raw(Punched()))
        self._agreed[channel.peer] = theirs
        return Reply(_raw(Punched(self._places()[0][:MAX_PLACES])))

    def _sync(self, host: Host, nursery: trio.Nursery, peer: PeerId) -> Reply:
        """The moment is here."""
        agreed = self._agreed.pop(peer, None)
        if agreed is None:
            raise InvalidRequest(f"Nothing was agreed on: {PUNCH} comes before each {SYNC}.")
        self._punches.begin(peer)
        nursery.start_soon(self._follow, host, peer, agreed)
        return Reply()

    def _theirs(self, channel: Channel, named: Sequence[Place]) -> list[Endpoint]:
        """Those of the places that a peer names which are its own, as its relay sees it."""
        relay = self._vouching(channel)
        if relay is None:
            return []
        seen = self._observed.ips(relay.peer, channel.peer)
        return own_places(named, seen, seen_from(relay.address))

    async def _come(self, host: Host, peer: PeerId, places: Sequence[Endpoint]) -> bool:
        """Connect to who is reached; all places together within `nat_probe_seconds`."""
        with self._punches.one(peer):
            for place in places:
                try:
                    with trio.fail_after(self._settings.nat_probe_seconds / len(places)):
                        await host.connect(place, peer)
                except Exception as fault:  # noqa: BLE001  # of libp2p's many kinds: not there
                    log.debug("not reached", extra={"peer": peer, "fault": repr(fault)})
                else:
                    return True
        return False

    async def _follow(self, host: Host, peer: PeerId, places: Sequence[Endpoint]) -> None:
        """Connect at once, and let the other side speak first."""
        try:
            seconds, connects = self._settings.nat_probe_seconds, self._punches.connects()
            try:
                stream = await cross(host.listeners, places, seconds, connects)
            finally:
                self._punches.end(peer)
            if stream is not None:
                try:
                    await host.accept_over(TrioTCPStream(stream))
                finally:
                    stream.socket.close()
        except Exception as fault:  # noqa: BLE001  # of libp2p's many kinds: the relay stays
            log.debug("no way past the relay", extra={"fault": repr(fault)})

    def ended(self, peer: PeerId) -> None:
        """What was agreed with a peer is void."""
        self._agreed.pop(peer, None)


async def _idle(channel: Channel, seconds: float) -> bool:
    """Wait until no request runs; tells whether that came in time and the channel lives."""
    with trio.move_on_after(seconds):
        while not channel.is_ended:
            if channel.active == 0:
                await trio.sleep(IDLE_SECONDS)
                if channel.active == 0 and not channel.is_ended:
                    return True
            await trio.sleep(IDLE_SECONDS)
    return False


def _raw(what: msgspec.Struct) -> msgspec.Raw:
    return msgspec.Raw(msgspec.msgpack.encode(what))
