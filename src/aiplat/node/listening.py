"""Where a node listens, and under which addresses others are told that they reach it."""

from __future__ import annotations

import contextlib
import ipaddress
import logging
from collections.abc import Iterable, Sequence
from pathlib import Path

import ifaddr

from aiplat.domain.ids import PeerId
from aiplat.node.addresses import Endpoint, complete, parse_listen
from aiplat.node.files import write_private

log = logging.getLogger("aiplat.node")

LOOPBACK = "/ip4/127.0.0.1/tcp/0"
EVERYWHERE = "/ip4/0.0.0.0/tcp/0"
MAX_ANNOUNCED = 16


def where_to_listen(listen: Sequence[str], *, in_network: bool, port: int) -> list[Endpoint]:
    """The places to listen at.

    Arguments:
        listen: what the settings say; empty leaves the choice to the node: every interface in a
            network, loopback elsewhere.
        in_network: whether the node is in one.
        port: in place of port 0, so that the addresses that others keep stay good; 0 for any.

    Raises:
        ConfigError: an address is none, or beyond loopback for a node that is in no network.
    """
    given = listen or ((EVERYWHERE,) if in_network else (LOOPBACK,))
    endpoints = [parse_listen(address, beyond=in_network) for address in given]
    first = endpoints[0]
    if first.port == 0 and port:
        endpoints[0] = Endpoint(first.ip, port)
    return endpoints


def announced(listening: Iterable[Endpoint], peer: PeerId) -> tuple[str, ...]:
    """Complete multiaddrs for what is listened on, those that reach farthest first.

    A wildcard stands for the machine's own addresses: as it is, it would reach nobody.
    Loopback stays, last: a peer on the same machine may have no other way.
    """
    found = [place for endpoint in listening for place in _concrete(endpoint)]
    found.sort(key=lambda place: _nearness(place.ip))
    return tuple(dict.fromkeys(complete(place, peer) for place in found))[:MAX_ANNOUNCED]


def _concrete(endpoint: Endpoint) -> list[Endpoint]:
    if not ipaddress.ip_address(endpoint.ip).is_unspecified:
        return [endpoint]
    version = ipaddress.ip_address(endpoint.ip).version
    return [Endpoint(ip, endpoint.port) for ip in own_ips() if _version(ip) == version]


def own_ips() -> list[str]:
    """The addresses of this machine's interfaces, link-local ones left out."""
    ips = [
        ip.ip if ip.is_IPv4 else ip.ip[0] for adapter in ifaddr.get_adapters() for ip in adapter.ips
    ]
    return [ip for ip in map(str, ips) if not ipaddress.ip_address(ip).is_link_local]


def _version(ip: str) -> int:
    return ipaddress.ip_address(ip).version


def _nearness(ip: str) -> int:
    address = ipaddress.ip_address(ip)
    return 2 if address.is_loopback else 1 if address.is_private else 0


class PortMemory:
    """The port that the node got, kept for its next start.

    Arguments:
        path: a file; None remembers nothing.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self.port = self._load()

    def _load(self) -> int:
        if self._path is None:
            return 0
        try:
            port = int(self._path.read_text(encoding="ascii")[:16])
        except (OSError, ValueError):
            return 0
        return port if 0 < port < 65_536 else 0

    def keep(self, port: int) -> None:
        """Write it down; that it cannot be is only a warning."""
        if port == self.port:
            return
        self.port = port
        if self._path is not None:
            try:
                self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                write_private(self._path, f"{port}\n".encode())
            except OSError as fault:
                log.warning("the port was not kept: %s", fault, extra={"path": str(self._path)})

    def forget(self) -> None:
        """Take any port next time."""
        self.port = 0
        if self._path is not None:
            with contextlib.suppress(OSError):
                self._path.unlink(missing_ok=True)
