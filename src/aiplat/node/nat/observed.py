"""Where relays see those that this node speaks with through them.

A peer may name any address as its own, and have a third party connected to. What a relay says of
it is better: it is the ip from which the peer's connection with that relay comes.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from aiplat.domain.ids import PeerId
from aiplat.node.addresses import Endpoint

Place = tuple[str, int]
"""An ip and a port, as a peer says them."""

MAX_PLACES = 4


class Observed:
    """What the relays of the circuits that stand now said of the other end."""

    def __init__(self) -> None:
        self._seen: Counter[tuple[PeerId, PeerId, str]] = Counter()

    @contextmanager
    def during(self, relay: PeerId, peer: PeerId, ip: str) -> Iterator[None]:
        """Keep while a circuit stands at which ip its relay sees the peer; empty when it cannot."""
        seen = (relay, peer, ip)
        self._seen[seen] += 1
        try:
            yield
        finally:
            self._seen[seen] -= 1
            self._seen += Counter()  # drops those at zero

    def ips(self, relay: PeerId, peer: PeerId) -> frozenset[str]:
        """Where a relay sees a peer."""
        found = (ip for by, who, ip in self._seen if (by, who) == (relay, peer))
        return frozenset(text for ip in found if (text := _written(ip)))


def own_places(named: Sequence[Place], seen: frozenset[str], relay_ip: str) -> list[Endpoint]:
    """Those of the places that a peer names which may be connected to, at most four.

    Arguments:
        named: what the peer says.
        seen: the ips at which the relay sees it. Any other would be a third party's.
        relay_ip: where this node sees the relay. A private ip means the same machine to two
            nodes of one private network only, so the relay has to be in it with this node.
    """
    found = []
    for ip, port in named[:MAX_PLACES]:
        text = _written(ip)
        if text in seen and 0 < port < 65536 and _is_harmless(text, relay_ip):
            found.append(Endpoint(text, port))
    return list(dict.fromkeys(found))


def _is_harmless(ip: str, relay_ip: str) -> bool:
    """Tell whether it is none on this machine, none of many, and the same to the relay and us."""
    address = ipaddress.ip_address(ip)
    if address.is_loopback or address.is_multicast or address.is_unspecified:
        return False
    if address.is_link_local or address.is_reserved:
        return False
    if address.is_global:
        return True
    relay = _written(relay_ip)
    return bool(relay) and not ipaddress.ip_address(relay).is_global


def _written(ip: str) -> str:
    """The one way to write an ip; empty for what is none. `::ffff:127.0.0.1` is 127.0.0.1."""
    try:
        address = ipaddress.ip_address(ip)
    except ValueError:
        return ""
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)
