"""Multiaddrs as a person gives them: read, checked, and refused in words."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from libp2p.peer.id import ID
from multiaddr import Multiaddr  # type: ignore[import-untyped]  # it has no types

from aiplat.domain.errors import ConfigError, InvalidRequest, NoPeer, clip
from aiplat.domain.ids import PeerId

_EXAMPLE = "/ip4/127.0.0.1/tcp/4001/p2p/12D3KooW…"


class NoAddress(InvalidRequest, NoPeer):
    """A text that is no address of a peer: who typed it used it wrongly, and nobody is there."""


@dataclass(frozen=True)
class Endpoint:
    """An ip and a TCP port. `ip` is written as `ipaddress` does."""

    ip: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether it is on this machine."""
        return ipaddress.ip_address(self.ip).is_loopback

    def __str__(self) -> str:
        """Write it as a multiaddr."""
        kind = "ip6" if ":" in self.ip else "ip4"
        return f"/{kind}/{self.ip}/tcp/{self.port}"


@dataclass(frozen=True)
class Target:
    """A peer, and where it is. `text` is the complete multiaddr.

    With a `relay`, the endpoint is where that is, and the peer is reached through it.
    """

    endpoint: Endpoint
    peer: PeerId
    relay: PeerId | None = None

    @property
    def text(self) -> str:
        """The complete multiaddr."""
        if self.relay is not None:
            return f"{complete(self.endpoint, self.relay)}/p2p-circuit/p2p/{self.peer}"
        return complete(self.endpoint, self.peer)


def complete(endpoint: Endpoint, peer: PeerId) -> str:
    """Join where a peer listens and who it is."""
    return f"{endpoint}/p2p/{peer}"


def parse_target(address: str, *, beyond: bool = False) -> Target:
    """Read the address of a peer.

    Arguments:
        address: a complete multiaddr.
        beyond: whether it may be beyond this machine: only a network's members may.

    Raises:
        NoAddress: it is no multiaddr, names no peer, or is one that cannot be dialed.
        NoPeer: it may not be dialed.
    """
    address = address.strip()
    parts = _parts(address)
    if parts is None:
        raise NoAddress(
            f"{clip(address)!r} is no multiaddr. An address looks like {_EXAMPLE}; "
            '"aiplat status" on the other node prints it.'
        )
    peer = _peer(parts)
    if peer is None:
        raise NoAddress(
            f"The address {clip(address)} does not say which peer it is: it must end in "
            '/p2p/PEER-ID. "aiplat status" on the other node prints it whole.'
        )
    relay, where = _split_relay(parts[:-1])
    endpoint = _endpoint(where)
    if endpoint is None:
        raise NoAddress(
            f"The address {clip(address)} cannot be dialed: only an ip with a TCP port can, "
            f"such as {_EXAMPLE}."
        )
    if not beyond and not endpoint.is_loopback:
        raise NoPeer(
            f"The address {clip(address)} is beyond this machine, and this node is in no network: "
            "it reaches only peers on loopback (127.0.0.1, ::1). `aiplat join` joins a network, "
            "`aiplat network create NAME` makes one."
        )
    return Target(endpoint, peer, relay)


def seen_from(address: str) -> str:
    """The ip from which a channel with this address comes; empty when a relay is between."""
    parts = _parts(address) or [("", "")]
    relayed = any(name == "p2p-circuit" for name, _ in parts)
    return "" if relayed or parts[0][0] not in ("ip4", "ip6") else parts[0][1]


def relay_in(address: str) -> PeerId | None:
    """The relay that a channel with this address goes through; None for a direct one."""
    parts = _parts(address) or []
    names = [name for name, _ in parts]
    return _peer(parts[: names.index("p2p-circuit")]) if "p2p-circuit" in names else None


def parse_peer(text: str) -> PeerId:
    """Read a whole peer id.

    Raises:
        NoAddress: it is none.
    """
    parts = _parts(f"/p2p/{text.strip()}")  # it looks at the id's form: the end of one has none
    peer = _peer(parts) if parts is not None and len(parts) == 1 else None
    if peer is None:
        raise NoAddress(f"{clip(text)!r} is no peer id. One looks like 12D3KooW…")
    return peer


def direct(address: str) -> Endpoint | None:
    """The ip and the port of a multiaddr that a peer told; None for one that cannot be dialed."""
    parts = _parts(address)
    if parts is None or any(name == "p2p-circuit" for name, _ in parts):
        return None
    endpoint = _endpoint([part for part in parts if part[0] != "p2p"])
    if endpoint is None or not endpoint.port or ipaddress.ip_address(endpoint.ip).is_unspecified:
        return None
    return endpoint


def parse_listen(address: str, *, beyond: bool = False) -> Endpoint:
    """Read an address to listen on.

    Arguments:
        address: a multiaddr without a peer id.
        beyond: whether it may be beyond loopback: only for a node in a network.

    Raises:
        ConfigError: it is no multiaddr of an ip and a TCP port, or not on loopback.
    """
    parts = _parts(address.strip())
    endpoint = _endpoint(parts) if parts else None
    if endpoint is None:
        raise ConfigError(
            f"Cannot listen on {clip(address)!r}: give an ip and a TCP port, "
            "such as /ip4/127.0.0.1/tcp/4001 (port 0 picks a free one)."
        )
    if not beyond and not endpoint.is_loopback:
        raise ConfigError(
            f"Cannot listen on {clip(address)}: a node that is in no network is open to loopback "
            "only. Use /ip4/127.0.0.1/tcp/0, or make a network with `aiplat network create NAME`."
        )
    return endpoint


def _parts(address: str) -> list[tuple[str, str]] | None:
    """The protocols of a multiaddr with their values; None when it is none."""
    if not address.startswith("/") or len(address) > 500:
        return None
    try:
        components = Multiaddr(address).items()
        return [(protocol.name, str(value or "")) for protocol, value in components]
    except Exception:  # noqa: BLE001  # the library raises many kinds for what is no multiaddr
        return None


def _split_relay(
    parts: list[tuple[str, str]],
) -> tuple[PeerId | None, list[tuple[str, str]]]:
    """The relay of an address, if it names one, and what stands before it."""
    if parts and parts[-1][0] == "p2p-circuit" and (relay := _peer(parts[:-1])) is not None:
        return relay, parts[:-2]
    return None, parts


def _peer(parts: list[tuple[str, str]]) -> PeerId | None:
    if not parts or parts[-1][0] != "p2p":
        return None
    try:
        return PeerId(ID.from_base58(parts[-1][1]).to_base58())
    except Exception:  # noqa: BLE001  # as above
        return None


def _endpoint(parts: list[tuple[str, str]]) -> Endpoint | None:
    if [name for name, _ in parts] not in (["ip4", "tcp"], ["ip6", "tcp"]):
        return None
    return Endpoint(str(ipaddress.ip_address(parts[0][1])), int(parts[1][1]))
