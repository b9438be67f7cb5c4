"""The forms of what a gateway gives out and keeps only hashes of: keys, sessions and the like.

``sk-aip-<id>-<secret>`` for a key, ``ses-aip-…`` for a session, ``inv-aip-…`` for an invitation,
``open-aip-…`` for the code of a one-time link: letters and digits only. The secret has 256 random
bits, so its plain SHA-256 can be kept: there is nothing to guess, and a slow hash would only slow
the gateway (OWASP, "Cryptographic Storage").

An id begins with a mark of its gateway, 60 bits of a hash of its peer id. Whoever holds a key can
tell by it which gateway may receive it; to make a peer id that has the mark of another takes 2^60
tries.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from typing import Literal

import msgspec

from aiplat.domain.errors import InvalidApiKey

Kind = Literal["sk", "ses", "inv", "open"]

_ID_LETTERS = "abcdefghijklmnopqrstuvwxyz234567"
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_MARK = 12
_OWN = 12
_SECRET = 43
"""Letters of 62: 256 bits."""
MAX_CHARS = 128
_WHAT: dict[Kind, str] = {
    "sk": "API key", "ses": "session", "inv": "invitation code", "open": "one-time link",
}  # fmt: skip
_FORM = re.compile(
    rf"(sk|ses|inv|open)-aip-([a-z2-7]{{{_MARK + _OWN}}})-([A-Za-z0-9]{{{_SECRET}}})\Z", re.ASCII
)


class Secret(msgspec.Struct, frozen=True):
    """A secret taken apart. Its repr is its id."""

    kind: Kind
    id: str
    hash: bytes

    @property
    def mark(self) -> str:
        """Whose gateway's it is (`mark_of`)."""
        return self.id[:_MARK]


def mark_of(gateway: str) -> str:
    """The mark of a gateway's ids: 60 bits of the SHA-256 of its peer id, in base 32."""
    bits = int.from_bytes(hashlib.sha256(b"aiplat gateway " + gateway.encode()).digest()[:8]) >> 4
    return "".join(_ID_LETTERS[bits >> (5 * place) & 31] for place in range(_MARK))


def new_secret(kind: Kind, gateway: str) -> tuple[str, Secret]:
    """Make one: the whole text, which is shown once, and what is kept of it."""
    own = "".join(secrets.choice(_ID_LETTERS) for _ in range(_OWN))
    text = "".join(secrets.choice(_LETTERS) for _ in range(_SECRET))
    whole = f"{kind}-aip-{mark_of(gateway)}{own}-{text}"
    return whole, take_apart(whole, kind)


def take_apart(text: str, kind: Kind) -> Secret:
    """Read one of that kind.

    Raises:
        InvalidApiKey: it has not the form; the words hold none of it.
    """
    what = _WHAT[kind]
    if len(text) > MAX_CHARS:
        raise InvalidApiKey(
            f"The {what} has {len(text)} characters, but one has at most {MAX_CHARS}: something "
            "else was pasted."
        )
    found = _FORM.match(text)
    if found is None or found[1] != kind:
        raise InvalidApiKey(
            f"That is no {what} of an aiplat gateway: one has the form {kind}-aip-<id>-<secret>, "
            f"letters and digits, {len(kind) + len('-aip--') + _MARK + _OWN + _SECRET} characters "
            "in all. See that it was copied whole."
        )
    return Secret(kind, found[2], hashlib.sha256(text.encode()).digest())


def looks_like(text: str, kind: Kind) -> bool:
    """Whether it has the form of that kind."""
    return bool(id_of(text, kind))


def id_of(text: str, kind: Kind) -> str:
    """The id in one of that kind, empty where it has not the form; its secret is not looked at."""
    found = _FORM.match(text) if len(text) <= MAX_CHARS else None
    return found[2] if found is not None and found[1] == kind else ""


def equal(one: bytes, other: bytes) -> bool:
    """Compare two hashes; the time tells nothing."""
    return hmac.compare_digest(one, other)


NO_HASH = bytes(32)
"""What an unknown id is compared with: no SHA-256 that anybody finds."""
