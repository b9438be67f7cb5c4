"""The libp2p host of a node: streams of our protocol in, streams of our protocol out."""

from __future__ import annotations

import errno
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import trio
from libp2p.abc import INetConn, INetStream
from libp2p.custom_types import StreamHandlerFn, TProtocol
from libp2p.host.basic_host import BasicHost
from libp2p.identity.identify.identify import ID as IDENTIFY
from libp2p.identity.identify.pb.identify_pb2 import Identify
from libp2p.identity.identify_push.identify_push import ID_PUSH as IDENTIFY_PUSH
from libp2p.io.abc import ReadWriteCloser
from libp2p.network.connection.swarm_connection import SwarmConn
from libp2p.peer.id import ID
from libp2p.protocol_muxer.multiselect import Multiselect
from libp2p.protocol_muxer.multiselect_communicator import MultiselectCommunicator
from libp2p.utils.varint import read_length_prefixed_protobuf
from multiaddr import Multiaddr  # type: ignore[import-untyped]  # it has no types

from aiplat.domain.errors import ConfigError, NoPeer
from aiplat.domain.ids import PeerId
from aiplat.node.addresses import Endpoint, Target
from aiplat.node.identity import Identity
from aiplat.node.mends import mend_libp2p
from aiplat.node.pipe import StreamPipe, relay_of
from aiplat.node.places import Places
from aiplat.node.settings import NodeSettings
from aiplat.node.swarm import Guarded, bind
from aiplat.protocol.messages import PROTOCOL_ID
from aiplat.telemetry.metrics import Metrics

log = logging.getLogger("aiplat.node.host")

OURS = TProtocol(PROTOCOL_ID)

Accept = Callable[[StreamPipe, PeerId, str], Awaitable[None]]
RelayDial = Callable[[Target], Awaitable[StreamPipe]]


class NotOurs(Exception):
    """A libp2p peer that does not speak our protocol; `protocols` are those that it does."""

    def __init__(self, protocols: tuple[str, ...]) -> None:
        super().__init__(", ".join(protocols))
        self.protocols = protocols


class BoundedHost(BasicHost):
    """libp2p's host, where each peer has so many streams of each protocol and no more.

    Arguments:
        swarm: under it.
        settings: bounds and deadlines.
        metrics: where hits of bounds are counted.
    """

    def __init__(self, swarm: Guarded, settings: NodeSettings, metrics: Metrics) -> None:
        super().__init__(swarm)
        self._settings = settings
        self._metrics = metrics
        theirs = dict(self.multiselect.handlers)
        # A push of anybody's would be written to the peerstore; nobody here asks for any.
        theirs.pop(IDENTIFY_PUSH, None)
        self.multiselect = Multiselect()
        for protocol, handler in theirs.items():
            if protocol is not None and handler is not None:
                self.set_stream_handler(protocol, handler)

    def set_stream_handler(self, protocol_id: TProtocol, stream_handler: StreamHandlerFn) -> None:
        """Take a handler of libp2p's own services. Theirs may wait for ever for a peer's word."""
        seconds = self._settings.libp2p_stream_seconds

        async def with_deadline(stream: INetStream) -> None:
            with trio.move_on_after(seconds) as scope:
                await stream_handler(stream)
            if scope.cancelled_caught:
                self._hit("libp2p_stream_seconds")
                await stream.reset()

        self._handle(
            protocol_id, with_deadline, "libp2p_streams", self._settings.max_libp2p_streams
        )

    def handle_ours(self, protocol: TProtocol, handler: StreamHandlerFn) -> None:
        """Take a handler of this node's; it has its own deadlines."""
        self._handle(
            protocol, handler, "streams_per_protocol", self._settings.max_streams_per_protocol
        )

    def _handle(self, protocol: TProtocol, handler: StreamHandlerFn, bound: str, most: int) -> None:
        places = Places(most)

        async def bounded(stream: INetStream) -> None:
            with places.place(stream.muxed_conn.peer_id) as may:
                if may:
                    await handler(stream)
                else:
                    self._hit(bound)
                    await stream.reset()

        super().set_stream_handler(protocol, bounded)

    def _hit(self, bound: str) -> None:
        self._metrics.bound_hits.labels(bound=bound).inc()


class Host:
    """A running host. Open it with `open_host`."""

    def __init__(self, swarm: Guarded, settings: NodeSettings, metrics: Metrics) -> None:
        self.settings = settings
        self._swarm = swarm
        self._host = BoundedHost(swarm, settings, metrics)
        self.relay_dial: RelayDial | None = None
        self.listeners: tuple[trio.SocketListener, ...] = ()
        # Identify would run on each connection, in a task whose fault ends the whole program.
        # It is answered, and asked only where its answer is needed.
        vars(self._host)["_schedule_identify"] = lambda peer_id, *, reason: None
        swarm.notifees = [n for n in swarm.notifees if "Identify" not in type(n).__name__]

    def serve(self, accept: Accept) -> None:
        """Hand each stream of our protocol that a peer opens to `accept`."""
        self.handle(OURS, accept)

    def trust(self, has_channel: Callable[[PeerId], bool]) -> None:
        """Let connections stay for which this says that their peer has a channel."""
        self._swarm.inbound.has_channel = has_channel

    def prove(self, peer: PeerId) -> None:
        """A peer has a channel now."""
        self._swarm.inbound.prove(peer)

    @property
    def libp2p(self) -> BasicHost:
        """The host itself, for libp2p's own services."""
        return self._host

    def announce(self, addresses: Callable[[], tuple[str, ...]]) -> None:
        """Let libp2p's own services tell these addresses: those that are bound may be wildcards."""
        vars(self._host)["get_addrs"] = lambda: [Multiaddr(a) for a in addresses()]

    def handle(self, protocol: str, accept: Accept) -> None:
        """Hand each stream of another protocol that a peer opens to `accept`.

        What `accept` gets is one stream of a connection that others may use: it ends it with
        `StreamPipe.reset`.
        """

        async def opened(stream: INetStream) -> None:
            peer = PeerId(stream.muxed_conn.peer_id.to_base58())
            await accept(StreamPipe(stream), peer, _came_from(stream))

        self._host.handle_ours(TProtocol(protocol), opened)

    async def stream(self, peer: PeerId, protocol: str) -> StreamPipe:
        """Open a stream of another protocol on a live connection to `peer`, a direct one first.

        Raises:
            OSError: there is no live connection.
            Exception: of libp2p's many kinds, when the peer does not speak it.
        """
        connections = self._swarm.get_connections(ID.from_base58(peer))
        for connection in sorted(connections, key=lambda c: relay_of(c.muxed_conn) is not None):
            if not connection.is_closed:
                return StreamPipe(await self._new_stream(connection, TProtocol(protocol)))
        raise OSError(errno.ENOTCONN, "there is no connection to it")

    async def reach(self, target: Target) -> StreamPipe:
        """Connect to a peer, directly or by its relay, and open a stream of our protocol.

        Raises:
            NoPeer: the relay cannot, or will not.
            Exception: as `open`.
        """
        if target.relay is None:
            return await self.open(target.endpoint, target.peer)
        if self.relay_dial is None:
            raise NoPeer("This node reaches no peers by relays yet.")
        return await self.relay_dial(target)

    async def open(
        self, endpoint: Endpoint, peer: PeerId, protocol: str = PROTOCOL_ID
    ) -> StreamPipe:
        """Connect to `peer` at `endpoint` and open a stream of our protocol, or of another.

        Raises:
            NotOurs: it is that peer, but does not speak our protocol.
            OSError: nobody listens there.
            Exception: of libp2p's many kinds, when it is not that peer.
        """
        connection = await self._swarm.dial(endpoint, ID.from_base58(peer))
        return await self._open_on(connection, protocol)

    async def open_over(self, stream: ReadWriteCloser, peer: PeerId) -> StreamPipe:
        """Make a connection to `peer` over what already leads to it; open a stream as `open` does.

        Raises:
            NotOurs: it is that peer, but does not speak our protocol.
            Exception: of libp2p's many kinds, when it is not that peer.
        """
        connection = await self._swarm.dial_over(stream, ID.from_base58(peer))
        return await self._open_on(connection, PROTOCOL_ID)

    async def accept_over(self, stream: ReadWriteCloser) -> None:
        """Take a connection over what leads to whoever opens it; stays until it ends."""
        await self._swarm.accept_over(stream)

    async def probe(self, endpoint: Endpoint, peer: PeerId) -> None:
        """See that `peer` answers at `endpoint`, by a connection of its own that is closed again.

        Raises:
            OSError: nobody listens there.
            Exception: of libp2p's many kinds, when it is not that peer.
        """
        await _close(await self._swarm.dial(endpoint, ID.from_base58(peer)))

    async def connect(self, endpoint: Endpoint, peer: PeerId) -> None:
        """Make a connection to `peer` on which it may open streams; it ends when it does not.

        Raises:
            OSError: nobody listens there.
            Exception: of libp2p's many kinds, when it is not that peer.
        """
        await self._swarm.dial(endpoint, ID.from_base58(peer))

    async def _open_on(self, connection: SwarmConn, protocol: str) -> StreamPipe:
        try:
            stream = await self._new_stream(connection, TProtocol(protocol))
        except Exception as fault:
            protocols = await self._protocols_of(connection)
            await _close(connection)
            if protocols is None:
                raise
            raise NotOurs(protocols) from fault
        except BaseException:
            await _close(connection)
            raise
        return StreamPipe(stream)

    def running(self, addresses: list[Multiaddr]) -> AbstractAsyncContextManager[None]:
        """Run while the block lasts."""
        return self._host.run(addresses)

    async def wait_dead(self) -> None:
        """Wait until libp2p's host ended by itself, which it never should."""
        await self._swarm.get_manager().wait_finished()

    async def _new_stream(self, connection: INetConn, protocol: TProtocol) -> INetStream:
        """Open a stream within a deadline: with 256 of ours on it, libp2p waits (guard 5).

        Raises:
            TooSlowError: it has all the streams that it may, or the peer does not answer.
        """
        stream: INetStream | None = None
        try:
            with trio.fail_after(self.settings.handshake_seconds):
                stream = await connection.new_stream()
                await self._select(stream, protocol)
                return stream
        except BaseException:
            if stream is not None:
                with trio.move_on_after(1.0, shield=True):
                    await stream.reset()
            raise

    async def _select(self, stream: INetStream, protocol: TProtocol) -> None:
        await self._host.multiselect_client.select_one_of(
            [protocol], MultiselectCommunicator(stream), round(self.settings.handshake_seconds)
        )

    async def _protocols_of(self, connection: SwarmConn) -> tuple[str, ...] | None:
        """What a peer says that it speaks; None when it says nothing that can be read."""
        try:
            with trio.fail_after(self.settings.handshake_seconds):
                stream = await connection.new_stream()
                await self._select(stream, IDENTIFY)
                data = await read_length_prefixed_protobuf(stream)
            message = Identify()
            message.ParseFromString(data)
            return tuple(message.protocols)
        except Exception:  # noqa: BLE001  # of libp2p's many kinds: it cannot be known
            return None


async def bind_all(endpoints: Sequence[Endpoint]) -> dict[str, trio.SocketListener]:
    """Bind every one of these places.

    Raises:
        ConfigError: one cannot be listened on.
    """
    try:
        return await bind(endpoints)
    except OSError as fault:
        raise ConfigError(_why_not(fault)) from fault


@asynccontextmanager
async def open_host(
    identity: Identity,
    settings: NodeSettings,
    metrics: Metrics,
    sockets: dict[str, trio.SocketListener],
    psk: str | None = None,
) -> AsyncIterator[Host]:
    """Run a host over these sockets while the block lasts.

    Arguments:
        identity, settings, metrics: the node's.
        sockets: bound beforehand, by multiaddr.
        psk: the network's pre-shared key, 64 hexadecimal digits.
    """
    mend_libp2p()
    swarm = Guarded(identity, settings, metrics, sockets, psk)
    host = Host(swarm, settings, metrics)
    host.listeners = tuple(sockets.values())
    try:
        async with host.running([Multiaddr(address) for address in sockets]):
            try:
                yield host
            finally:
                with trio.move_on_after(1.0, shield=True):
                    await _close_all(swarm)
    finally:
        swarm.close_sockets()


def _came_from(stream: INetStream) -> str:
    """Where who opened a stream is, as far as can be seen: an ip and a port, or a relay."""
    via = relay_of(stream.muxed_conn)
    if via is not None:
        return f"/p2p/{via}/p2p-circuit"
    remote = stream.get_remote_address()
    return str(Endpoint(remote[0], remote[1])) if remote else ""


async def _close_all(swarm: Guarded) -> None:
    """Close all connections at once: one after the other, six of them took 1.2 s."""
    async with trio.open_nursery() as nursery:
        for connection in swarm.get_connections():
            nursery.start_soon(_close, connection)


async def _close(connection: INetConn) -> None:
    with trio.move_on_after(1.0, shield=True):
        try:
            await connection.close()
        except Exception as fault:  # noqa: BLE001  # of libp2p's many kinds: it is gone
            log.debug("a connection closed badly", extra={"fault": repr(fault)})


def _why_not(fault: OSError) -> str:
    where = fault.filename
    if fault.errno == errno.EADDRINUSE:
        return (
            f"Cannot listen on {where}: the port is in use. Give another with --listen "
            "(port 0 picks a free one), or stop what uses it."
        )
    if fault.errno == errno.EACCES:
        return f"Cannot listen on {where}: ports below 1024 are not for this account."
    return f"Cannot listen on {where}: {fault.strerror}."
