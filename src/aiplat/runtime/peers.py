"""The peers of this node, as a person sees them. Looks, and changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from aiplat.control.messages import PeerStatus
from aiplat.domain.ids import PeerId
from aiplat.node.addresses import relay_in
from aiplat.node.channel import Channel
from aiplat.node.node import Node
from aiplat.roles.client import Client
from aiplat.roles.gateway import Gateway

MAX_MET = 10_000
"""Peers whose coming is remembered; the oldest is forgotten first."""


@dataclass
class Peers:
    """Who is there, who is tried, and who is shut out.

    Arguments:
        now: the clock, in seconds.
    """

    node: Node
    client: Client | None
    gateway: Gateway | None
    now: Callable[[], float]
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
        """Everyone but those that were lost, whether or not they are tried again."""
        return tuple(
            peer
            for peer in self.all()
            if peer.state != "connecting" or peer.peer_id not in self._met
        )

    def _connected(self, channel: Channel) -> PeerStatus:
        drains = self._drains(channel.peer)
        processor = None if self.gateway is None else self.gateway.processors.get(channel.peer)
        offers = () if processor is None else tuple(processor.offers.values())
        speeds = [offer.tokens_per_second for offer in offers if offer.tokens_per_second]
        measured = {} if processor is None else processor.measured
        relay = relay_in(channel.address)
        return PeerStatus(
            peer_id=channel.peer,
            roles=channel.roles,
            state="draining" if drains else "connected",
            address=channel.address,
            agent=channel.hello.agent,
            latency_ms=None if channel.latency is None else round(channel.latency * 1000, 2),
            models=tuple(offer.name for offer in offers),
            note="draining" if drains else "",
            version=channel.hello.agent.partition("/")[2],
            since_seconds=round(self.now() - channel.opened, 1),
            slots=sum(offer.slots for offer in offers) if offers else None,
            running=sum(offer.running for offer in offers) if offers else None,
            waiting=sum(offer.waiting for offer in offers) if offers else None,
            tokens_per_second=max(speeds, default=None),
            measured_tokens_per_second=round(max(measured.values()), 1) if measured else None,
            path="direct" if relay is None else "relayed",
            via=relay or "",
        )

    def _drains(self, peer: PeerId) -> bool:
        processor = None if self.gateway is None else self.gateway.processors.get(peer)
        gateway = None if self.client is None else self.client.gateways.get(peer)
        return any(known is not None and known.draining for known in (processor, gateway))
