"""Who may come in: the names that a request's `Host` holds, its `Origin`, its token.

`Host` and `Origin` keep out a web page that the person visits: by DNS rebinding it would be at
our address under its own name, and with a form or `fetch` it would send from its own origin.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
from collections.abc import Callable, Iterable

from aiplat.domain.accounts import Scope
from aiplat.domain.errors import InvalidApiKey, PermissionDenied, clip
from aiplat.http.asgi import Request
from aiplat.http.cross_origin import CrossOrigin
from aiplat.http.sources import plain_ip
from aiplat.telemetry.metrics import Metrics

log = logging.getLogger("aiplat.http.access")


KEY_PREFIX = "sk-aip-"
_LOCAL_PREFIX = "sk-aip-local-"

CheckKey = Callable[[str, Scope], tuple[str, ...]]


class Doorkeeper:
    """Checks of the front door.

    Arguments:
        token: the local token of this installation.
        allowed_hosts: names that `Host` may hold besides those that the door has by itself.
        metrics: where refusals are counted.
        covers: whether the door's certificate was made for a name.
        check_key: sees that an API key of an account holds, and may do something; gives the models
            that it may ask, none for all.
        cross_origin: which pages of other origins may ask.
    """

    def __init__(
        self,
        token: str,
        allowed_hosts: Iterable[str],
        metrics: Metrics,
        covers: Callable[[str], bool] = lambda name: False,
        check_key: CheckKey | None = None,
        cross_origin: CrossOrigin | None = None,
    ) -> None:
        self._cross_origin = cross_origin or CrossOrigin(())
        self._check_key = check_key
        self._digest = _digest(token.encode())
        self._hosts = frozenset(host.lower().strip("[]").rstrip(".") for host in allowed_hosts)
        self._failures = metrics.auth_failures
        self._covers = covers

    def check_origin(self, request: Request) -> None:
        """Raise `PermissionDenied` for a foreign `Host` or `Origin`."""
        host = request.header(b"host")
        if not self._is_ours(host, request.server):
            self._failures.labels("host").inc()
            raise PermissionDenied(
                f"The Host {clip(host)!r} is not a name of this node. Use "
                f"{_names_at(request.server)}, or add the name to http.allowed_hosts."
            )
        self._cross_origin.vary(request)
        if b"origin" not in request.headers:
            return
        origin = request.header(b"origin").lower()
        own = f"{request.scheme}://{host.lower()}"
        if origin != own and not self._cross_origin.takes(request, origin):
            self._failures.labels("origin").inc()
            raise PermissionDenied(
                f"Pages of {clip(origin)!r} may not use this node: only programs and its own "
                "pages may. Its operator can allow an origin to use its APIs, in "
                "http.allowed_origins."
            )

    def _is_ours(self, host: str, server: str) -> bool:
        """Whether `host` names this door, for who came in at the address `server`."""
        name = name_of(host)
        if name in self._hosts or self._covers(name):
            return True
        here, ip = plain_ip(server), plain_ip(name)
        if here is not None and here.is_loopback:
            return name == "localhost" or (ip is not None and ip.is_loopback)
        return ip is not None and ip == here

    def check_token(self, request: Request) -> None:
        """Let in who has the local token, or an API key that may ask, in either header."""
        self._check(request, "inference")

    def check_admin(self, request: Request) -> None:
        """Let in who has the local token, or an API key for an operator's things."""
        self._check(request, "admin")

    def _check(self, request: Request, scope: Scope) -> None:
        """Raise `InvalidApiKey` without a key; notes an account's in the request."""
        scheme, _, bearer = request.header(b"authorization").partition(" ")
        given = [request.header(b"x-api-key")]
        if scheme.lower() == "bearer":
            given.append(bearer.strip())
        keys = [key for key in given if key]
        if not keys:
            self._failures.labels("missing").inc()
            raise InvalidApiKey(
                "No API key was sent. Send one as `Authorization: Bearer KEY` or `x-api-key: KEY`: "
                "`aiplat env` prints this node's own, `aiplat keys create` makes others."
            )
        account_keys = [
            key for key in keys if key.startswith(KEY_PREFIX) and not key.startswith(_LOCAL_PREFIX)
        ]
        if account_keys and self._check_key is not None:
            if len(set(account_keys)) > 1:
                raise InvalidApiKey("Two different API keys were sent: send one.")
            request.models = self._check_key(account_keys[0], scope)
            request.credential, request.is_known = account_keys[0], True
            return
        # Every key is compared, and by digests: the time tells neither length nor content.
        good = [hmac.compare_digest(_digest(key.encode("latin-1")), self._digest) for key in keys]
        if not any(good):
            self._failures.labels("wrong").inc()
            raise InvalidApiKey(
                "The API key is none of this node's. `aiplat env` prints its own, `aiplat keys "
                "create` makes others."
            )
        self._refuse_from_elsewhere(request)
        request.is_known = True

    def _refuse_from_elsewhere(self, request: Request) -> None:
        """The local token stays on its machine: who shows it elsewhere carried it there."""
        if request.is_loopback:
            return
        self._failures.labels("elsewhere").inc()
        log.warning("the local token came from another machine, and was refused: whoever is there "
                    "has it", extra={"client": request.client})  # fmt: skip
        raise PermissionDenied(
            "This key is the one of the node's own account, and works on its own machine alone. "
            "From elsewhere send a key of a user's account."
        )


def _names_at(server: str) -> str:
    """What to call the door instead, for who came in at the address `server`."""
    here = plain_ip(server)
    return "127.0.0.1 or localhost" if here is None or here.is_loopback else str(here)


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()


def name_of(host: str) -> str:
    """Take the port off a `Host` value, and the brackets off an IPv6 address (RFC 3986, 3.2.2)."""
    if host.startswith("["):
        name, bracket, port = host[1:].partition("]")
        fits = bracket and (not port or (port[0] == ":" and port[1:].isdigit()))
        return name.lower() if fits else ""
    name, colon, port = host.partition(":")
    if colon and port and not port.isdigit():
        return ""
    return name.lower().rstrip(".")
