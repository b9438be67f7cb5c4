"""Who may come in: the names that a request's `Host` holds, its `Origin`, its token.

`Host` and `Origin` keep out a web page that the person visits: by DNS rebinding it would be at
our address under its own name, and with a form or `fetch` it would send from its own origin.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from collections.abc import Iterable

from aiplat.domain.errors import InvalidApiKey, PermissionDenied, clip
from aiplat.http.asgi import Request
from aiplat.telemetry.metrics import Metrics


class Doorkeeper:
    """Checks of the front door.

    Arguments:
        token: the local token of this installation.
        allowed_hosts: names that `Host` may hold besides those of loopback.
        metrics: where refusals are counted.
    """

    def __init__(self, token: str, allowed_hosts: Iterable[str], metrics: Metrics) -> None:
        self._digest = _digest(token.encode())
        self._hosts = frozenset(host.lower().strip("[]").rstrip(".") for host in allowed_hosts)
        self._failures = metrics.auth_failures

    def check_origin(self, request: Request) -> None:
        """Raise `PermissionDenied` for a foreign `Host` or `Origin`."""
        host = request.header(b"host")
        if not self._is_ours(host):
            self._failures.labels("host").inc()
            raise PermissionDenied(
                f"The Host {clip(host)!r} is not a name of this node. Use 127.0.0.1 or "
                "localhost, or add the name to http.allowed_hosts."
            )
        origin = request.headers.get(b"origin")
        if origin is not None and origin.lower() != b"http://" + host.lower().encode("latin-1"):
            self._failures.labels("origin").inc()
            raise PermissionDenied(
                f"Pages of {clip(origin.decode('latin-1'))!r} may not use this node: only "
                "programs and its own pages may."
            )

    def _is_ours(self, host: str) -> bool:
        name = _name_of(host)
        if name in self._hosts or name == "localhost":
            return True
        try:
            return ipaddress.ip_address(name).is_loopback
        except ValueError:
            return False

    def check_token(self, request: Request) -> None:
        """Raise `InvalidApiKey` without the local token, in either header that clients use."""
        scheme, _, bearer = request.header(b"authorization").partition(" ")
        given = [request.header(b"x-api-key")]
        if scheme.lower() == "bearer":
            given.append(bearer.strip())
        keys = [key for key in given if key]
        if not keys:
            self._failures.labels("missing").inc()
            raise InvalidApiKey(
                "No API key was sent. Send this node's as `Authorization: Bearer KEY` or "
                "`x-api-key: KEY`; `aiplat env` prints it."
            )
        # Every key is compared, and by digests: the time tells neither length nor content.
        good = [hmac.compare_digest(_digest(key.encode("latin-1")), self._digest) for key in keys]
        if not any(good):
            self._failures.labels("wrong").inc()
            raise InvalidApiKey(
                "The API key is not this node's. `aiplat env` prints the one that is."
            )


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()


def _name_of(host: str) -> str:
    """Take the port off a `Host` value, and the brackets off an IPv6 address (RFC 3986, 3.2.2)."""
    if host.startswith("["):
        name, bracket, port = host[1:].partition("]")
        fits = bracket and (not port or (port[0] == ":" and port[1:].isdigit()))
        return name.lower() if fits else ""
    name, colon, port = host.partition(":")
    if colon and port and not port.isdigit():
        return ""
    return name.lower().rstrip(".")
