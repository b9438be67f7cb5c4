"""Tokens of forms: a page of another site can send a form here, but cannot know its token.

Of who is logged in a token is made from the session, which it ends with. Before, it is made from a
cookie and a key of this process: neither alone gives it. (The door checks `Origin` before.)
"""

from __future__ import annotations

import hashlib
import hmac
import secrets

FIELD = "csrf"


class StaleForm(Exception):
    """The form's token is not the one that belongs to who sent it."""


class Tokens:
    """Makes and checks them."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def key(self, session: str, nonce: str) -> bytes:
        """The key of everything that is sealed for one visitor."""
        if session:
            return hashlib.sha256(b"aiplat pages:" + session.encode()).digest()
        return hmac.new(self._key, nonce.encode(), hashlib.sha256).digest()

    def token(self, key: bytes) -> str:
        """The token of that visitor's forms."""
        return hmac.new(key, b"csrf", hashlib.sha256).hexdigest()

    def check(self, key: bytes, given: str) -> None:
        """Raise `StaleForm` for another token."""
        if not hmac.compare_digest(self.token(key).encode(), given.encode("utf-8", "replace")):
            raise StaleForm


def new_nonce() -> str:
    """What the cookie of somebody who is not logged in holds."""
    return secrets.token_urlsafe(24)
