"""hypercorn's connections under guards: what one of them does ends that one alone.

Why hypercorn's own `serve` is not called is in docs/decisions/0003.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import Any, cast

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.trio.tcp_server import MAX_RECV, TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ASGIFramework, ConnectionState

from aiplat.domain.errors import Overloaded
from aiplat.http.asgi import App
from aiplat.http.certificate import Certificate
from aiplat.http.errors import problem_of
from aiplat.http.http1 import Idleness, mend_http1
from aiplat.http.http2 import DoorConfig, mend_http2
from aiplat.http.pipelined import Ahead, watch_for_end
from aiplat.http.settings import HttpSettings
from aiplat.http.sources import Sources
from aiplat.http.streams import GuardedStream, GuardedTls

log = logging.getLogger("aiplat.http.connections")

_REFUSING = 64
"""Refusals that are said at once; past that a connection is closed without a word."""


def _refusal(words: str) -> bytes:
    body = problem_of(Overloaded(words)).body()
    head = (
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 1\r\n"
        f"connection: close\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


_FULL = _refusal("This node has as many connections as it takes (http.max_connections).")
_FULL_SOURCE = _refusal(
    "This node has as many connections from your address as it takes from one "
    "(http.max_connections_per_source)."
)


def hypercorn_config(settings: HttpSettings, count: Callable[[str], None]) -> DoorConfig:
    """Configure hypercorn: its log goes to ours, and its surprises are turned off."""
    mend_http1()
    mend_http2()
    config = DoorConfig(settings.stalled_seconds, count)
    config.accesslog = None
    config.errorlog = logging.getLogger("aiplat.http.hypercorn")
    config.include_server_header = False
    config.h11_max_incomplete_size = settings.max_header_bytes
    config.h2_max_concurrent_streams = 100
    config.h2_max_header_list_size = settings.max_header_bytes
    config.keep_alive_timeout = settings.keep_alive_seconds
    config.keep_alive_max_requests = 2**31  # 1000 by default, after which it hangs up
    config.ssl_handshake_timeout = math.inf  # `GuardedTls` has its own
    return config


class _Server(TCPServer):
    """hypercorn's server of one connection, which goes as soon as its peer has gone.

    hypercorn would wait on for a next request, and only `GuardedStream` would end it, later: who
    comes and goes often would have as many connections as one may.
    """

    _gone = False

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._idleness = Idleness(
            self.config.keep_alive_timeout, self.context.terminated, self._initiate_server_close
        )
        self.idle_task = self._idleness  # type: ignore[assignment]  # all that is used of it

    async def _read_data(self) -> None:
        inner = self.protocol.protocol
        if isinstance(inner, H11Protocol):
            watch_for_end(inner, cast(Ahead, self.stream), self._lost)
        await self._hand_on_all()
        self._gone = True
        self._idleness.end()

    async def _hand_on_all(self) -> None:
        """Hand on what comes, to its end: as hypercorn does, less its deadline, here none."""
        data: bytes | bytearray = b"-"
        while data:
            try:
                data = await self.stream.receive_some(MAX_RECV)
            except (trio.ClosedResourceError, trio.BrokenResourceError):
                break
            await self.protocol.handle(RawData(bytes(data)))
        await self.protocol.handle(Closed())

    def forget(self) -> None:
        """Let go of what it held when it has ended, at once and not at a garbage collection."""
        self.__dict__.clear()  # it and its protocol hold each other in many ways

    async def _lost(self) -> None:
        await self.protocol.handle(Closed())

    async def protocol_send(self, event: Event) -> None:
        """Do what the protocol says; when nobody is there, that it is idle starts no wait."""
        if not (self._gone and isinstance(event, Updated)):
            await super().protocol_send(event)


class Connections:
    """The connections of one door.

    Arguments:
        app: what answers their requests.
        settings: their bounds.
        count: told the name of each bound that was hit.
        certificate: what they show, if they speak TLS.
    """

    def __init__(
        self,
        app: App,
        settings: HttpSettings,
        count: Callable[[str], None] = lambda bound: None,
        certificate: Certificate | None = None,
    ) -> None:
        self._app = ASGIWrapper(cast(ASGIFramework, app))
        self._settings = settings
        self._config = hypercorn_config(settings, count)
        self._context = WorkerContext(None)
        self._open: set[GuardedStream] = set()
        self._refusing = 0
        self._sources = Sources(settings.max_connections_per_source)
        self._count = count
        self._certificate = certificate

    def __len__(self) -> int:
        """How many are open."""
        return len(self._open)

    async def handle(self, stream: trio.SocketStream) -> None:
        """Serve one connection to its end; raises nothing."""
        address = _peer_of(stream)
        if address is None:  # it is gone already
            stream.socket.close()
        elif len(self._open) >= self._settings.max_connections:
            await self._refuse(stream, "http_connections", _FULL)
        elif self._sources.is_full(address):
            await self._refuse(stream, "http_source_connections", _FULL_SOURCE)
        else:
            with self._sources.one_more(address):
                await self._serve(stream)

    async def _serve(self, stream: trio.SocketStream) -> None:
        with trio.CancelScope() as scope:
            guarded = self._guarded(stream, scope)
            server = _Server(
                self._app,
                self._config,
                self._context,
                ConnectionState({}),
                guarded,  # all that it uses of a stream
            )
            self._open.add(guarded)
            try:
                await server
            except BaseExceptionGroup as group:
                # What a peer sends may trip h2 or hypercorn; in hypercorn's own nursery that
                # would end the door.
                faults, rest = group.split(Exception)
                if faults is not None:
                    log.warning("a connection failed", extra={"error": _names(faults)})
                if rest is not None:
                    raise rest from None
            except Exception as error:  # noqa: BLE001  # as above, from outside a nursery
                log.warning("a connection failed", extra={"error": _names(error)})
            finally:
                self._open.discard(guarded)
                guarded.close()
                server.forget()

    def _guarded(self, stream: trio.SocketStream, scope: trio.CancelScope) -> GuardedStream:
        settings = self._settings
        if self._certificate is None:
            return GuardedStream(stream, settings.stalled_seconds, scope, self._count)
        return GuardedTls(
            stream, self._certificate.pair.context, settings.tls_handshake_seconds,
            settings.stalled_seconds, scope, self._count,
        )  # fmt: skip

    async def _refuse(self, stream: trio.SocketStream, bound: str, answer: bytes) -> None:
        """Say so, if that costs little: through TLS it would cost a handshake."""
        self._count(bound)
        if self._certificate is not None or self._refusing >= _REFUSING:
            stream.socket.close()
            return
        self._refusing += 1
        try:
            with trio.move_on_after(1.0):
                await stream.send_all(answer)
                await stream.send_eof()
                while await stream.receive_some(65_536):
                    pass
        except trio.BrokenResourceError:
            pass
        finally:
            self._refusing -= 1
            stream.socket.close()

    async def drain(self) -> None:
        """Close what is idle or shakes hands, and let the rest close after its answer."""
        await self._context.terminated.set()
        for stream in list(self._open):
            if not stream.is_begun:
                stream.close()

    async def cut_when_cancelled(
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Wait for ever; when cancelled, close all, which also ends sends that are shielded."""
        task_status.started()
        try:
            await trio.sleep(math.inf)
        finally:
            for stream in list(self._open):
                stream.close()


def _peer_of(stream: trio.SocketStream) -> str | None:
    """The address at the other end, empty on a Unix socket; None when there is no other end."""
    try:
        peer = stream.socket.getpeername()
    except OSError:
        return None
    return str(peer[0]) if isinstance(peer, tuple) else ""


def _names(error: BaseException) -> str:
    """The kinds of an error, without its words: they may hold what a stranger sent."""
    if isinstance(error, BaseExceptionGroup):
        return ", ".join(sorted({_names(inner) for inner in error.exceptions}))
    return type(error).__name__
