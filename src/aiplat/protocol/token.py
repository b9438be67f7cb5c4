"""The token of ``aiplat invite``: all that a node needs to join a network, in one word.

``aiplat1-`` and base32 (RFC 4648, lower case, no padding) of a check sum and a MessagePack body:
letters and digits only, so that a double click takes all of it; line breaks that a mail program
put in do no harm.
"""

from __future__ import annotations

import base64
import binascii
import re
import zlib

import msgspec

from aiplat.domain.ids import Role
from aiplat.protocol.framing import UNREADABLE
from aiplat.protocol.membership import KEY_BYTES, SealError, Voucher, unseal

PREFIX = "aiplat1-"
MAX_TEXT = 8192
MAX_ADDRESSES = 8
MAX_NAME = 40
_ANY_PREFIX = re.compile(r"aiplat(\d{1,3})-")
_PSK = re.compile(r"[0-9a-f]{64}\Z")


class TokenError(Exception):
    """The text is no token that can be used; says why, and what to do."""


class Token(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """An invitation.

    Arguments:
        name: the network's.
        network: the owner's public key, 32 bytes.
        psk: the pre-shared key, 64 hexadecimal digits; empty in a public network.
        addresses: of members to ask, complete multiaddrs.
        voucher: sealed by the owner.
    """

    name: str
    network: bytes
    psk: str = ""
    addresses: tuple[str, ...] = ()
    voucher: bytes

    def __repr__(self) -> str:
        """Name it without its secrets."""
        return f"Token({self.name!r})"

    @property
    def roles(self) -> tuple[Role, ...]:
        """What it invites to be."""
        return self.opened().roles

    def opened(self) -> Voucher:
        """The voucher. `decode` has checked that it is the network's."""
        return unseal(self.voucher, Voucher, self.network)


def encode(token: Token) -> str:
    """Write a token as one word."""
    body = msgspec.msgpack.encode(token)
    return _written(zlib.crc32(body).to_bytes(4, "big") + body)


def decode(text: str) -> Token:
    """Read a token that a person pasted.

    Raises:
        TokenError: nothing was given, it is none, it was mistyped or cut off, or it is of a kind
            that only a newer aiplat knows.
    """
    word = "".join(text[: MAX_TEXT + 1].split()).lower()
    if not word:
        raise TokenError(
            'No token was given. "aiplat invite" on the owner\'s node of the network prints one.'
        )
    if len(word) > MAX_TEXT:
        raise TokenError(f"This is no token: it has more than {MAX_TEXT} characters.")
    if not word.startswith(PREFIX):
        raise TokenError(_not_ours(word))
    try:
        data = base64.b32decode(word[len(PREFIX) :].upper() + "=" * (-len(word[8:]) % 8))
    except (binascii.Error, ValueError):
        raise TokenError(_MISTYPED) from None
    if len(data) < 5 or zlib.crc32(data[4:]).to_bytes(4, "big") != data[:4]:
        raise TokenError(_MISTYPED)
    if _written(data) != word:  # the last character's unused bits, which no check sum covers
        raise TokenError(_MISTYPED)
    return _checked(data[4:])


def _written(data: bytes) -> str:
    return PREFIX + base64.b32encode(data).decode().rstrip("=").lower()


_MISTYPED = (
    "The token was mistyped or cut off: its check sum does not fit. Copy it whole, from "
    f"{PREFIX} to the end."
)


def _not_ours(word: str) -> str:
    kind = _ANY_PREFIX.match(word)
    if kind:
        return (
            f"The token is of kind {kind[1]}, and this aiplat reads kind 1 only: install the "
            "version of aiplat that the network's owner has."
        )
    return f"This is no token: a token begins with {PREFIX}. Copy it whole."


def _checked(body: bytes) -> Token:
    broken = TokenError("The token cannot be read: ask the network's owner for a new one.")
    try:
        token = msgspec.msgpack.decode(body, type=Token)
    except UNREADABLE:
        raise broken from None
    right = (
        is_network_name(token.name)
        and len(token.network) == KEY_BYTES
        and len(token.addresses) <= MAX_ADDRESSES
        and (not token.psk or _PSK.match(token.psk))
    )
    if not right:
        raise broken
    try:
        token.opened()
    except SealError as fault:
        raise TokenError(
            f"The token's voucher is not one of the network {token.name}: {fault}. Ask the "
            "network's owner for a new token."
        ) from None
    return token


def is_network_name(name: str) -> bool:
    """Tell whether a network may have that name."""
    return 1 <= len(name) <= MAX_NAME and name.isprintable() and name.strip() == name
