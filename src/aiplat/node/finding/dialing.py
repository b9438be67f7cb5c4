"""libp2p's host as the DHT sees it: who is not reached is left alone, each time for longer.

Members of a DHT go on telling each other of one that died, as long as any of them still does; and
py-libp2p's dials whom it hears of in every lookup.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from libp2p.abc import INetStream
from libp2p.custom_types import TProtocol
from libp2p.host.basic_host import BasicHost
from libp2p.network.exceptions import SwarmException
from libp2p.peer.id import ID

from aiplat.node.resting import Resting


class PatientHost:
    """All that a host does, with patience in `new_stream`.

    Arguments:
        host: the node's.
        first: the first rest of a peer that is not reached, in seconds.
        longest: the longest.
    """

    def __init__(self, host: BasicHost, first: float, longest: float) -> None:
        self._host = host
        self._resting: Resting[ID] = Resting(first, longest)

    def __getattr__(self, name: str) -> Any:  # whatever a host has
        return getattr(self._host, name)

    async def new_stream(self, peer_id: ID, protocol_ids: Sequence[TProtocol]) -> INetStream:
        """Open a stream; dial only who does not rest.

        Raises:
            SwarmException: it was not reached lately.
            Exception: of libp2p's many kinds, as the host's own.
        """
        if peer_id in self._resting and not self._is_connected(peer_id):
            raise SwarmException(f"the peer {peer_id} was not reached lately, and rests")
        try:
            stream = await self._host.new_stream(peer_id, protocol_ids)
        except Exception:
            if not self._is_connected(peer_id):
                self._resting.failed(peer_id)
            raise
        self._resting.worked(peer_id)
        return stream

    def _is_connected(self, peer_id: ID) -> bool:
        return any(not c.is_closed for c in self._host.get_network().get_connections(peer_id))
