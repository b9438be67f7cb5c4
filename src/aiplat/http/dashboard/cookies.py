"""The cookies of the pages: their names, and how each is set.

Cookies know no port: on loopback every program of the machine shares them, so that the names there
tell nodes apart. Over TLS the prefix ``__Host-`` keeps others from setting them (RFC 6265bis,
4.1.3.2).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass
from typing import Literal

from starlette.requests import Request
from starlette.responses import Response

Look = Literal["auto", "light", "dark"]
LOOKS: tuple[Look, ...] = ("auto", "light", "dark")
_MAX_NOTE = 400
_YEAR = 365 * 86_400


@dataclass(frozen=True)
class Cookies:
    """The cookies of one node, for one scheme.

    Arguments:
        peer_id: the node's.
        secure: whether the page came through TLS.
    """

    peer_id: str
    secure: bool

    def name(self, what: str = "") -> str:
        """The name of a cookie; of the session's own without `what`."""
        tail = f"-{what}" if what else ""
        return f"__Host-aiplat{tail}" if self.secure else f"aiplat-{self.peer_id[-8:]}{tail}"

    def get(self, request: Request, what: str = "") -> str:
        """Its value; empty where there is none."""
        return request.cookies.get(self.name(what), "")

    def set(self, response: Response, value: str, what: str = "", *, seconds: int | None) -> None:
        """Set one, for so long; None for as long as the browser runs."""
        response.set_cookie(
            self.name(what), value, max_age=seconds, path="/", secure=self.secure, httponly=True,
            samesite="lax",
        )  # fmt: skip

    def drop(self, response: Response, what: str = "") -> None:
        """Have the browser forget one."""
        response.delete_cookie(
            self.name(what), path="/", secure=self.secure, httponly=True, samesite="lax"
        )

    def look(self, request: Request) -> Look:
        """How the person wants the pages to look."""
        kept = self.get(request, "look")
        return next((look for look in LOOKS if look == kept), "auto")

    def set_look(self, response: Response, look: Look) -> None:
        """Keep that."""
        self.set(response, look, "look", seconds=_YEAR)


def sealed(text: str, key: bytes) -> str:
    """A note for the next page, so that nobody else can put words into it."""
    data = base64.urlsafe_b64encode(text[:_MAX_NOTE].encode("utf-8", "replace")).decode()
    return f"{data}.{_seal(data, key)}"


def opened(value: str, key: bytes) -> str:
    """What `sealed` was given; empty for what it did not make."""
    data, _, seal = value.partition(".")
    if not data or not hmac.compare_digest(seal.encode(), _seal(data, key).encode()):
        return ""
    try:
        return base64.urlsafe_b64decode(data).decode("utf-8", "replace")
    except (binascii.Error, ValueError):
        return ""


def _seal(data: str, key: bytes) -> str:
    return hmac.new(key, b"note:" + data.encode(), hashlib.sha256).hexdigest()[:32]
