"""What a person holds: an API key or a log-in's session, told of without its secret; its bounds."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

import msgspec

from aiplat.domain.errors import InvalidRequest, clip
from aiplat.domain.ids import PeerId

Kind = Literal["key", "session"]
Where = Literal["keyring", "file"]

MAX_SECRET = 4096
MAX_GATEWAYS = 16
MAX_TEXT = 200
_MAX_TIME = 2**53
_ID = re.compile(r"[A-Za-z0-9._-]{1,100}\Z")
_WORD = re.compile(r"[!-~]+\Z")


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a secret lies.

    Arguments:
        kind, id: whose it is.
        where: the store.
    """

    kind: Kind
    id: str
    where: Where

    @property
    def name(self) -> str:
        """What it is called in its store."""
        return f"{self.kind}:{self.id}"


class Held(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A credential as the index lists it.

    Arguments:
        kind: an API key, or the session of a log-in.
        id: its public part, unique within the kind.
        name: what its owner calls it.
        gateways: the peers that may receive it; nobody else ever does.
        user: whose it is there.
        made, expires: seconds since 1970 (UTC); 0 where that is not known, or never.
        where: the store of the secret: the OS keyring, or the file of plain text.
    """

    kind: Kind
    id: str
    name: str = ""
    gateways: tuple[PeerId, ...]
    user: str = ""
    made: int = 0
    expires: int = 0
    where: Where = "keyring"

    @property
    def place(self) -> Place:
        """Where its secret lies."""
        return Place(kind=self.kind, id=self.id, where=self.where)


class Found(NamedTuple):
    """A credential with its secret; its repr is without."""

    held: Held
    secret: str

    def __repr__(self) -> str:
        """Name it without its secret."""
        return f"Found({self.held!r})"


def check_held(held: Held) -> None:
    """Check all that the index bounds.

    Raises:
        InvalidRequest: names the field, its value and the bound.
    """
    if held.kind not in ("key", "session"):
        _wrong("kind", f'"key" or "session", but is {clip(held.kind)!r}')
    if not _ID.match(held.id):
        _wrong("id", f"1 to 100 of A-Z a-z 0-9 . _ -, but is {clip(held.id)!r}")
    if not 1 <= len(held.gateways) <= MAX_GATEWAYS:
        _wrong("gateways", f"1 to {MAX_GATEWAYS} peer ids, but are {len(held.gateways)}")
    for gateway in held.gateways:
        if not _ID.match(gateway):
            _wrong("gateways", f"peer ids, but one is {clip(gateway)!r}")
    for field, text in (("name", held.name), ("user", held.user)):
        if len(text) > MAX_TEXT or not text.isprintable():
            _wrong(field, f"at most {MAX_TEXT} printable characters, but is {clip(text)!r}")
    for field, time in (("made", held.made), ("expires", held.expires)):
        if not 0 <= time < _MAX_TIME:
            _wrong(field, f"seconds since 1970, below 2^53, but is {time}")


def check_secret(secret: str) -> None:
    """Check that it can be kept anywhere and sent in a header.

    Raises:
        InvalidRequest: says what is wrong, without the secret.
    """
    if not is_secret(secret):
        raise InvalidRequest(
            f"A secret must be one word of 1 to {MAX_SECRET} printable ASCII characters; this one "
            f"has {len(secret)} characters, or others among them."
        )


def is_secret(text: str) -> bool:
    """Whether `text` has the form of a secret."""
    return len(text) <= MAX_SECRET and _WORD.match(text) is not None


def _wrong(field: str, bound: str) -> None:
    raise InvalidRequest(f"A credential's {field} must be {bound}.", param=field)
