"""What the owner signs: what was changed, borrowed or made up does not hold."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from aiplat.domain.ids import PeerId
from aiplat.protocol.membership import (
    Certificate,
    Forged,
    Malformed,
    OtherNetwork,
    RevocationList,
    SealError,
    Voucher,
    in_order,
    seal,
    unseal,
)

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
NETWORK = KEY.public_key().public_bytes_raw()
PEER = PeerId("12D3KooWpeer")
CERTIFICATE = Certificate(
    network=NETWORK, peer=PEER, owner=PeerId("owner"), roles=("client",), issued=1, expires=9,
    serial=1,
)  # fmt: skip
VOUCHER = Voucher(network=NETWORK, id=bytes(16), roles=("processor",), expires=9, uses=1)
REVOKED = RevocationList(network=NETWORK, version=1, issued=1, peers=(PEER,))


@pytest.mark.parametrize("thing", [CERTIFICATE, VOUCHER, REVOKED], ids=lambda t: type(t).__name__)
def test_what_the_owner_sealed_holds(thing: Any) -> None:
    assert unseal(seal(thing, KEY.sign), type(thing), NETWORK) == thing


@given(st.data())
def test_any_byte_changed_is_refused(data: st.DataObject) -> None:
    sealed = bytearray(seal(CERTIFICATE, KEY.sign))
    place = data.draw(st.integers(0, len(sealed) - 1))
    sealed[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(SealError):
        unseal(bytes(sealed), Certificate, NETWORK)


@given(st.binary(max_size=300))
def test_anything_else_is_refused_as_malformed(data: bytes) -> None:
    with pytest.raises(SealError):
        unseal(data, Voucher, NETWORK)


def test_another_key_is_forgery() -> None:
    with pytest.raises(Forged):
        unseal(seal(CERTIFICATE, OTHER.sign), Certificate, NETWORK)


def test_another_network_is_said_to_be_one() -> None:
    network = OTHER.public_key().public_bytes_raw()
    foreign = replace(CERTIFICATE, network=network)
    with pytest.raises(OtherNetwork, match="of another network"):
        unseal(seal(foreign, OTHER.sign), Certificate, NETWORK)


def test_one_thing_is_not_another() -> None:
    """The signature covers the kind, so that a voucher can never serve as a certificate."""
    body = seal(CERTIFICATE, lambda signed: KEY.sign(signed.replace(b"certificate", b"voucher")))
    with pytest.raises(Forged):
        unseal(body, Certificate, NETWORK)


@pytest.mark.parametrize(
    "thing",
    [
        replace(CERTIFICATE, roles=()),
        replace(CERTIFICATE, roles=("client", "client")),
        replace(CERTIFICATE, expires=1),
        replace(CERTIFICATE, peer=PeerId("")),
        replace(CERTIFICATE, peer=PeerId("x" * 101)),
        replace(VOUCHER, uses=0),
        replace(VOUCHER, id=b"short"),
        replace(REVOKED, version=0),
        replace(REVOKED, peers=(PeerId(""),)),
        replace(REVOKED, peers=(PEER,) * 10_001),
    ],
)
def test_even_an_owner_cannot_mean_that(thing: Any) -> None:
    with pytest.raises(Malformed):
        unseal(seal(thing, KEY.sign), type(thing), NETWORK)


def test_a_list_of_before_serials_holds() -> None:
    """Append-only: what an earlier version sealed is read, with nothing in the new field."""
    old = {"network": NETWORK, "version": 1, "issued": 1, "peers": (PEER,)}
    body = msgspec.msgpack.encode(old)
    sealed = msgspec.msgpack.encode((body, KEY.sign(b"aiplat/1 revocationlist\0" + body)))
    assert unseal(sealed, RevocationList, NETWORK) == REVOKED
    more = replace(REVOKED, least={PEER: 7})
    assert unseal(seal(more, KEY.sign), RevocationList, NETWORK).least == {PEER: 7}


def test_a_megabyte_is_not_even_read() -> None:
    with pytest.raises(Malformed, match="1048577 bytes"):
        unseal(bytes(1024 * 1024 + 1), Certificate, NETWORK)


def test_roles_have_one_order() -> None:
    assert in_order(("processor", "client", "processor")) == ("client", "processor")
