"""The connections to an upstream: one for each request at a time, kept when it is done.

httpcore's own pool looks through all of its connections and requests whenever one begins or ends;
with 100 at once that is many times the work of the requests themselves (docs/performance.md). Its
connections are used here without it. There is no bound: an engine's slots are one.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager

import httpcore
import httpx
import trio

_FAULTS = (
    httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError, httpcore.ProxyError,
    httpcore.UnsupportedProtocol,
)  # fmt: skip


class Connections(httpx.AsyncBaseTransport):
    """What httpx sends by, to one server. Redirects are not for it.

    Arguments:
        idle_seconds: how long a connection is kept that nobody uses.
        tls: of an https server, whom is trusted.
    """

    def __init__(self, idle_seconds: float, tls: ssl.SSLContext | None = None) -> None:
        self._idle_seconds = idle_seconds
        self._tls = tls
        self._is_closed = False
        self._idle: list[httpcore.AsyncHTTPConnection] = []  # who was used last is last

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request, and read the head of its answer (`httpx.AsyncBaseTransport`)."""
        connection = await self._take(request)
        try:
            with _told_by_httpx():
                answer = await connection.handle_async_request(_handed_on(request))
        except BaseException:
            await _close(connection)
            raise
        body = _Body(answer, connection, self._take_back)
        return httpx.Response(
            answer.status, headers=answer.headers, stream=body, extensions=answer.extensions
        )

    async def aclose(self) -> None:
        """Close those that nobody uses; the others when they are done."""
        self._is_closed = True
        while self._idle:
            await _close(self._idle.pop())

    async def _take(self, request: httpx.Request) -> httpcore.AsyncHTTPConnection:
        """One that is kept, or a new one that connects when it is used."""
        while self._idle and self._idle[0].has_expired():  # those that were needed least
            await _close(self._idle.pop(0))
        while self._idle:
            connection = self._idle.pop()
            if not connection.has_expired():  # the server may have closed it, too
                return connection
            await _close(connection)
        return httpcore.AsyncHTTPConnection(
            _url_of(request).origin, self._tls, keepalive_expiry=self._idle_seconds
        )

    async def _take_back(self, connection: httpcore.AsyncHTTPConnection) -> None:
        """Keep one whose answer was read to its end."""
        if connection.is_idle() and not self._is_closed:
            self._idle.append(connection)
        else:
            await _close(connection)


class _Body(httpx.AsyncByteStream):
    """The body of an answer. When it is closed its connection is kept, if it was read to its end.

    Arguments:
        answer: whose it is.
        connection: what it comes by.
        take_back: told that it is done.
    """

    def __init__(
        self,
        answer: httpcore.Response,
        connection: httpcore.AsyncHTTPConnection,
        take_back: Callable[[httpcore.AsyncHTTPConnection], Awaitable[None]],
    ) -> None:
        self._answer = answer
        self._connection: httpcore.AsyncHTTPConnection | None = connection
        self._take_back = take_back

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The pieces as they come."""
        with _told_by_httpx():
            async for piece in self._answer.aiter_stream():
                yield piece

    async def aclose(self) -> None:
        """Let go of the connection."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        with trio.CancelScope(shield=True):
            await self._answer.aclose()
        await self._take_back(connection)


async def _close(connection: httpcore.AsyncHTTPConnection) -> None:
    with trio.CancelScope(shield=True):
        await connection.aclose()


def _url_of(request: httpx.Request) -> httpcore.URL:
    url = request.url
    return httpcore.URL(
        scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
    )


def _handed_on(request: httpx.Request) -> httpcore.Request:
    return httpcore.Request(
        request.method, _url_of(request), headers=request.headers.raw, content=request.stream,
        extensions=request.extensions,
    )  # fmt: skip


@contextmanager
def _told_by_httpx() -> Iterator[None]:
    """Have httpcore's faults be httpx's, which have the same names."""
    try:
        yield
    except _FAULTS as fault:
        kind: type[httpx.TransportError] = getattr(httpx, type(fault).__name__)
        raise kind(str(fault)) from fault
