"""yamux that holds a peer to its window (yamux spec, flow control).

That of py-libp2p 0.8.1 writes a warning when a peer sends more than it was granted, and keeps it
all: a stream that nobody reads could be grown without end. It also reads a frame of 16 MiB before
it looks at the window. And it keeps for a minute what came on a stream that was reset. Here more
than the window, or too much that nobody has read on all streams together, costs the peer its
connection; what came on a stream that is reset is dropped.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import trio
from libp2p.stream_muxer.yamux import yamux

MAX_BODY = 1024 * 1024
"""Bytes of one DATA frame. Ours have 60 KB; a window is 256 KiB."""

FEW_STREAMS = 3
"""Up to so many, the windows alone are bound enough; most connections have one stream."""


class Overrun(trio.TooSlowError):
    """The peer sent more than it may. Of this kind, as that one alone ends a yamux connection."""


class HeldStream(yamux.YamuxStream):
    """A stream whose receive window cannot fall below zero."""

    _granted = 0

    def _apply_autotune_epoch(self, buffered: int) -> int:
        """Never: it would double the window with each read, to 16 MiB for every stream."""
        return 0

    @property
    def recv_window(self) -> int:
        """Bytes that the peer may still send."""
        return self._granted

    @recv_window.setter
    def recv_window(self, value: int) -> None:
        if value < 0:
            _overran(self.conn, "yamux_window")
        if value < self._granted and len(self.conn.streams) > FEW_STREAMS:
            _look_at_all(self.conn)
        self._granted = value

    async def reset(self) -> None:
        """End it both ways, and drop what nobody will read any more."""
        buffer = self.conn.stream_buffers.get(self.stream_id)
        if buffer:
            buffer.clear()
        if self.closed:  # by the peer: then the original does nothing
            await self.conn._finalize_stream(self, fully_closed=True)
        await super().reset()


async def _read_body(self: Any, length: int) -> bytes:
    if length > MAX_BODY:
        _overran(self, "yamux_window")
    return await _read_whole_body(self, length)


def _look_at_all(connection: Any) -> None:
    bound: Callable[[], int] | None = getattr(connection, "unread_bound", None)
    if bound is not None and sum(map(len, connection.stream_buffers.values())) > bound():
        _overran(connection, "unread_bytes")


def _overran(connection: Any, bound: str) -> None:
    tell: Callable[[str], None] = getattr(connection, "on_overrun", lambda bound: None)
    tell(bound)
    raise Overrun


_read_whole_body = yamux.Yamux._read_data_body


def hold_to_windows() -> None:
    """Put it right for the whole process; again is no harm."""
    vars(yamux)["YamuxStream"] = HeldStream
    yamux.Yamux._read_data_body = _read_body  # type: ignore[method-assign]  # that is the mend


def watch(connection: Any, tell: Callable[[str], None], unread_bound: Callable[[], int]) -> None:
    """Bound what waits unread on all streams of a connection.

    Arguments:
        connection: of yamux.
        tell: called with the name of the bound that its peer ran over.
        unread_bound: gives the bytes that may wait now.
    """
    connection.on_overrun = tell
    connection.unread_bound = unread_bound
