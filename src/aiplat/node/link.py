"""The life of one pipe to a peer: bytes out in few writes, bytes in at once, and its end.

Knows no message; what the bytes mean is the channel's. What ends it is always a clause in
words, and it is told at once, also while a write hangs.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Literal, NamedTuple, Protocol

import trio

from aiplat.node.outbox import Outbox
from aiplat.node.pulse import Pulse
from aiplat.node.settings import NodeSettings

log = logging.getLogger("aiplat.node.link")

SLICE_BYTES = 16 * 1024
"""Taken at a time of what came. All at once, 100 requests that came together were answered
together: the peer idled meanwhile. 16 KiB gave 30,000 requests a second in place of 20,500, 24 KB
24,500, and 10 KB, with more writes, 26,800."""

UNREAD_SECONDS = 10.0
"""After a write that failed, for what the peer said before; less when it is silent."""


class Pipe(Protocol):
    """A stream of bytes to one peer and back."""

    async def read(self) -> bytes:
        """Some bytes; empty, or any exception, when there will be no more."""

    async def write(self, data: bytes) -> None:
        """Send all of `data`; any exception when it cannot."""

    async def finish(self) -> None:
        """Say that nothing more will be written."""

    def abort(self) -> None:
        """Close it in both directions now; what waits in `read` or `write` comes back."""


Kind = Literal[
    "closed", "goodbye", "eof", "silence", "write", "overflow", "violation", "fault", "stopped"
]


class Ending(NamedTuple):
    """How a link ended: a word for the metrics, and a clause for a person."""

    kind: Kind
    clause: str


class Link:
    """One pipe.

    Arguments:
        pipe: where the bytes go.
        settings: bounds and deadlines.
        received: takes the bytes that came, at once; raises nothing.
        beat: looks at the peer, and says a heartbeat with this nonce, if there is one.
        farewell: the last words when the node stops.
        fill: puts what waits elsewhere; called before bytes are taken to be written.
        leads: whether this side asks first when nothing is said (`Pulse`).
    """

    def __init__(
        self,
        pipe: Pipe,
        settings: NodeSettings,
        received: Callable[[bytes], None],
        beat: Callable[[int | None], None],
        farewell: Callable[[], bytes],
        fill: Callable[[], None] = lambda: None,
        *,
        leads: bool = True,
    ) -> None:
        self.ending: Ending | None = None
        self.pulse = Pulse(
            trio.current_time(), settings.heartbeat_seconds, settings.silence_seconds, leads=leads
        )
        self._pipe = pipe
        self._settings = settings
        self._received = received
        self._beat = beat
        self._farewell = farewell
        self._fill = fill
        self._outbox = Outbox(settings.write_bytes, settings.bulk_bytes)
        self._sleeping_writer = trio.lowlevel.ParkingLot()
        self._doomed = trio.Event()
        self._flushed = trio.Event()
        self._deaf = trio.Event()

    # -- out -------------------------------------------------------------------------------

    def has_room(self, size: int) -> bool:
        """Whether `size` more bytes may wait."""
        return self._outbox.size + size <= self._settings.outbox_bytes

    def wants_more(self) -> bool:
        """Whether fewer small frames wait than one write takes."""
        return self._outbox.small < self._settings.write_bytes

    def wake(self) -> None:
        """Have `fill` called soon."""
        if self._sleeping_writer:
            self._sleeping_writer.unpark_all()

    def put(self, frame: bytes, number: int | None, *, opens: bool = False) -> None:
        """Send a frame in its turn (`Outbox.put`); after the end it is dropped."""
        if self.ending is None:
            self._outbox.put(frame, number, opens=opens)
            self.wake()

    def end(self, ending: Ending, last: bytes = b"") -> None:
        """End it, with these last words; the first end counts. Told from the link's own task."""
        if self.ending is not None:
            return
        self.ending = ending
        if ending.kind in ("overflow", "violation", "silence"):
            self._outbox.clear()  # nobody waits for it: the last words go first
        if last:
            self._outbox.put_last(last)
        self._sleeping_writer.unpark_all()
        self._doomed.set()

    # -- its life --------------------------------------------------------------------------

    async def run(self, ended: Callable[[Ending], None]) -> None:
        """Live until it ends; a cancel is an end too, and is said to the peer as one.

        Arguments:
            ended: called once, before the last words left.
        """
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch_for_cancel)
            # A write that is cancelled half-way breaks the connection (guard 2), and the last
            # words could not leave: nothing below here is cancelled before the pipe is closed.
            with trio.CancelScope(shield=True):
                await self._live(ended)
            nursery.cancel_scope.cancel()

    async def _watch_for_cancel(self) -> None:
        try:
            await trio.sleep_forever()
        finally:
            if self.ending is None:
                self.end(Ending("stopped", "this node stops"), self._farewell())

    async def _live(self, ended: Callable[[Ending], None]) -> None:
        async with trio.open_nursery() as nursery:
            for task in (self._write, self._read, self._watch_pulse):
                nursery.start_soon(task)
            await self._doomed.wait()
            assert self.ending is not None
            try:
                ended(self.ending)
            finally:
                await self._say_last_words(self.ending)
                self._pipe.abort()
                nursery.cancel_scope.cancel()

    async def _say_last_words(self, ending: Ending) -> None:
        """Let the outbox leave, and the peer read it: closing at once could destroy it."""
        if ending.kind in ("eof", "write", "goodbye"):
            return
        with trio.move_on_after(self._settings.linger_seconds):
            await self._flushed.wait()
            try:
                await self._pipe.finish()
            except Exception:  # noqa: BLE001  # of libp2p's many kinds: it is finished, then
                return
            await self._deaf.wait()

    # -- its tasks -------------------------------------------------------------------------

    async def _write(self) -> None:
        while True:
            self._fill()
            while not self._outbox:
                if self.ending is not None:
                    self._flushed.set()
                await self._sleeping_writer.park()
                self._fill()
            data = self._outbox.take()
            try:
                await self._pipe.write(data)
            except Exception as fault:  # noqa: BLE001  # of libp2p's many kinds
                self._flushed.set()
                # What it said before it went may lie here unread, where this node lags behind.
                with trio.move_on_after(UNREAD_SECONDS):
                    await self._deaf.wait()
                self.end(Ending("write", f"nothing more could be sent to it ({_name(fault)})"))
                return
            self.pulse.said(trio.current_time())
            await trio.lowlevel.checkpoint()

    async def _read(self) -> None:
        """Take what comes, always and at once: who pauses is cut after 5 s (guard 3)."""
        while data := await self._some_bytes():
            self.pulse.heard(trio.current_time())
            if self.ending is None:
                self._received(data[:SLICE_BYTES])
            for at in range(SLICE_BYTES, len(data), SLICE_BYTES):
                await trio.lowlevel.checkpoint()  # the first answers leave meanwhile
                if self.ending is None:
                    self._received(data[at : at + SLICE_BYTES])
        self._deaf.set()
        self.end(Ending("eof", "its connection ended without a word"))

    async def _some_bytes(self) -> bytes:
        """What the pipe gives; empty at its end. A clean end and a killed peer look the same
        (guard 4): whatever is raised, it is an end."""
        try:
            return await self._pipe.read()
        except Exception as fault:  # noqa: BLE001  # of libp2p's many kinds
            log.debug("read ended", extra={"fault": _name(fault)})
            return b""

    async def _watch_pulse(self) -> None:
        while True:
            await trio.sleep_until(self.pulse.due)
            now = trio.current_time()
            if self.pulse.look(now):
                seconds = self._settings.silence_seconds
                self.end(Ending("silence", f"it fell silent for {seconds:.1f} s"))
                return
            nonce = self.pulse.beat(now)
            if self.ending is None:
                self._beat(nonce)


def _name(fault: Exception) -> str:
    return type(fault).__name__
