"""A connection that ended, and its requests, are gone at once: nothing waits for a collection."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest
import trio

from aiplat.domain.accounts import RateState
from aiplat.domain.errors import ModelNotFound
from aiplat.http.asgi import Request, race
from aiplat.http.connections import Connections
from aiplat.http.limits import LimitHeaders
from aiplat.http.routing import Route, Router
from aiplat.http.settings import HttpSettings
from tests.support.collector import no_collector

ASK = b"POST /x HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\n\r\n{}"
STREAM, REFUSED = ASK.replace(b"/x", b"/stream"), ASK.replace(b"/x", b"/refused")


class Door:
    """A door with two routes, that remembers the requests it had as long as they are there."""

    def __init__(self) -> None:
        self.requests: list[weakref.ref[Request]] = []
        self.limits = LimitHeaders(lambda key: RateState(requests_limit=3, requests_remaining=2))
        routes = [
            Route("/x", {"POST": self._whole}),
            Route("/stream", {"POST": self._stream}),
            Route("/refused", {"POST": self._refuse}),
        ]
        router = Router(routes, checks=(self.limits.promise,))
        self.connections = Connections(router, HttpSettings())

    async def _whole(self, request: Request) -> None:
        self._had(request)
        await request.reply(200, await request.body(100, 10, "http.max_body_bytes"))

    async def _stream(self, request: Request) -> None:
        self._had(request)
        await request.body(100, 10, "http.max_body_bytes")
        await request.begin(200, b"text/plain")
        await request.write(b"begun")
        await request.gone()

    async def _refuse(self, request: Request) -> None:
        self._had(request)
        await request.body(100, 10, "http.max_body_bytes")

        async def work() -> None:
            raise ModelNotFound("There is no such model.")

        await race(request, work)

    def _had(self, request: Request) -> None:
        request.is_known = True
        self.requests.append(weakref.ref(request))


@pytest.fixture
def collector_off() -> Iterator[None]:
    with no_collector():
        yield


@pytest.mark.usefixtures("collector_off")
@pytest.mark.parametrize(
    ("sent", "answered"),
    [(ASK, b"{}"), (ASK + ASK, b"{}"), (STREAM, b"begun"), (REFUSED, b"model_not_found")],
)
async def test_a_connection_leaves_nothing(sent: bytes, answered: bytes) -> None:
    door = Door()
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    with trio.fail_after(30):
        client = await trio.open_tcp_stream(*listener.socket.getsockname()[:2])
        server = await listener.accept()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(door.connections.handle, server)
            await client.send_all(sent)
            got = b""
            while got.count(b"HTTP/1.1 ") < sent.count(b"HTTP/1.1") or answered not in got[-90:]:
                got += await client.receive_some()
            await client.aclose()
    assert door.requests
    assert [request() for request in door.requests] == [None] * len(door.requests)
    await listener.aclose()
    del server
    left = [kind for kind in map(type, gc.get_objects()) if kind.__name__ in ("_Server", "Http1")]
    assert not left
