"""Many light nodes of one network in this process: they die, move, and are split."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio
from libp2p.peer.id import ID
from msgspec.structs import replace

from aiplat.domain.ids import PeerId, Role
from aiplat.node.addresses import Endpoint
from aiplat.node.settings import NodeSettings
from aiplat.node.swarm import Guarded
from tests.support.networks import Clock, Lab
from tests.unit.node.nodes import Peer, until

QUICK = NodeSettings(
    listen=("/ip4/127.0.0.1/tcp/0",), reconnect_max_seconds=0.5, finding_seconds=0.2,
    dht_seconds=0.5, hearsay_seconds=2.0,
)  # fmt: skip
CALM = replace(
    QUICK, finding_seconds=1.0, dht_seconds=10.0, hearsay_seconds=10.0, silence_seconds=60.0,
    handshake_seconds=30.0, connect_seconds=60.0, reconnect_max_seconds=2.0,
)  # fmt: skip
"""For many nodes in one thread, which has to bear all of their rounds."""


class Walls:
    """Keeps dials from one part of the nodes to another, and notes all dials."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.dials: list[tuple[float, str, str]] = []
        """When, who, and whom."""
        self.dials_only: dict[str, set[str]] = {}
        """Whom some nodes dial, and nobody else."""
        self._parts: list[set[str]] = []
        dial = Guarded.dial

        async def walled(swarm: Guarded, endpoint: Endpoint, peer_id: ID) -> Any:
            us, peer = swarm.get_peer_id().to_base58(), peer_id.to_base58()
            self.dials.append((trio.current_time(), us, peer))
            if self.between(us, peer) or peer not in self.dials_only.get(us, {peer}):
                raise ConnectionRefusedError
            return await dial(swarm, endpoint, peer_id)

        monkeypatch.setattr(Guarded, "dial", walled)

    def between(self, one: str, other: str) -> bool:
        """Whether a wall keeps these two apart."""
        return any((one in part) != (other in part) for part in self._parts)

    async def split(self, *parts: list[Peer]) -> None:
        """Cut the connections between these parts, and let none be made."""
        self._parts = [{peer.node.peer_id for peer in part} for part in parts]
        for peer in (peer for part in parts for peer in part):
            host = peer.node._host
            assert host is not None
            for connection in host.libp2p.get_network().get_connections():
                if self.between(peer.node.peer_id, connection.muxed_conn.peer_id.to_base58()):
                    await connection.close()

    def heal(self) -> None:
        """Take the walls down."""
        self._parts = []


class Mesh:
    """A network by the names of its nodes. The first is its owner, and the only one in tokens.

    Arguments:
        folder: for their files.
        nursery: where they live.
        settings: theirs.
    """

    def __init__(self, folder: Path, nursery: trio.Nursery, settings: NodeSettings = QUICK) -> None:
        self.lab = Lab(folder)
        self.nodes: dict[str, Peer] = {}
        self._folder = folder
        self._nursery = nursery
        self._settings = settings
        self._entry = ""

    def __getitem__(self, name: str) -> Peer:
        return self.nodes[name]

    async def add(
        self, name: str, *roles: Role, clock: Clock | None = None, **settings: Any
    ) -> Peer:
        """Start a new member; it knows the first one's address alone."""
        if not self.nodes:
            identity, membership = self.lab.identity, self.lab.membership
        else:
            identity, membership = self.lab.member(*roles)
            assert membership.record is not None
            membership.take(replace(membership.record, addresses=(self._entry,)))
            membership.clock = clock or membership.clock
        return await self._start(
            name,
            Peer(
                replace(self._settings, **settings), identity=identity, membership=membership,
                roles=roles, known=self._folder / f"{name}.json",
            ),
        )  # fmt: skip

    async def _start(self, name: str, peer: Peer) -> Peer:
        await self._nursery.start(peer.run)
        self.nodes[name] = peer
        self._entry = self._entry or peer.address
        for address in peer.node.known:
            peer.node.keep(address)
        return peer

    async def stop(self, name: str) -> None:
        """End a node, and wait until it is gone."""
        peer = self.nodes[name]
        peer.scope.cancel()
        await until(lambda: peer.node._host is None)
        await until(lambda: not any(peer.node.peer_id in p.node.channels
                                    for p in self.nodes.values() if p is not peer))  # fmt: skip

    async def return_(self, name: str) -> Peer:
        """Start a node that was stopped again, with what it kept, on another port."""
        old = self.nodes[name]
        return await self._start(
            name,
            Peer(
                self._settings, identity=old.identity, membership=old.node.membership,
                roles=old.roles, known=self._folder / f"{name}.json",
            ),
        )  # fmt: skip

    def peer(self, name: str) -> PeerId:
        return self.nodes[name].node.peer_id

    def sees(self, at: str, *others: str) -> bool:
        """Whether a node has channels to all these."""
        return all(self.peer(other) in self.nodes[at].node.channels for other in others)

    async def wait_until_sees(self, at: str, *others: str, seconds: float = 180) -> float:
        """Wait for that; gives the seconds that it took."""
        began = trio.current_time()
        try:
            await until(lambda: self.sees(at, *others), seconds)
        except trio.TooSlowError:
            node = self.nodes[at].node
            lacks = [other for other in others if not self.sees(at, other)]
            raise AssertionError(f"{at} has not found {lacks}: {node.wanted}") from None
        return trio.current_time() - began
