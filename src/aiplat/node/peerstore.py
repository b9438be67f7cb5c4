"""libp2p's peerstore, bounded.

That of py-libp2p 0.8.1 looks at its bound only when addresses are added, and then throws out who
has none first: that is the node itself, without whose keys no record can be signed. It keeps
every address that anybody tells of a peer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from libp2p.crypto.keys import KeyPair
from libp2p.peer.id import ID
from libp2p.peer.peerdata import PeerData
from libp2p.peer.peerstore import PeerStore
from multiaddr import Multiaddr  # type: ignore[import-untyped]  # it has no types

MAX_ADDRESSES = 32
"""Kept of one peer; newer ones take the place of older."""


class BoundedPeerStore(PeerStore):
    """What libp2p's own services know of peers.

    Arguments:
        own: this node, which is never forgotten.
        keys: its keys.
        bound: peers that are remembered.
        refused: called for each that is forgotten for another.
    """

    def __init__(self, own: ID, keys: KeyPair, bound: int, refused: Callable[[], None]) -> None:
        # Its own bounds are never reached: both maps are bounded below.
        super().__init__(max_records=bound + 1, max_peers=bound + 1)
        self.peer_data_map = _Oldest(own, bound, self._forget)
        self._refused = refused
        self.add_key_pair(own, keys)

    def _forget(self, peer_id: ID) -> None:
        self.peer_record_map.pop(peer_id, None)
        self.addr_update_channels.pop(peer_id, None)
        self._refused()

    def add_addrs(self, peer_id: ID, addrs: Sequence[Multiaddr], ttl: int = 0) -> None:
        """Remember where a peer is."""
        super().add_addrs(peer_id, list(addrs)[:MAX_ADDRESSES], ttl)
        kept = self.peer_data_map[peer_id].addrs
        del kept[:-MAX_ADDRESSES]


class _Oldest(dict[ID, PeerData]):
    """A map that forgets whom it has known longest, but never `own`."""

    def __init__(self, own: ID, bound: int, forget: Callable[[ID], None]) -> None:
        super().__init__()
        self._own = own
        self._bound = bound
        self._forget = forget

    def __setitem__(self, peer_id: ID, data: PeerData) -> None:
        super().__setitem__(peer_id, data)
        if len(self) > self._bound:
            oldest = next(p for p in self if p not in (self._own, peer_id))
            del self[oldest]
            self._forget(oldest)

    def setdefault(self, peer_id: ID, default: PeerData) -> PeerData:
        """As that of a dict, which would not come by `__setitem__`."""
        if peer_id not in self:
            self[peer_id] = default
        return self[peer_id]
