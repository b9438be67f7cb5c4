"""What makes a member: certificates, vouchers and the list of the revoked, signed by the owner.

All three are MessagePack bodies under an Ed25519 signature (RFC 8032) of the network's owner. The
signature covers what kind of thing it is, so that none can be passed off as another.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from aiplat.domain.ids import ROLES, PeerId, Role
from aiplat.protocol.framing import UNREADABLE

KEY_BYTES = 32
VOUCHER_ID_BYTES = 16
MAX_SEALED = 1024 * 1024
MAX_REVOKED = 10_000
MAX_PEER_ID = 100

Sign = Callable[[bytes], bytes]
"""Signs bytes with the owner's key."""


class SealError(Exception):
    """What was shown is not what it claims to be. The text is a clause about it."""


class Forged(SealError):
    """The signature is not the owner's."""


class OtherNetwork(SealError):
    """It is of another network."""


class Malformed(SealError):
    """It cannot be read, or says what cannot be."""


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """A peer's membership: `roles` from `issued` to `expires` (seconds since 1970, UTC).

    `owner` is the node that holds the owner's key: who is asked to renew it.
    """

    network: bytes
    peer: PeerId
    owner: PeerId
    roles: tuple[Role, ...]
    issued: int
    expires: int
    serial: int


class Voucher(msgspec.Struct, frozen=True, kw_only=True):
    """The right to become a member, for `uses` peers, until `expires` on the owner's clock."""

    network: bytes
    id: bytes
    roles: tuple[Role, ...]
    expires: int
    uses: int


class RevocationList(msgspec.Struct, frozen=True, kw_only=True):
    """Peers whose certificates hold no more; a greater `version` replaces a smaller one whole.

    `least` is for peers that were certified anew, with fewer roles: the least serial that holds.
    """

    network: bytes
    version: int
    issued: int
    peers: tuple[PeerId, ...]
    least: dict[PeerId, int] = {}


Sealable = Certificate | Voucher | RevocationList
S = TypeVar("S", Certificate, Voucher, RevocationList)


class _Sealed(msgspec.Struct, frozen=True, array_like=True):
    body: bytes
    signature: bytes


def _domain(kind: type[Sealable]) -> bytes:
    return b"aiplat/1 " + kind.__name__.lower().encode() + b"\0"


def seal(thing: Sealable, sign: Sign) -> bytes:
    """The bytes of `thing` under the owner's signature."""
    body = msgspec.msgpack.encode(thing)
    return msgspec.msgpack.encode(_Sealed(body, sign(_domain(type(thing)) + body)))


def unseal(data: bytes, kind: type[S], network: bytes) -> S:
    """What was sealed, if the owner of `network` sealed it.

    Arguments:
        data: as `seal` gave it.
        kind: what it must be.
        network: the owner's public key, 32 bytes.

    Raises:
        OtherNetwork: it says that it is of another network.
        Forged: it says that it is of this one, and is not.
        Malformed: it is neither.
    """
    if len(data) > MAX_SEALED:
        raise Malformed(f"it has {len(data)} bytes, and {MAX_SEALED} are allowed")
    try:
        sealed = msgspec.msgpack.decode(data, type=_Sealed)
        thing = msgspec.msgpack.decode(sealed.body, type=kind)
    except UNREADABLE as fault:
        raise Malformed(f"it is no {kind.__name__.lower()}") from fault
    if thing.network != network:
        raise OtherNetwork(f"it is a {kind.__name__.lower()} of another network")
    try:
        key = Ed25519PublicKey.from_public_bytes(network)
        key.verify(sealed.signature, _domain(kind) + sealed.body)
    except (InvalidSignature, ValueError) as fault:
        raise Forged("its signature is not that of the network's owner") from fault
    _check(thing)
    return thing


def _check(thing: Sealable) -> None:
    """Raise `Malformed` for what even an owner cannot mean."""
    if isinstance(thing, RevocationList):
        peers, least = thing.peers, thing.least
        too_many = len(peers) > MAX_REVOKED or len(least) > MAX_REVOKED
        if thing.version < 1 or too_many or any(map(_is_no_peer, (*peers, *least))):
            raise Malformed("it is a list of revocations out of bounds")
        return
    if not thing.roles or len(set(thing.roles)) != len(thing.roles):
        raise Malformed("it names no role, or one twice")
    if isinstance(thing, Certificate):
        if _is_no_peer(thing.peer) or _is_no_peer(thing.owner) or thing.expires <= thing.issued:
            raise Malformed("it is a certificate for nobody, or for no time")
    elif len(thing.id) != VOUCHER_ID_BYTES or thing.uses < 1:
        raise Malformed("it is a voucher without a name, or for no use")


def _is_no_peer(peer: str) -> bool:
    return not 1 <= len(peer) <= MAX_PEER_ID


def in_order(roles: tuple[Role, ...]) -> tuple[Role, ...]:
    """Each role once, in the order in which they are always named."""
    return tuple(role for role in ROLES if role in roles)
