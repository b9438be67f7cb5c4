"""Where a door that listens is reached: the URL for people, and the one for its own machine."""

from __future__ import annotations

import socket
from dataclasses import dataclass

from aiplat.http.pair import Pair
from aiplat.http.sources import plain_ip


@dataclass(frozen=True)
class Reached:
    """Base URLs of a door, without a path.

    Arguments:
        url: what others are told; of a door at every address, that of the machine's first.
        here: what programs of this machine use: through loopback where it listens there.
    """

    url: str
    here: str


def reached(sock: socket.socket, pair: Pair | None) -> Reached:
    """Tell where the door that listens on `sock` is reached.

    Through TLS under a name that the certificate was made for, as a client refuses any other: the
    address itself, ``localhost`` for loopback, or else the certificate's first name.
    """
    host, port = sock.getsockname()[:2]
    bound = plain_ip(host)
    everywhere = bound is not None and bound.is_unspecified
    far = _first_own(six=":" in host) if everywhere else host
    near = "127.0.0.1" if everywhere else host
    url = _url(far, port, pair)
    return Reached(url=url, here=_url(near, port, pair) if near != far else url)


def _url(host: str, port: int, pair: Pair | None) -> str:
    if pair is not None:
        host = _name_for(host, pair)
    host = host.replace("%", "%25")  # a zone (RFC 6874)
    return f"{'https' if pair else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"


def _name_for(host: str, pair: Pair) -> str:
    ip = plain_ip(host)
    if pair.covers(host):
        return host
    if ip is not None and ip.is_loopback and "localhost" in pair.names:
        return "localhost"
    return next((name for name in pair.names if not name.startswith("*")), host)


def _first_own(*, six: bool) -> str:
    """The machine's own address that reaches farthest; IPv4 before IPv6, as people can type it."""
    from aiplat.node.listening import own_ips  # only a door at every address needs it

    def rank(text: str) -> tuple[bool, bool, bool]:
        ip = plain_ip(text)
        assert ip is not None
        return ip.is_loopback, ip.version == 6, ip.is_private

    fitting = [text for text in own_ips() if six or ":" not in text]
    return min(fitting, key=rank, default="127.0.0.1")
