"""Proxies between two ends of a connection that do to its bytes what networks do, and worse.

`MemoryProxy` stands between two pipes in memory: bytes move when the test says so, by steps and
never by a clock. `TcpProxy` stands between two real nodes.
"""

from __future__ import annotations

import socket
import struct
from contextlib import suppress
from typing import Literal, NamedTuple

import trio
from hypothesis import strategies as st

from tests.support.pipes import MemoryPipe

Gentle = Literal["pass", "hold"]
Harsh = Literal["cut", "reset", "shut"]
Mangling = Literal["repeat", "flip", "lose"]
ALL = 1_000_000
"""More bytes than ever wait."""

GENTLE: tuple[Gentle, ...] = ("pass", "hold")
HARSH: tuple[Harsh, ...] = ("cut", "reset", "shut")
MANGLING: tuple[Mangling, ...] = ("repeat", "flip", "lose")


class Fault(NamedTuple):
    """One step of a plan.

    Arguments:
        kind: what is done: ``pass`` some bytes and hold the others, ``hold`` all; ``cut`` the
            connection where it stands, ``reset`` it with what had arrived, ``shut`` one direction;
            ``repeat``, ``flip`` or ``lose`` some of what waits.
        back: whether it is done to what the right end says, not the left.
        size: to how many bytes; for ``flip``, to which byte.
        mask: the bits that are flipped.
    """

    kind: Gentle | Harsh | Mangling
    back: bool = False
    size: int = 1
    mask: int = 1


def faults(*kinds: Gentle | Harsh | Mangling) -> st.SearchStrategy[Fault]:
    """Steps of these kinds; some chop finely, some coarsely, some not at all."""
    sizes = st.sampled_from([1, 2, 5, 12, 60, 300, 2000, ALL, ALL, ALL])
    return st.builds(Fault, st.sampled_from(kinds), st.booleans(), sizes, st.integers(1, 255))


class Wire(MemoryPipe):
    """One direction: what `source` writes waits here until it is passed on to `target`.

    Arguments:
        window: over so many bytes that wait, `source` cannot write; 0 for any number.
    """

    def __init__(self, source: MemoryPipe, target: MemoryPipe, window: int) -> None:
        super().__init__()
        self.waiting = bytearray()
        self.is_free = False
        self._source = source
        self._target = target
        self._window = window
        self._shut = False

    # -- as the pipes see it -----------------------------------------------------------------

    def arrive(self, data: bytes) -> None:
        """Take what `source` wrote."""
        if self._shut:
            return
        self.waiting += data
        if self.is_free:
            self.pass_on(len(self.waiting))
        elif self._window and len(self.waiting) > self._window:
            self._source.stall()

    def end(self) -> None:
        """`source` says nothing more; `target` hears so behind what waits."""
        self._ended = True
        if self.is_free:
            self.pass_on(0)

    # -- as a test moves it ------------------------------------------------------------------

    def pass_on(self, size: int) -> None:
        """Let some bytes arrive, and the end behind the last."""
        data = bytes(self.waiting[:size])
        self.lose(size)
        if data:
            self._target.arrive(data)
        if self._ended and not self.waiting:
            self._target.end()

    def lose(self, size: int) -> None:
        """Drop some bytes."""
        del self.waiting[:size]
        if len(self.waiting) <= self._window:
            self._source.flow()

    def shut(self) -> None:
        """Let nothing arrive any more but the end."""
        self._shut = self._ended = True
        self.lose(len(self.waiting))
        self.pass_on(0)


class MemoryProxy:
    """Stands between two pipes that were joined; from then on nothing moves by itself.

    Arguments:
        left, right: the ends; what `left` wrote before has arrived.
        window: of each direction (`Wire`).
    """

    def __init__(self, left: MemoryPipe, right: MemoryPipe, window: int = 0) -> None:
        self._ends = (left, right)
        self.there = Wire(left, right, window)
        self.back = Wire(right, left, window)
        left.other, right.other = self.there, self.back

    def do(self, fault: Fault) -> bool:
        """Take one step; gives whether any byte was mangled."""
        wire = self.back if fault.back else self.there
        size = min(fault.size, len(wire.waiting))
        match fault.kind:
            case "pass":
                wire.pass_on(size)
            case "shut":
                wire.shut()
            case "cut" | "reset":
                self._cut(with_what_arrived=fault.kind == "reset")
            case "repeat":
                wire.waiting[:0] = wire.waiting[:size]
                return size > 0
            case "flip" if size:
                wire.waiting[size - 1] ^= fault.mask
                return True
            case "lose":
                wire.lose(size)
                return size > 0
        return False

    def _cut(self, *, with_what_arrived: bool) -> None:
        for wire, end in ((self.there, self._ends[1]), (self.back, self._ends[0])):
            if with_what_arrived:
                end.lose_arrived()
            wire.shut()
            wire.aborted = True  # who writes now fails

    def free(self) -> None:
        """Let everything through from now on."""
        for wire in (self.there, self.back):
            wire.is_free = True
            wire.pass_on(len(wire.waiting))


Way = Literal["there", "back"]
"""From who connects to who listens, or back."""


class _Pair:
    """One connection through the proxy: its two sockets, and whether one end is forgotten."""

    def __init__(self, near: trio.SocketStream, far: trio.SocketStream) -> None:
        self.near = near
        self.far = far
        self.is_half_open = False


class TcpProxy:
    """A TCP proxy on loopback, whose connections a test stalls, cuts, resets, starves or drips.

    What is set holds for the connections that are there and those that come.

    Arguments:
        port: where it leads, on loopback.
    """

    def __init__(self, port: int) -> None:
        self.port = 0
        self.accepted: list[float] = []
        self.refuses = False
        self._to = port
        self._pairs: list[_Pair] = []
        self._open = {"there": trio.Event(), "back": trio.Event()}
        self._swallows = {"there": False, "back": False}
        self._drip_seconds: float | None = None
        self.flow()

    async def run(self, *, task_status: trio.TaskStatus[int]) -> None:
        """Listen until cancelled; started with the port."""
        [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        self.port = int(listener.socket.getsockname()[1])
        async with trio.open_nursery() as nursery:
            task_status.started(self.port)
            await trio.serve_listeners(self._serve, [listener], handler_nursery=nursery)

    # -- as a test moves it ------------------------------------------------------------------

    @property
    def connections(self) -> int:
        """How many there are."""
        return len(self._pairs)

    def stall(self, *ways: Way) -> None:
        """Take nothing more and pass nothing on; both ways if none is named. Nobody hears why."""
        for way in ways or ("there", "back"):
            self._open[way] = trio.Event()

    def flow(self) -> None:
        """Pass on again, what waited first, unless it is swallowed."""
        for event in self._open.values():
            event.set()

    def swallow(self, *ways: Way) -> None:
        """Take what comes, and pass on none of it: a black hole; both ways if none is named."""
        for way in ways or ("there", "back"):
            self._swallows[way] = True

    def spare(self) -> None:
        """Swallow no more."""
        self._swallows = {"there": False, "back": False}

    def drip(self, seconds: float | None) -> None:
        """Pass on one byte at a time, so many seconds apart; None for all as it comes."""
        self._drip_seconds = seconds

    def cut(self) -> None:
        """End every connection as a program does that closes its sockets."""
        for pair in self._pairs:
            for stream in (pair.near, pair.far):
                with suppress(OSError):
                    stream.socket.shutdown(socket.SHUT_RDWR)

    def reset(self) -> None:
        """End every connection with a RST to both ends."""
        for pair in self._pairs:
            _reset(pair.near)
            _reset(pair.far)

    def forget(self, end: Literal["near", "far"]) -> None:
        """Reset one end of every connection, and let the other believe: it is half-open."""
        for pair in self._pairs:
            pair.is_half_open = True
            _reset(pair.near if end == "near" else pair.far)

    # -- inside ------------------------------------------------------------------------------

    async def _serve(self, near: trio.SocketStream) -> None:
        self.accepted.append(trio.current_time())
        if self.refuses:
            _reset(near)
            return
        try:
            far = await trio.open_tcp_stream("127.0.0.1", self._to)
        except OSError:
            _reset(near)
            return
        pair = _Pair(near, far)
        self._pairs.append(pair)
        try:
            async with near, far, trio.open_nursery() as nursery:
                nursery.start_soon(self._carry, pair, near, far, "there")
                nursery.start_soon(self._carry, pair, far, near, "back")
        finally:
            self._pairs.remove(pair)

    async def _carry(
        self, pair: _Pair, source: trio.SocketStream, target: trio.SocketStream, way: Way
    ) -> None:
        """Carry one way; an end is passed on like bytes, and held back or swallowed like them."""
        data = b"?"
        while data:
            try:
                data = await source.receive_some(64 * 1024)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                data = b""
            await self._open[way].wait()
            if self._swallows[way] or pair.is_half_open:
                continue
            with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                await self._hand_on(data, target)

    async def _hand_on(self, data: bytes, target: trio.SocketStream) -> None:
        if not data:
            await target.send_eof()
        elif self._drip_seconds is None:
            await target.send_all(data)
        else:
            for at in range(len(data)):
                await trio.sleep(self._drip_seconds)
                await target.send_all(data[at : at + 1])


def _reset(stream: trio.SocketStream) -> None:
    """Close a socket so that the other side gets a RST."""
    with suppress(OSError):
        stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    stream.socket.close()
