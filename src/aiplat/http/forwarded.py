"""What a reverse proxy says of who it speaks for: the client's address, and whether it came by TLS.

Only those that the operator named are believed (`http.trusted_proxies`): anybody may write such
headers. Who comes through one of them never counts as this machine. Source: the de facto headers
``X-Forwarded-For`` and ``X-Forwarded-Proto``; each proxy appends the address that it saw.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from aiplat.domain.errors import ConfigError, clip
from aiplat.http.asgi import App, Receive, Scope, Send
from aiplat.http.sources import IpAddress, never_left, plain_ip

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_FOR, _PROTO = b"x-forwarded-for", b"x-forwarded-proto"
_NOBODY = "0.0.0.0"  # the client that is not told: no machine has it


class Forwarded:
    """An ASGI application before another, which sees the client in place of its proxy.

    Arguments:
        app: the other.
        proxies: addresses, or networks such as ``10.0.0.0/8``.

    Raises:
        ConfigError: one is neither.
    """

    def __init__(self, app: App, proxies: Iterable[str]) -> None:
        self._app = app
        self._proxies = tuple(map(_network, proxies))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on (ASGI 3)."""
        if scope["type"] == "http" and self._is_proxy(str((scope.get("client") or ("",))[0])):
            scope = {**scope, **self._told(scope)}
        await self._app(scope, receive, send)

    def _told(self, scope: Scope) -> Scope:
        """What its headers tell of the request.

        A proxy that tells no address speaks for somebody who is not this machine all the same.
        """
        values: dict[bytes, list[str]] = {_FOR: [], _PROTO: []}
        for name, value in scope["headers"]:
            if name in values:
                values[name] += [part.strip() for part in value.decode("latin-1").split(",")]
        schemes = [value.lower() for value in values[_PROTO] if value]
        scheme = schemes[-1] if schemes else scope.get("scheme", "http")
        return {
            "client": (self._client(values[_FOR], scope), 0),
            "scheme": "https" if scheme == "https" else "http",
        }

    def _client(self, hops: list[str], scope: Scope) -> str:
        """The last address that no trusted proxy has: what stands before it anybody may write.

        One that would count as this machine (`never_left`) is not told: it is the loopback of the
        proxy's machine, or this machine's own address, seen from over a network.
        """
        here = str((scope.get("server") or ("",))[0])
        for hop in reversed(hops):
            found = _address(hop)
            if found is None:
                return _NOBODY
            if not self._is_proxy(str(found)):
                return _NOBODY if never_left(str(found), here) else str(found)
        return _NOBODY

    def _is_proxy(self, address: str) -> bool:
        found = plain_ip(address)
        return found is not None and any(found in network for network in self._proxies)


def _network(text: str) -> Network:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ConfigError(
            f"http.trusted_proxies names {clip(text)!r}, which is neither an address nor a network "
            "such as 10.0.0.0/8."
        ) from None


def _address(hop: str) -> IpAddress | None:
    """An address, maybe with a port behind it: ``192.0.2.1:80``, ``[2001:db8::1]:80``."""
    if hop.startswith("["):
        return plain_ip(hop[1:].partition("]")[0])
    return plain_ip(hop) or plain_ip(hop.partition(":")[0])
