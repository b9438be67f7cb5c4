"""libp2p's peerstore within its bound."""

from __future__ import annotations

import pytest
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.peer.id import ID
from libp2p.peer.peerstore import PeerStore
from multiaddr import Multiaddr  # type: ignore[import-untyped]  # it has no types

from aiplat.node.peerstore import MAX_ADDRESSES, BoundedPeerStore

KEYS = create_new_key_pair()
OWN = ID.from_pubkey(KEYS.public_key)


def peers(count: int) -> list[ID]:
    return [ID(bytes([0x12, 0x20]) + number.to_bytes(32, "big")) for number in range(count)]


def place(number: int) -> Multiaddr:
    return Multiaddr(f"/ip4/192.0.2.1/tcp/{number + 1}")


@pytest.mark.parametrize("how", ["addresses", "protocols", "metadata"])
def test_the_oldest_is_forgotten_and_never_the_node_itself(how: str) -> None:
    refused = []
    store = BoundedPeerStore(OWN, KEYS, 10, lambda: refused.append(1))
    for peer in peers(30):
        if how == "addresses":
            store.add_addrs(peer, [place(1)], 60)
        elif how == "protocols":
            store.add_protocols(peer, ["/x"])
        else:
            store.put(peer, "key", "value")
    assert len(store.peer_ids()) == 10
    assert len(refused) == 21
    assert store.privkey(OWN) == KEYS.private_key
    assert set(store.peer_ids()) == {OWN, *peers(30)[-9:]}


def test_without_the_guard_the_node_itself_is_forgotten() -> None:
    """What py-libp2p's own does; when this fails, the guard may go."""
    store = PeerStore(max_peers=10)
    store.add_key_pair(OWN, KEYS)
    for peer in peers(30):
        store.add_addrs(peer, [place(1)], 60)
    assert not store.has_peer(OWN)


def test_the_addresses_of_a_peer_are_bounded_and_the_newest_stay() -> None:
    store = BoundedPeerStore(OWN, KEYS, 10, lambda: None)
    [peer] = peers(1)
    for number in range(100):
        store.add_addrs(peer, [place(number)], 60)
    assert store.addrs(peer) == [place(n) for n in range(100 - MAX_ADDRESSES, 100)]
    store.add_addrs(peer, [place(n) for n in range(10_000, 20_000)], 60)
    assert len(store.addrs(peer)) == MAX_ADDRESSES
