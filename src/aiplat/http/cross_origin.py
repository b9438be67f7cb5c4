"""Pages of other origins, as far as the operator allows some by name (Fetch standard, 3.2).

Only what programs ask is open to them: neither the dashboard nor the control API. A page brings a
key as any program does; cookies are never taken from it, so no credentials are allowed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from aiplat.domain.errors import ConfigError, clip
from aiplat.http.asgi import Headers, Request

_OPEN_BELOW = ("/v1/", "/api/")
_OPEN = ("/healthz", "/health", "/readyz", "/openapi.json")

_METHODS = b"GET, HEAD, POST, DELETE, OPTIONS"
_REQUEST_HEADERS = frozenset({"authorization", "content-type", "accept", "x-api-key", "user-agent"})
_REQUEST_HEADERS_BELOW = ("anthropic-", "x-stainless-", "openai-", "x-aiplat-")
_EXPOSED = b", ".join(
    [b"x-request-id", b"request-id", b"retry-after", b"x-aiplat-queue-ms", b"x-aiplat-attempts"]
    + [
        b"x-ratelimit-%s-%s" % (what, kind)
        for what in (b"limit", b"remaining", b"reset")
        for kind in (b"requests", b"tokens")
    ]
)
_MAX_AGE = b"600"
_NAME = re.compile(r"[a-z0-9-]{1,64}")


class CrossOrigin:
    """Which pages may ask, and what tells their browsers so.

    Arguments:
        origins: those that are allowed, exactly.

    Raises:
        ConfigError: one is no origin.
    """

    def __init__(self, origins: Iterable[str]) -> None:
        self._origins = frozenset(_checked(origin) for origin in origins)

    def takes(self, request: Request, origin: str) -> bool:
        """Whether a page of `origin` may ask this; what its browser must be told is noted then."""
        if origin not in self._origins or not _is_open(request.path):
            return False
        request.fixed_headers += (
            (b"access-control-allow-origin", origin.encode("latin-1")),
            (b"access-control-expose-headers", _EXPOSED),
        )
        if request.method == "OPTIONS" and b"access-control-request-method" in request.headers:
            request.preflight = _preflight(request)
        return True

    def vary(self, request: Request) -> None:
        """Note that answers differ by origin, where some are allowed."""
        if self._origins and _is_open(request.path):
            request.fixed_headers += ((b"vary", b"Origin"),)


def _preflight(request: Request) -> Headers:
    asked = request.header(b"access-control-request-headers").lower().split(",")
    allowed = [name for one in asked if _may_send(name := one.strip())]
    headers: Headers = (
        (b"access-control-allow-methods", _METHODS),
        (b"access-control-allow-headers", ", ".join(allowed).encode()),
        (b"access-control-max-age", _MAX_AGE),
    )
    # A page of the Internet that asks a node on loopback (Private Network Access, 3.1).
    if request.header(b"access-control-request-private-network") == "true":
        headers += ((b"access-control-allow-private-network", b"true"),)
    return headers


def _may_send(name: str) -> bool:
    return name in _REQUEST_HEADERS or (
        name.startswith(_REQUEST_HEADERS_BELOW) and _NAME.fullmatch(name) is not None
    )


def _is_open(path: str) -> bool:
    return path in _OPEN or path.startswith(_OPEN_BELOW)


def _checked(origin: str) -> str:
    wrong = ConfigError(
        f"An origin of http.allowed_origins must be a scheme and a host, with a port if it has one "
        f"and nothing behind it, such as https://app.example, but one is {clip(origin)!r}. Name "
        "each that may: there is no * for all."
    )
    try:
        parts = urlsplit(origin)
        port = "" if parts.port is None else f":{parts.port}"
    except ValueError:
        raise wrong from None
    host = parts.hostname or ""
    named = f"[{host}]" if ":" in host else host
    plain = f"{parts.scheme}://{named}{port}"
    if parts.scheme not in ("http", "https") or not host or "*" in host:
        raise wrong
    if origin.lower() != plain or not origin.isascii():
        raise wrong
    return plain
