"""Pipes in memory, in place of a libp2p stream: they can chop bytes, stall, and be cut."""

from __future__ import annotations

import trio


class PipeBroken(Exception):
    """What a pipe raises when it was cut: libp2p raises many kinds of its own."""


class MemoryPipe:
    """One end of a pair (`aiplat.node.link.Pipe`).

    Arguments:
        chop: at most so many bytes a read; 0 for all that are there.
    """

    def __init__(self, chop: int = 0) -> None:
        self.other: MemoryPipe = self
        self.chop = chop
        self.writes: list[bytes] = []
        self.cancelled_writes = 0
        self.aborted = False
        self.finished = False
        self._arrived = bytearray()
        self._ended = False
        self._wake = trio.lowlevel.ParkingLot()
        self._flowing = trio.Event()
        self._flowing.set()

    # -- as a channel sees it ------------------------------------------------------------------

    async def read(self) -> bytes:
        """Some bytes; raises PipeBroken at the end."""
        await trio.lowlevel.checkpoint()
        while not self._arrived:
            if self._ended or self.aborted:
                raise PipeBroken
            await self._wake.park()
        data = bytes(self._arrived[: self.chop or None])
        del self._arrived[: len(data)]
        return data

    async def write(self, data: bytes) -> None:
        """Send all of `data`, when it does not stall; a cancel half-way is noted."""
        try:
            await trio.lowlevel.checkpoint()
            await self._flowing.wait()
        except trio.Cancelled:
            self.cancelled_writes += 1
            raise
        if self.aborted or self.other.aborted:
            raise PipeBroken
        self.writes.append(data)
        self.other.arrive(data)

    async def finish(self) -> None:
        """No more will be written."""
        await trio.lowlevel.checkpoint()
        self.finished = True
        self.other.end()

    def abort(self) -> None:
        """Cut it."""
        self.aborted = True
        self._flowing.set()
        self._wake.unpark_all()
        self.other.end()

    # -- as a test moves it ----------------------------------------------------------------------

    def arrive(self, data: bytes) -> None:
        """Let bytes arrive here."""
        self._arrived += data
        self._wake.unpark_all()

    def end(self) -> None:
        """Let nothing more arrive here after what is there."""
        self._ended = True
        self._wake.unpark_all()

    def lose_arrived(self) -> None:
        """Forget what arrived and was not read, as a reset does."""
        self._arrived.clear()

    def stall(self) -> None:
        """Let the writes of this end wait."""
        self._flowing = trio.Event()

    def flow(self) -> None:
        """Let them go on."""
        self._flowing.set()


def pair(chop: int = 0) -> tuple[MemoryPipe, MemoryPipe]:
    """Two ends of one pipe."""
    left, right = MemoryPipe(chop), MemoryPipe(chop)
    left.other, right.other = right, left
    return left, right
