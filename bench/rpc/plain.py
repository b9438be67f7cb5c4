"""Length-prefixed bodies, echoed: over a bare TCP socket, or over a bare py-libp2p stream.

    python bench/rpc/plain.py tcp|libp2p serve
    python bench/rpc/plain.py tcp|libp2p ask ADDRESS

TCP gathers what is ready into one write; with py-libp2p each body is a write of its own, as a
program on it would be written.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Protocol

import trio
from libp2p import new_host
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.crypto.x25519 import create_new_key_pair as x25519
from libp2p.network import swarm
from libp2p.peer.peerinfo import info_from_p2p_addr
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE
from libp2p.security.noise.transport import Transport as NoiseTransport
from load import BODY, obey, rate, say
from multiaddr import Multiaddr

ECHO = "/bench/echo/1"
FRAME = len(BODY).to_bytes(4, "big") + BODY


class Pipe(Protocol):
    async def read(self) -> bytes: ...

    async def write(self, data: bytes) -> None: ...


class Tcp:
    def __init__(self, stream: trio.SocketStream) -> None:
        self.read = stream.receive_some
        self.write = stream.send_all


class Libp2p:
    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.write = stream.write

    async def read(self) -> bytes:
        return bytes(await self._stream.read(65536))


class Asker:
    """Requests over one pipe, answered in their order."""

    def __init__(self, pipe: Pipe, gather: bool) -> None:
        self._pipe = pipe
        self._gather = gather
        self._ready = 0
        self._waiting: deque[Callable[[], None]] = deque()
        self._wake = trio.lowlevel.ParkingLot()

    def begin(self, done: Callable[[], None]) -> None:
        self._waiting.append(done)
        self._ready += 1
        self._wake.unpark_all()

    async def write(self) -> None:
        while True:
            while not self._ready:
                await self._wake.park()
            count = self._ready if self._gather else 1
            self._ready -= count
            await self._pipe.write(FRAME * count)

    async def read(self) -> None:
        have = 0
        while data := await self._pipe.read():
            have += len(data)
            while have >= len(FRAME):
                have -= len(FRAME)
                self._waiting.popleft()()


async def echo(pipe: Pipe, gather: bool) -> None:
    """Answer whole bodies, all that are there at once or one by one."""
    rest = b""
    while data := await pipe.read():
        rest += data
        whole = len(rest) // len(FRAME)
        if gather:
            await pipe.write(rest[: whole * len(FRAME)])
        else:
            for n in range(whole):
                await pipe.write(rest[n * len(FRAME) : (n + 1) * len(FRAME)])
        rest = rest[whole * len(FRAME) :]


@asynccontextmanager
async def host(listen: str) -> AsyncIterator[Any]:
    swarm._HAPPY_EYEBALLS_DELAY = 0.0  # else a connect takes 250 ms for nothing
    keys = create_new_key_pair()
    noise = NoiseTransport(keys, noise_privkey=x25519().private_key)
    made = new_host(key_pair=keys, sec_opt={NOISE: noise})
    async with made.run([Multiaddr(listen)]):
        yield made


async def serve_tcp() -> None:
    async def handler(stream: trio.SocketStream) -> None:
        try:
            await echo(Tcp(stream), gather=True)
        except trio.BrokenResourceError:
            pass

    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    say({"ready": True, "address": str(listener.socket.getsockname()[1])})
    await trio.serve_listeners(handler, [listener])


async def serve_libp2p() -> None:
    async def handler(stream: Any) -> None:
        try:
            await echo(Libp2p(stream), gather=False)
        except Exception:  # noqa: BLE001  # of libp2p's many kinds: the asker left
            pass

    async with host("/ip4/127.0.0.1/tcp/0") as made:
        made.set_stream_handler(ECHO, handler)
        say({"ready": True, "address": str(made.get_addrs()[0])})
        await trio.sleep_forever()


async def ask(open_pipe: Callable[[], Awaitable[Pipe]], again: Any, gather: bool) -> None:
    async def connect(times: int) -> dict[str, Any]:
        taken = []
        for _ in range(times):
            began = time.perf_counter()
            await again()
            taken.append((time.perf_counter() - began) * 1000)
        return {"ms": taken}

    asker = Asker(await open_pipe(), gather)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(asker.write)
        nursery.start_soon(asker.read)

        async def go(at_once: int, seconds: float) -> dict[str, Any]:
            return await rate(asker.begin, at_once, seconds)

        await obey({"rate": go, "connect": connect})
        nursery.cancel_scope.cancel()


async def ask_tcp(port: str) -> None:
    async def open_pipe() -> Tcp:
        return Tcp(await trio.open_tcp_stream("127.0.0.1", int(port)))

    async def again() -> None:
        async with await trio.open_tcp_stream("127.0.0.1", int(port)) as stream:
            await stream.send_all(FRAME)
            await stream.receive_some(1)

    await ask(open_pipe, again, gather=True)


async def ask_libp2p(address: str) -> None:
    info = info_from_p2p_addr(Multiaddr(address))

    async with host("/ip4/127.0.0.1/tcp/0") as made:

        async def open_pipe() -> Libp2p:
            await made.connect(info)
            return Libp2p(await made.new_stream(info.peer_id, [ECHO]))

        async def again() -> None:
            async with host("/ip4/127.0.0.1/tcp/0") as other:
                await other.connect(info)
                stream = await other.new_stream(info.peer_id, [ECHO])
                await stream.write(FRAME)
                await stream.read(1)

        await ask(open_pipe, again, gather=False)


if __name__ == "__main__":
    over, what, *arguments = sys.argv[1:]
    programs: dict[tuple[str, str], Any] = {
        ("tcp", "serve"): serve_tcp,
        ("tcp", "ask"): ask_tcp,
        ("libp2p", "serve"): serve_libp2p,
        ("libp2p", "ask"): ask_libp2p,
    }
    trio.run(programs[over, what], *arguments)
