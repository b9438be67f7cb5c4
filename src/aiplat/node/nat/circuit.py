"""One end of a circuit: a stream to the relay, in the place of a socket to the peer."""

from __future__ import annotations

import trio
from libp2p.io.exceptions import ConnectionClosedError

from aiplat.domain.ids import PeerId
from aiplat.node.pipe import Relayed, StreamPipe

CLOSE_SECONDS = 5.0
"""For telling the relay that a circuit is over."""


class Circuit(Relayed):
    """What Noise and yamux run over. Somebody has to `keep` it.

    Arguments:
        pipe: the stream to the relay.
        via: the relay.
        early: what came together with its answer.
        write_bytes: the most for one write.
    """

    def __init__(self, pipe: StreamPipe, via: PeerId, early: bytes, write_bytes: int) -> None:
        super().__init__(via)
        self._pipe = pipe
        self._buffer = bytearray(early)
        self._write_bytes = write_bytes
        self._over = trio.Event()
        self._reading = trio.CancelScope()

    async def read(self, n: int | None = None) -> bytes:
        """Up to `n` bytes; none at the end, as a socket has it."""
        if not self._buffer and not self._over.is_set():
            with trio.CancelScope() as self._reading:
                try:
                    self._buffer += await self._pipe.read()
                except Exception:  # noqa: BLE001  # of libp2p's many kinds: an end (guard 4)
                    self._over.set()
        taken = bytes(self._buffer[:n])
        del self._buffer[: len(taken)]
        return taken

    async def write(self, data: bytes) -> None:
        """Send all of `data`, in pieces that no cancel cuts."""
        for start in range(0, len(data), self._write_bytes):
            if self._over.is_set():
                raise ConnectionClosedError("the circuit is over", transport="relay")
            try:
                await write_whole(self._pipe, data[start : start + self._write_bytes])
            except Exception as fault:
                raise ConnectionClosedError(f"the circuit broke: {fault}") from fault

    async def close(self) -> None:
        """Close it; whoever keeps it tells the relay."""
        self.abort()
        await trio.lowlevel.checkpoint()

    def abort(self) -> None:
        """Close it now."""
        self._over.set()
        self._reading.cancel()

    async def keep(self) -> None:
        """Wait for its end, and tell the relay; a cancel is an end."""
        try:
            await self._over.wait()
        finally:
            self.abort()
            await end(self._pipe)


async def write_whole(pipe: StreamPipe, data: bytes) -> None:
    """Write, and let no cancel cut it: that would break the connection below (guard 2)."""
    with trio.CancelScope(shield=True):
        await pipe.write(data)
    await trio.lowlevel.checkpoint()


async def end(pipe: StreamPipe) -> None:
    """Reset a stream, also when cancelled; the connection below it stays."""
    with trio.move_on_after(CLOSE_SECONDS, shield=True):
        try:
            await pipe.reset()
        except Exception:  # noqa: BLE001  # of libp2p's many kinds: it is gone, then
            return
