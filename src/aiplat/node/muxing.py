"""yamux that holds a peer to its window (yamux spec, flow control).

That of py-libp2p 0.8.1 writes a warning when a peer sends more than it was granted, and keeps it
all: a stream that nobody reads could be grown without end. It also reads a frame of 16 MiB before
it looks at the window. Here both cost the peer its connection.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import trio
from libp2p.stream_muxer.yamux import yamux

MAX_BODY = 1024 * 1024
"""Bytes of one DATA frame. Ours have 60 KB; a window is 256 KiB."""


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
            _overran(self.conn)
        self._granted = value


async def _read_body(self: Any, length: int) -> bytes:
    if length > MAX_BODY:
        _overran(self)
    return await _read_whole_body(self, length)


def _overran(connection: Any) -> None:
    tell: Callable[[], None] = getattr(connection, "on_overrun", lambda: None)
    tell()
    raise Overrun


_read_whole_body = yamux.Yamux._read_data_body


def hold_to_windows() -> None:
    """Put it right for the whole process; again is no harm."""
    vars(yamux)["YamuxStream"] = HeldStream
    yamux.Yamux._read_data_body = _read_body  # type: ignore[method-assign]  # that is the mend


def count_overruns(connection: Any, tell: Callable[[], None]) -> None:
    """Be told when the peer of this connection sends more than it may."""
    connection.on_overrun = tell
