"""py-libp2p's swarm, with what version 0.8.1 gets wrong put right.

Each override says which fault it mends. The version is pinned exactly, and a test fails for
each guard that is taken away.
"""

from __future__ import annotations

import logging
import weakref
from collections.abc import Sequence

import trio
from libp2p.abc import IListener, IMuxedConn, INetConn, INetStream, IRawConnection, ITransport
from libp2p.crypto.x25519 import create_new_key_pair as create_x25519_key_pair
from libp2p.custom_types import StreamHandlerFn, THandler, TProtocol
from libp2p.io.abc import ReadWriteCloser
from libp2p.io.trio import TrioTCPStream
from libp2p.network.config import ConnectionConfig, RetryConfig
from libp2p.network.connection.raw_connection import RawConnection
from libp2p.network.connection.swarm_connection import SwarmConn
from libp2p.network.exceptions import SwarmException
from libp2p.network.swarm import Swarm
from libp2p.peer.id import ID
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE
from libp2p.security.noise.transport import Transport as NoiseTransport
from libp2p.security.pnet.protector import new_protected_conn
from libp2p.stream_muxer.yamux.yamux import PROTOCOL_ID as YAMUX
from libp2p.stream_muxer.yamux.yamux import Yamux
from libp2p.transport.upgrader import TransportUpgrader
from multiaddr import Multiaddr  # type: ignore[import-untyped]  # it has no types

from aiplat.domain.ids import PeerId
from aiplat.node.addresses import Endpoint, direct
from aiplat.node.identity import Identity
from aiplat.node.inbound import CLOSE_SECONDS, Inbound
from aiplat.node.muxing import watch
from aiplat.node.peerstore import BoundedPeerStore
from aiplat.node.pipe import Relayed, StreamPipe
from aiplat.node.places import Recent, source_of
from aiplat.node.settings import NodeSettings
from aiplat.telemetry.metrics import Metrics

log = logging.getLogger("aiplat.node.swarm")

MAX_DIALS = 8
"""Addresses of one peer that are dialed at once."""


class Listening(IListener):
    """A listener over a socket that was bound beforehand, in the swarm's own nursery.

    libp2p's own sets SO_REUSEPORT, so that a second node on the same port would get half of
    the first one's connections and nobody an error; and it runs in a system task, where a
    fault ends the whole program.
    """

    background_nursery: trio.Nursery  # set by the swarm before `listen`

    def __init__(self, handler: THandler, sockets: dict[str, trio.SocketListener]) -> None:
        self._handler = handler
        self._sockets = sockets
        self._addresses: tuple[Multiaddr, ...] = ()
        self._scope = trio.CancelScope()

    async def listen(self, maddr: Multiaddr) -> None:
        """Serve the socket that was bound for `maddr`."""
        listener = self._sockets[str(maddr)]
        self._addresses = (maddr,)
        self.background_nursery.start_soon(self._serve, listener)

    async def _serve(self, listener: trio.SocketListener) -> None:
        with self._scope:
            await trio.serve_listeners(self._connected, [listener])

    async def _connected(self, stream: trio.SocketStream) -> None:
        try:
            await self._handler(TrioTCPStream(stream))
        except Exception as fault:  # noqa: BLE001  # whatever it is, it is that peer's alone
            log.debug("a connection failed", extra={"fault": repr(fault)})

    def get_addrs(self) -> tuple[Multiaddr, ...]:
        """Where it listens."""
        return self._addresses

    async def close(self) -> None:
        """Listen no more."""
        self._scope.cancel()


class BoundTcp(ITransport):
    """TCP over sockets that were bound beforehand; it dials nothing (`Guarded.dial` does)."""

    def __init__(self, sockets: dict[str, trio.SocketListener]) -> None:
        self._sockets = sockets

    async def dial(self, maddr: Multiaddr) -> IRawConnection:
        """Never: libp2p's own dialing keeps refusals and stale addresses (guards 6, 9, 10)."""
        raise NotImplementedError(f"{maddr} is dialed by Guarded.dial")

    def create_listener(self, handler_function: THandler) -> IListener:
        """Make the listener of one address."""
        return Listening(handler_function, self._sockets)

    def can_dial(self, maddr: Multiaddr) -> bool:
        """Never."""
        return False

    def can_listen(self, maddr: Multiaddr) -> bool:
        """Tell whether a socket was bound for it."""
        return str(maddr) in self._sockets

    def protocols(self) -> list[str]:
        """Tell what it speaks."""
        return ["tcp"]


class _NoAutoConnect:
    """In place of libp2p's auto-connector, which dials whomever it knows to have enough peers."""

    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    async def run_background_task(self, nursery: trio.Nursery) -> None: ...
    def record_disconnect(self, peer_id: ID) -> None: ...


class Guarded(Swarm):
    """The swarm: Noise and yamux over TCP, nothing else offered, everything bounded.

    Arguments:
        identity: whose keys.
        settings: bounds and deadlines.
        metrics: where hits of bounds are counted.
        sockets: what it listens on, by multiaddr.
        psk: the network's pre-shared key, 64 hexadecimal digits; None for none.
    """

    def __init__(
        self,
        identity: Identity,
        settings: NodeSettings,
        metrics: Metrics,
        sockets: dict[str, trio.SocketListener],
        psk: str | None = None,
    ) -> None:
        keys = identity.key_pair
        own_id = ID.from_pubkey(keys.public_key)
        peerstore = BoundedPeerStore(
            own_id, keys, settings.max_peerstore, metrics.bound_hits.labels(bound="peerstore").inc
        )
        # By default SECIO, TLS and plain text would be offered beside Noise, and mplex.
        noise = NoiseTransport(keys, noise_privkey=create_x25519_key_pair().private_key)
        upgrader = TransportUpgrader({NOISE: noise}, {TProtocol(YAMUX): Yamux})
        bound = settings.max_connections
        config = ConnectionConfig(
            max_connections=bound,
            min_connections=0,
            low_watermark=0,
            high_watermark=bound,
            max_connections_per_peer=bound,
            inbound_upgrade_timeout=settings.handshake_seconds,
            outbound_upgrade_timeout=settings.handshake_seconds,
            inbound_stream_protocol_negotiation_timeout=settings.handshake_seconds,
            outbound_stream_protocol_negotiation_timeout=settings.handshake_seconds,
        )
        super().__init__(
            own_id, peerstore, upgrader, [BoundTcp(sockets)], RetryConfig(max_retries=0), config,
            psk,
        )  # fmt: skip
        self.auto_connector = _NoAutoConnect()  # type: ignore[assignment]  # what is called of it
        self._settings = settings
        self._metrics = metrics
        self.inbound = Inbound(settings, metrics, lambda: len(self.get_connections()))
        self._said = Recent(1, trio.current_time)
        self._opens: weakref.WeakKeyDictionary[object, Recent] = weakref.WeakKeyDictionary()
        self._sockets: weakref.WeakSet[trio.socket.SocketType] = weakref.WeakSet()

    def _schedule_auto_connect(self) -> None:
        """Never: peers are chosen here."""

    def _schedule_prune(self) -> None:
        """Never: over the bound nobody is let in, and nobody is thrown out."""

    def set_stream_handler(self, stream_handler: StreamHandlerFn) -> None:
        """Guard 1: an exception in a stream handler would end the whole host."""

        async def guarded(stream: INetStream) -> None:
            try:
                if not self._may_open(stream):
                    self._metrics.bound_hits.labels(bound="opens_per_minute").inc()
                    await self._cut_off(stream)
                elif self._has_too_many_streams(stream):
                    self._metrics.bound_hits.labels(bound="streams").inc()
                    await stream.reset()
                else:
                    await stream_handler(stream)
            except Exception as fault:  # noqa: BLE001  # whatever it is, it must not pass
                peer = str(stream.muxed_conn.peer_id)
                log.warning("a stream failed: %r", fault, extra={"peer": peer})
                await stream.reset()  # it raises nothing: the peer must not wait for more

        super().set_stream_handler(guarded)

    def _may_open(self, stream: INetStream) -> bool:
        connection = stream.muxed_conn
        recent = self._opens.get(connection)
        if recent is None:
            recent = Recent(self._settings.opens_per_minute, trio.current_time)
            self._opens[connection] = recent
        return recent.may("")

    @staticmethod
    async def _cut_off(stream: INetStream) -> None:
        """End the connection of a stream. A peer that reads nothing cannot hold it up."""
        with trio.move_on_after(CLOSE_SECONDS):
            await stream.muxed_conn.close()
        StreamPipe(stream).abort()

    def _has_too_many_streams(self, stream: INetStream) -> bool:
        connection = getattr(stream, "swarm_conn", None)
        return (
            connection is not None
            and len(connection.streams) > self._settings.max_streams_per_connection
        )

    async def _handle_inbound_connection(
        self, read_write_closer: ReadWriteCloser, maddr: Multiaddr
    ) -> None:
        """Upgrade an inbound connection, and stay until it ends.

        libp2p's own holds a place among the inbound connections until the host stops: after
        as many connections as it allows at once, it would never take another.
        """
        source = _source_of(read_write_closer)
        muxed = None
        with self.inbound.arriving(source) as may:
            if may:
                muxed = await self._shake_hands(read_write_closer, maddr, source)
        if isinstance(muxed, Yamux):
            self._watch(muxed)
            await self.inbound.live(muxed, source, lambda: self._streams_of(muxed))

    async def _shake_hands(
        self, stream: ReadWriteCloser, maddr: Multiaddr, source: str
    ) -> IMuxedConn:
        try:
            return await self.upgrade_inbound_raw_conn(RawConnection(stream, False), maddr)
        except Exception as fault:
            is_late = isinstance(fault, SwarmException) and "timeout" in str(fault)
            bound = "handshake_seconds" if is_late else "handshake"
            self._metrics.bound_hits.labels(bound=bound).inc()
            if self._said.may(source):
                what = "it has a pre-shared key, which this node has not, or is another program"
                if self.psk is not None:
                    what = "it does not have this network's pre-shared key, or is another program"
                log.info("a connection from %s did not get through its handshake: %s", source, what)
            raise

    def _watch(self, muxed: IMuxedConn) -> None:
        peer = PeerId(muxed.peer_id.to_base58())

        def tell(bound: str) -> None:
            self._metrics.bound_hits.labels(bound=bound).inc()

        def unread_bound() -> int:
            proven = self.inbound.has_channel(peer)
            settings = self._settings
            return settings.max_unread_bytes if proven else settings.max_unread_bytes_unproven

        watch(muxed, tell, unread_bound)

    def _streams_of(self, muxed: Yamux) -> int:
        mine = (c for c in self.get_connections(muxed.peer_id) if c.muxed_conn is muxed)
        return sum(len(connection.get_streams()) for connection in mine)

    async def dial(self, endpoint: Endpoint, peer_id: ID) -> SwarmConn:
        """Connect to exactly this peer at exactly this place, now.

        libp2p's own `connect` waits 250 ms for a second address (guard 9), refuses a peer for
        60 s after a failure (guard 6), and takes any older address before the one given.

        Raises:
            OSError: nobody listens there.
            Exception: of libp2p's many kinds, when what listens is not that peer.
        """
        family = trio.socket.AF_INET6 if ":" in endpoint.ip else trio.socket.AF_INET
        socket = trio.socket.socket(family)
        try:
            await socket.connect((endpoint.ip, endpoint.port))
            raw = self._fenced(RawConnection(TrioTCPStream(trio.SocketStream(socket)), True))
            connection = await self.upgrade_outbound_raw_conn(raw, peer_id)
            self._watch(connection.muxed_conn)
        except BaseException:
            socket.close()
            raise
        self._sockets.add(socket)
        return connection

    async def dial_peer(self, peer_id: ID) -> list[INetConn]:
        """Connect to a peer for libp2p's own services, such as the DHT, at any address known.

        All direct addresses are dialed at once; no refusal is kept (guard 6).

        Raises:
            SwarmException: none of them answered in time.
        """
        live: list[INetConn] = [c for c in self.get_connections(peer_id) if not c.is_closed]
        if live:
            return live
        endpoints = {e for a in self.peerstore.addrs(peer_id) if (e := direct(str(a))) is not None}
        made: list[INetConn] = []
        with trio.move_on_after(self._settings.handshake_seconds):
            async with trio.open_nursery() as nursery:

                async def one(endpoint: Endpoint) -> None:
                    try:
                        made.append(await self.dial(endpoint, peer_id))
                    except Exception as fault:  # noqa: BLE001  # of libp2p's many kinds
                        log.debug("not dialed: %r", fault, extra={"address": str(endpoint)})
                    else:
                        nursery.cancel_scope.cancel()

                for endpoint in sorted(endpoints, key=str)[:MAX_DIALS]:
                    nursery.start_soon(one, endpoint)
        if not made:
            raise SwarmException(f"none of {len(endpoints)} addresses of {peer_id} answered")
        return made

    async def dial_over(self, stream: ReadWriteCloser, peer_id: ID) -> SwarmConn:
        """Make a connection to exactly this peer over what already leads to it.

        Raises:
            Exception: of libp2p's many kinds, when it is not that peer.
        """
        self._note_socket(stream)
        raw = self._fenced(RawConnection(stream, True))
        return await self.upgrade_outbound_raw_conn(raw, peer_id)

    async def accept_over(self, stream: ReadWriteCloser) -> None:
        """Take a connection over what leads to whoever opens it; stays until it ends."""
        self._note_socket(stream)
        await self._handle_inbound_connection(stream, Multiaddr("/p2p-circuit"))

    def _note_socket(self, stream: ReadWriteCloser) -> None:
        if isinstance(stream, TrioTCPStream):
            self._sockets.add(stream.stream.socket)

    def _fenced(self, raw: RawConnection) -> RawConnection:
        """The connection behind the pre-shared key; libp2p does it itself for inbound ones."""
        return raw if self.psk is None else new_protected_conn(raw, self.psk)

    def close_sockets(self) -> None:
        """Close what libp2p, when it is cancelled, leaves open."""
        for socket in self._sockets:
            socket.close()


def _source_of(stream: ReadWriteCloser) -> str:
    """Where a connection comes from: an address, or the relay between."""
    if isinstance(stream, Relayed):
        return stream.via
    remote = stream.get_remote_address()
    return source_of(remote[0]) if remote else ""


async def bind(endpoints: Sequence[Endpoint]) -> dict[str, trio.SocketListener]:
    """Bind a socket for each, by the multiaddr with the port that it got.

    Raises:
        OSError: a port is taken, or may not be had; its `filename` is the address.
    """
    sockets: dict[str, trio.SocketListener] = {}
    try:
        for endpoint in endpoints:
            try:
                [listener] = await trio.open_tcp_listeners(endpoint.port, host=endpoint.ip)
            except OSError as fault:
                raise OSError(fault.errno, fault.strerror, str(endpoint)) from fault
            port = listener.socket.getsockname()[1]
            sockets[str(Endpoint(endpoint.ip, port))] = listener
    except BaseException:
        for listener in sockets.values():
            listener.socket.close()
        raise
    return sockets
