"""The peers of this node, as a person sees them. Looks, and changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from msgspec.structs import replace

from aiplat.control.messages import PeerStatus
from aiplat.domain.ids import PeerId
from aiplat.node.addresses import relay_in
from aiplat.node.channel import Channel
from aiplat.node.node import Node
from aiplat.roles.client import Client
from aiplat.roles.gateway import Gateway
from aiplat.roles.hearsay import Heard, Hearsay
from aiplat.roles.told import row

MAX_MET = 10_000
"""Peers whose coming is remembered; the oldest is forgotten first."""


NEVER_FOUND_SECONDS = 60.0
"""After which a member that was never reached in this life is not listed any more; `doctor` still
tells of it."""


@dataclass
class Peers:
    """Who is there, who is tried, and who is shut out.

    Arguments:
        now: the clock, in seconds.
        hearsay: what this node's gateways tell; None for who asks none.
    """

    node: Node
    client: Client | None
    gateway: Gateway | None
    now: Callable[[], float]
    hearsay: Hearsay | None = None
    _met: dict[PeerId, None] = field(default_factory=dict)

    def opened(self, channel: Channel) -> None:
        """A peer came: from now on it is there, or gone, but not tried for the first time."""
        self._met.pop(channel.peer, None)
        self._met[channel.peer] = None
        while len(self._met) > MAX_MET:
            del self._met[next(iter(self._met))]

    def all(self) -> tuple[PeerStatus, ...]:
        """Everyone, also those that were lost and are tried again."""
        blocked = self.node.membership.blocked
        connected = [self._connected(channel) for channel in self.node.channels.values()]
        seen = {*(status.peer_id for status in connected), *blocked}
        tried: dict[str, PeerStatus] = {}
        for one in self.node.wanted:
            known = tried.get(one.peer_id)
            if one.peer_id not in seen and (known is None or not known.note):
                tried[one.peer_id] = PeerStatus(
                    peer_id=one.peer_id, state="connecting", address=one.address, note=one.note
                )
        shut_out = [PeerStatus(peer_id=peer, state="blocked") for peer in sorted(blocked)]
        return (*connected, *tried.values(), *shut_out)

    def not_gone(self) -> tuple[PeerStatus, ...]:
        """Everyone but those that were lost, whether or not they are tried again, and members
        that an earlier life knew and that this one did not find within a minute."""
        gone = {*self._met, *self._never_found()}
        return tuple(
            peer for peer in self.all() if peer.state != "connecting" or peer.peer_id not in gone
        )

    def _never_found(self) -> set[PeerId]:
        if self.node.membership.record is None:
            return set()  # outside of a network whoever is tried was named by a person
        tried = [one for one in self.node.wanted if one.away_seconds < NEVER_FOUND_SECONDS]
        return {one.peer_id for one in self.node.wanted} - {one.peer_id for one in tried}

    async def seen(self) -> tuple[PeerStatus, ...]:
        """Everyone but those that were lost, and whom this node's gateways see besides."""
        heard = dict(await self.hearsay.listen()) if self.hearsay is not None else {}
        own = [_filled(peer, heard.get(PeerId(peer.peer_id))) for peer in self.not_gone()]
        known = {self.node.peer_id, *(peer.peer_id for peer in own)}
        return (*own, *(_told(one) for peer, one in heard.items() if peer not in known))

    def heard_of(self) -> tuple[PeerId, ...]:
        """Whom its gateways told of last."""
        return tuple(self.hearsay.known) if self.hearsay is not None else ()

    def _connected(self, channel: Channel) -> PeerStatus:
        processor = None if self.gateway is None else self.gateway.processors.get(channel.peer)
        told = row(channel, processor, self.now())
        relay = relay_in(channel.address)
        return PeerStatus(
            peer_id=channel.peer,
            roles=channel.roles,
            state="draining" if told.draining else "connected",
            address=channel.address,
            agent=channel.hello.agent,
            latency_ms=None if channel.latency is None else round(channel.latency * 1000, 2),
            models=told.models,
            note=told.paused or ("draining" if told.draining else ""),
            version=channel.hello.agent.partition("/")[2],
            since_seconds=told.since_seconds,
            slots=told.slots,
            running=told.running,
            waiting=told.waiting,
            tokens_per_second=told.tokens_per_second,
            measured_tokens_per_second=told.measured_tokens_per_second,
            path="direct" if relay is None else "relayed",
            via=relay or "",
        )


def _told(heard: Heard) -> PeerStatus:
    """A peer that only a gateway sees."""
    peer = heard.peer
    return _with_offers(
        PeerStatus(
            peer_id=peer.peer_id, roles=peer.known_roles, version=peer.version,
            since_seconds=peer.since_seconds,
        ),
        heard,
    )  # fmt: skip


def _filled(own: PeerStatus, heard: Heard | None) -> PeerStatus:
    """A peer of this node's own, with what only a gateway knows of it: a processor announces there.

    One that is not reached from here, or shut out, stays that.
    """
    if heard is None or own.models or own.state == "blocked" or not heard.peer.models:
        return own
    return _with_offers(own, heard)


def _with_offers(peer: PeerStatus, heard: Heard) -> PeerStatus:
    told = heard.peer
    if told.draining and peer.state == "connected":
        peer = replace(peer, state="draining", note=told.paused or "draining")
    return replace(
        peer, models=told.models, slots=told.slots, running=told.running, waiting=told.waiting,
        tokens_per_second=told.tokens_per_second,
        measured_tokens_per_second=told.measured_tokens_per_second, seen_by=heard.by,
    )  # fmt: skip
