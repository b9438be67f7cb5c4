"""Fairness tags: what a processor is told of a user instead of who it is."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable

_BYTES = 16


class Tags:
    """Makes the tags of one gateway's users: accounts, and peers without one.

    A tag is an HMAC (SHA-256, RFC 2104, cut to 128 bits) under a key that never leaves this
    object: the same user has the same tag as long as the gateway lives, nobody else can tell
    whose it is, and two gateways' tags of one user have nothing in common.
    """

    def __init__(self, key: Callable[[], bytes] = lambda: secrets.token_bytes(32)) -> None:
        self._key = key()

    def of(self, user: str) -> str:
        """The user's tag, in hexadecimal."""
        return hmac.digest(self._key, user.encode(), "sha256")[:_BYTES].hex()
