"""The connections to an upstream: kept, used again, and closed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
import trio

from aiplat.engine.backends.upstream.address import parse_address
from aiplat.engine.backends.upstream.connections import Connections
from aiplat.engine.backends.upstream.key import Key
from aiplat.engine.backends.upstream.server import Server
from aiplat.engine.backends.upstream.settings import UpstreamSettings

SECONDS = 20


class Keeping:
    """A server that keeps its connections; the second half of each answer waits for `go_on`."""

    def __init__(self) -> None:
        self.opened = 0
        self.open = 0
        self.changed = trio.Condition()
        self.go_on = trio.Event()
        self.go_on.set()
        self.client = httpx.AsyncClient(transport=Connections(60), timeout=None)

    async def serve(self, stream: trio.SocketStream) -> None:
        self.opened += 1
        self.open += 1
        try:
            while await stream.receive_some():
                await stream.send_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nab")
                await self.go_on.wait()
                await stream.send_all(b"cd")
        except trio.BrokenResourceError:
            pass
        finally:
            self.open -= 1

    async def ask(self) -> None:
        assert (await self.client.get(self.url)).text == "abcd"

    async def until_open(self, count: int) -> None:
        while self.open != count:
            await trio.sleep(0.005)

    url = ""


@asynccontextmanager
async def keeping() -> AsyncIterator[Keeping]:
    server = Keeping()
    with trio.fail_after(SECONDS):
        async with trio.open_nursery() as nursery:
            listeners = await nursery.start(trio.serve_tcp, server.serve, 0)
            server.url = f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}/"
            yield server
            await server.client.aclose()
            await server.until_open(0)
            nursery.cancel_scope.cancel()


async def test_one_after_another_use_the_same() -> None:
    async with keeping() as server:
        for _ in range(5):
            await server.ask()
        assert (server.opened, server.open) == (1, 1)


async def test_each_at_the_same_time_has_its_own_and_all_are_kept() -> None:
    async with keeping() as server:
        for _ in range(2):
            server.go_on = trio.Event()
            async with trio.open_nursery() as nursery:
                for _ in range(5):
                    nursery.start_soon(server.ask)
                await server.until_open(5)
                server.go_on.set()
        assert (server.opened, server.open) == (5, 5)


async def test_one_that_is_left_in_the_middle_is_closed_and_not_used_again() -> None:
    async with keeping() as server:
        server.go_on = trio.Event()
        async with server.client.stream("GET", server.url) as answer:
            assert answer.status_code == 200
        server.go_on.set()
        await server.until_open(0)
        await server.ask()
        assert server.opened == 2


@pytest.mark.parametrize("wait", [0, 1, 2, 3, 5, 8])
async def test_who_is_cancelled_leaves_nothing_open(wait: int) -> None:
    async with keeping() as server:
        server.go_on = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.ask)
            for _ in range(wait):
                await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
        server.go_on.set()
        await server.until_open(0)


async def test_what_is_under_way_when_it_is_closed_is_closed_with_its_answer() -> None:
    async with keeping() as server:
        server.go_on = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.ask)
            await server.until_open(1)
            await server.client.aclose()
            server.go_on.set()
        await server.until_open(0)


async def test_certificates_that_cannot_be_read_are_told_at_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nonexistent")
    for proxy in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(proxy, raising=False)
    with pytest.raises(FileNotFoundError):
        Server(parse_address("https://api.example/v1"), Key(""), UpstreamSettings())
