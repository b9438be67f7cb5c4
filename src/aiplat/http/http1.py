"""hypercorn's HTTP/1.1 with fewer steps a request: what is ready leaves in one write, and one task
looks after a connection's idleness, where hypercorn starts one for each request.

Together with the log's thread (`runtime/behind.py`) that was a third of what a request cost; the
figures are in docs/performance.md. Knows nothing of sockets, TLS or requests.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Awaitable, Callable
from typing import Any, cast

import h11
import hypercorn.protocol
import hypercorn.protocol.h11
import trio
from hypercorn.events import RawData
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.protocol.http_stream import HTTPStream
from hypercorn.trio.task_group import TaskGroup
from hypercorn.typing import ASGISendEvent, H11SendableEvent
from hypercorn.typing import Event as Bell

from aiplat.http.http2 import DoorConfig
from aiplat.http.unreadable import problem_with


class _Last(h11.Connection):
    """h11's, which passes over what follows a connection's last request (RFC 9112, 9.6).

    To h11 that is an error, at which hypercorn would close in the middle of the answer; and some
    clients end a body with a blank line.
    """

    _at_end = False

    def receive_data(self, data: bytes) -> None:
        """Take what came, or with nothing the end."""
        self._at_end = self._at_end or not data
        if not data or self.their_state is not h11.MUST_CLOSE:
            super().receive_data(data)

    def next_event(self) -> Any:
        """What is made of it."""
        if self.their_state is h11.MUST_CLOSE:
            return h11.ConnectionClosed() if self._at_end else h11.NEED_DATA
        return super().next_event()


class Http1(H11Protocol):
    """The protocol of one connection.

    An answer's head waits for what comes first of its body, and the last piece of a body for the
    word that it was the last: three writes of a small answer become one. What is no request is told
    why, and one that would become a WebSocket is a request like others.
    """

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        most = self.config.h11_max_incomplete_size
        self.connection = _Last(h11.SERVER, max_incomplete_event_size=most)
        self.is_last = False
        """Whether what the application writes is the last of its answer."""
        self._held = b""

    async def _send_h11_event(self, event: H11SendableEvent) -> None:
        try:
            data = self.connection.send(event) or b""
        except h11.LocalProtocolError:
            if self.connection.their_state != h11.ERROR:  # as hypercorn does
                raise
            data = b""  # what is held leaves all the same
        waits = isinstance(event, h11.Response) or (isinstance(event, h11.Data) and self.is_last)
        if waits:
            self._held += data
            return
        held, self._held = self._held, b""
        if held or data:
            await self.send(RawData(data=held + data))

    async def _create_stream(self, request: h11.Request) -> None:
        """Begin a request. An Upgrade may be passed over (RFC 9110, 7.8): to a WebSocket it is."""
        if any(name == b"upgrade" for name, _ in request.headers):
            rest = [(name, value) for name, value in request.headers if name != b"upgrade"]
            request = h11.Request(
                method=request.method, target=request.target, headers=rest,
                http_version=request.http_version,
            )  # fmt: skip
        await super()._create_stream(request)

    async def _send_error_response(self, status_code: int) -> None:
        """Say what was wrong; hypercorn calls it where h11 has just raised that."""
        config = cast(DoorConfig, self.config)
        most, is_body = config.h11_max_incomplete_size, self.stream is not None
        problem = problem_with(str(sys.exception()), status_code, most, is_body=is_body)
        if problem.code == "headers_too_large":
            config.count("http_head")
        body = problem.body()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
            *config.response_headers("h11"),
        ]
        await self._send_h11_event(h11.Response(status_code=problem.status, headers=headers))
        await self._send_h11_event(h11.Data(data=body))
        await self._send_h11_event(h11.EndOfMessage())


class Http1Stream(HTTPStream):
    """A request and its answer on such a connection."""

    async def app_send(self, message: ASGISendEvent | None) -> None:
        """Pass on what the application says."""
        protocol = getattr(self.send, "__self__", None)
        if isinstance(protocol, Http1) and message is not None:
            is_body = message["type"] == "http.response.body"
            protocol.is_last = is_body and not message.get("more_body", False)
        await super().app_send(message)


class Idleness:
    """Ends a connection that was idle for too long, or is when its door closes.

    It stands in for hypercorn's `TrioSingleTask`.

    Arguments:
        seconds: how long it may be idle.
        closing: set when the door closes.
        close: ends the connection.
    """

    def __init__(self, seconds: float, closing: Bell, close: Callable[[], Awaitable[None]]) -> None:
        self._seconds = seconds
        self._closing = closing
        self._close = close
        self._idle = False
        self._over = False
        self._scope: trio.CancelScope | None = None

    async def restart(self, group: TaskGroup, action: object) -> None:
        """It is idle from now on; `action` is hypercorn's own way to end it."""
        if self._over:
            return
        self._idle = True
        deadline = trio.current_time() + self._seconds
        if self._scope is None:
            self._scope = trio.CancelScope(deadline=deadline)
            group.spawn(self._watch)
        else:
            self._scope.deadline = deadline

    async def stop(self) -> None:
        """It is at work."""
        self._idle = False
        if self._scope is not None:
            self._scope.deadline = math.inf

    def end(self) -> None:
        """Look no more: the connection ends by itself."""
        self._over = True
        self._idle = False
        if self._scope is not None:
            self._scope.cancel()

    async def _watch(self) -> None:
        while not self._over:
            assert self._scope is not None  # `restart` made it
            with self._scope:
                await self._closing.wait()
            if self._idle:
                with trio.CancelScope(shield=True):
                    await self._close()
                return
            if self._closing.is_set():
                self._scope = None  # it is at work, and closed as soon as it is idle
                return
            self._scope = trio.CancelScope()


def mend_http1() -> None:
    """Have hypercorn use these; it has no other way to be told."""
    # It says nowhere that these names may be set, and looks them up for each connection or request.
    hypercorn.protocol.H11Protocol = Http1  # type: ignore[attr-defined, assignment]  # as above
    hypercorn.protocol.h11.HTTPStream = Http1Stream  # type: ignore[attr-defined]  # as above
