"""Real nodes and strangers on loopback sockets, for the tests of the node."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import trio
from libp2p import new_host
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.crypto.x25519 import create_new_key_pair as create_x25519_key_pair
from libp2p.io.trio import TrioTCPStream
from libp2p.network.connection.raw_connection import RawConnection
from libp2p.peer.peerinfo import info_from_p2p_addr
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE
from libp2p.security.noise.transport import Transport as NoiseTransport
from multiaddr import Multiaddr  # type: ignore[import-untyped]  # it has no types

from aiplat.domain.ids import PeerId, Role
from aiplat.node.channel import Channel
from aiplat.node.identity import Identity
from aiplat.node.membership.membership import Membership
from aiplat.node.node import Node
from aiplat.node.settings import NodeSettings
from aiplat.protocol.messages import Hello
from aiplat.telemetry.metrics import Metrics
from tests.unit.node.helpers import Handler

QUICK = NodeSettings(reconnect_max_seconds=0.5)


def everyone(peer: PeerId, hello: Hello) -> None:
    """Admit whoever comes."""


class Peer:
    """A node under test, with what its channels heard."""

    def __init__(
        self,
        settings: NodeSettings = QUICK,
        *,
        identity: Identity | None = None,
        roles: tuple[Role, ...] = ("gateway", "processor"),
        known: Path | None = None,
        incarnation: int | None = None,
        admit: Callable[[PeerId, Hello], None] = everyone,
        membership: Membership | None = None,
    ) -> None:
        self.identity = identity or Identity.generate()
        self.metrics = Metrics()
        self.node = Node(
            settings,
            self.identity,
            roles,
            "test/1",
            self.metrics,
            known,
            incarnation=incarnation,
            membership=membership,
        )
        self.handlers: list[tuple[Channel, Handler]] = []
        self.scope = trio.CancelScope()
        self.roles = roles
        self._admit = admit

    @property
    def address(self) -> str:
        """Where it listens, whole."""
        return self.node.addresses[0]

    @property
    def port(self) -> int:
        """The TCP port of that."""
        return int(self.address.split("/")[4])

    def on_channel(self, channel: Channel) -> Handler:
        """Note the channel and what it hears."""
        handler = Handler()
        self.handlers.append((channel, handler))
        return handler

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Live until its scope is cancelled."""
        with self.scope:
            await self.node.run(self.on_channel, self._admit, task_status=task_status)

    def count(self, name: str, **labels: str) -> float:
        """The value of a counter."""
        return self.metrics.registry.get_sample_value(name, labels) or 0.0


@asynccontextmanager
async def running(*peers: Peer, seconds: float = 120.0) -> AsyncIterator[trio.Nursery]:
    """Let these nodes run while the block lasts, and no longer than `seconds`."""
    with trio.fail_after(seconds):
        async with trio.open_nursery() as nursery:
            for peer in peers:
                await nursery.start(peer.run)
            yield nursery
            nursery.cancel_scope.cancel()


async def connect(host: Any, address: str) -> Any:
    """Let a stranger connect to a node; gives the node's libp2p id."""
    info = info_from_p2p_addr(Multiaddr(address))
    # Not by its own `connect`, which leaves the socket open when the node turns it away.
    stream = await trio.open_tcp_stream("127.0.0.1", int(address.split("/")[4]))
    host.sockets.append(stream.socket)
    raw = RawConnection(TrioTCPStream(stream), True)
    await host.get_network().upgrade_outbound_raw_conn(raw, info.peer_id)
    return info.peer_id


async def until(condition: Callable[[], Any], seconds: float = 60.0) -> Any:
    """Wait for a condition, not for a time; gives its value."""
    with trio.fail_after(seconds):
        while not (value := condition()):
            await trio.sleep(0.005)
        return value


def stranger(**more: Any) -> Any:
    """A libp2p host that is none of ours, with Noise and yamux unless told otherwise."""
    keys = create_new_key_pair()
    noise = NoiseTransport(keys, noise_privkey=create_x25519_key_pair().private_key)
    more.setdefault("sec_opt", {NOISE: noise})
    host: Any = new_host(key_pair=keys, **more)
    host.sockets = []
    return host


@asynccontextmanager
async def listening(host: Any) -> AsyncIterator[str]:
    """Run a stranger; gives its address."""
    try:
        async with host.run([Multiaddr("/ip4/127.0.0.1/tcp/0")]):
            yield str(host.get_addrs()[0])
    finally:
        for socket in host.sockets:
            socket.close()


async def live_channels(peers: Sequence[Peer]) -> None:
    """Wait until every one of them has a channel to every other."""
    for peer in peers:
        for other in peers:
            if other is not peer:
                await until(partial(peer.node.channels.get, other.node.peer_id))
