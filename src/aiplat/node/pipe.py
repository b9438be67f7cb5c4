"""A libp2p stream as a pipe."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import trio
from libp2p.abc import INetStream
from libp2p.io.abc import ReadWriteCloser
from libp2p.security.pnet.psk_conn import PskConn
from libp2p.stream_muxer.yamux.yamux import DEFAULT_WINDOW_SIZE

from aiplat.domain.ids import PeerId

READ_BYTES = 256 * 1024


class StreamPipe:
    """One stream, and the connection that it alone uses (`aiplat.node.link.Pipe`).

    Reads and writes go to the muxer's stream: the layer above it only keeps a state that is
    not asked for, with four locks for each read and write.
    """

    def __init__(self, stream: INetStream) -> None:
        self._stream: Any = stream.muxed_stream  # type: ignore[attr-defined]  # a NetStream
        self._connection: Any = stream.muxed_conn
        # The original writes a WINDOW_UPDATE of its own for each read, which was a third of the
        # time that a gateway worked.
        self._stream._auto_tune_and_send_window_update = self._release
        self._unreleased = 0

    async def _release(self, *, bytes_read: int = 0) -> None:
        """Give the peer back what was read, half a window at a time (yamux spec, flow control)."""
        self._unreleased += bytes_read
        if self._unreleased >= DEFAULT_WINDOW_SIZE // 2:
            given, self._unreleased = self._unreleased, 0
            self._stream.recv_window += given
            with trio.CancelScope(shield=True):  # cut half-way it breaks the connection (guard 2)
                await self._stream.send_window_update(given)

    async def read(self) -> bytes:
        """Some bytes; any exception when there will be no more."""
        data: bytes = await self._stream.read(READ_BYTES)
        return data

    async def write(self, data: bytes) -> None:
        """Send all of `data`; it may wait 5 s on a full window, and then raises."""
        await self._stream.write(data)

    async def finish(self) -> None:
        """Close our half: the peer reads to the end of what was written."""
        await self._stream.close()

    async def reset(self) -> None:
        """End this stream in both directions; the connection under it stays."""
        await self._stream.reset()

    def abort(self) -> None:
        """Close the connection under it; libp2p notices and clears up."""
        self._stream.closed = self._stream.send_closed = True
        bottom = _bottom(self._connection)
        if isinstance(bottom, Relayed):
            bottom.abort()
        elif isinstance(bottom.stream, trio.SocketStream):
            bottom.stream.socket.close()

    @property
    def via(self) -> PeerId | None:
        """The peer that relays the connection under it; None for one that is direct."""
        return relay_of(self._connection)

    @property
    def remote(self) -> tuple[str, int] | None:
        """The ip and port that the connection under it comes from, or leads to."""
        found: tuple[str, int] | None = self._stream.get_remote_address()
        return found


class Relayed(ReadWriteCloser):
    """What a connection runs over that a third peer relays: a stream, in a socket's place.

    Arguments:
        via: the relay.
    """

    def __init__(self, via: PeerId) -> None:
        self.via = via

    @abstractmethod
    def abort(self) -> None:
        """Close it now; what waits in `read` or `write` comes back."""

    def get_remote_address(self) -> tuple[str, int] | None:
        """None: it is the relay that has one."""
        return None


def relay_of(muxed: Any) -> PeerId | None:
    """The peer that relays a muxed connection; None for a direct one."""
    bottom = _bottom(muxed)
    return bottom.via if isinstance(bottom, Relayed) else None


def socket_of(muxed: Any) -> trio.socket.SocketType | None:
    """The TCP socket below a connection: the only thing that ends a hanging write at once."""
    layer = getattr(_bottom(muxed), "stream", None)
    return layer.socket if isinstance(layer, trio.SocketStream) else None


def _bottom(muxed: Any) -> Any:
    """What carries a connection's bytes, below the muxer, Noise and the fence."""
    raw = muxed.secured_conn.conn.read_writer.read_write_closer
    while isinstance(raw, PskConn):
        raw = raw._conn
    return raw.stream
