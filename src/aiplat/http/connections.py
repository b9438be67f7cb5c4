"""hypercorn's connections under guards: what one of them does ends that one alone.

Why hypercorn's own `serve` is not called is in docs/decisions/0003.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import cast

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ASGIFramework, ConnectionState

from aiplat.domain.errors import Overloaded
from aiplat.http.asgi import App
from aiplat.http.errors import problem_of
from aiplat.http.settings import HttpSettings

log = logging.getLogger("aiplat.http.connections")

_AFTER_END = 1.0
_FULL_BODY = problem_of(
    Overloaded("This node has as many connections as it takes (http.max_connections).")
).body()
_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 1\r\n"
    b"connection: close\r\ncontent-length: %d\r\n\r\n%b" % (len(_FULL_BODY), _FULL_BODY)
)


def hypercorn_config(settings: HttpSettings) -> Config:
    """Configure hypercorn: its log goes to ours, and its surprises are turned off."""
    config = Config()
    config.accesslog = None
    config.errorlog = logging.getLogger("aiplat.http.hypercorn")
    config.include_server_header = False
    config.h11_max_incomplete_size = settings.max_header_bytes
    config.h2_max_concurrent_streams = 100
    config.keep_alive_timeout = settings.keep_alive_seconds
    config.keep_alive_max_requests = 2**31  # 1000 by default, after which it hangs up
    return config


class GuardedStream:
    """A connection's bytes, as hypercorn's `TCPServer` uses them, with two guards.

    hypercorn shields its sends from cancellation, so a reader that takes nothing would hold an
    answer, and the end of the node, for ever; here a send has a deadline. And when the peer has
    gone, or a send failed, the connection ends soon after, whatever hypercorn still waits for:
    the room for a next request, or for its HTTP/2 buffers to drain.
    """

    def __init__(
        self,
        stream: trio.SocketStream,
        stalled: float,
        scope: trio.CancelScope,
        on_stalled: Callable[[], None],
    ) -> None:
        self.socket = stream.socket
        self._on_stalled = on_stalled
        self._stream = stream
        self._stalled = stalled
        self._scope = scope

    async def send_all(self, data: bytes) -> None:
        """Send all of `data`, or fail as a broken connection."""
        sent = False
        try:
            with trio.move_on_after(self._stalled):
                await self._stream.send_all(data)
                sent = True
        finally:
            if not sent:
                self._end_soon()
        if not sent:
            self._on_stalled()
            self.close()
            raise trio.BrokenResourceError(f"The reader took nothing for {self._stalled:g} s.")

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """Receive some bytes; none at the end."""
        data: bytes | bytearray = b""
        try:
            data = await self._stream.receive_some(max_bytes)
        finally:
            if not data:
                self._end_soon()
        return data

    def _end_soon(self) -> None:
        """Nobody reads any more: what hypercorn knows as a disconnect, even of one direction."""
        self._scope.deadline = min(self._scope.deadline, trio.current_time() + _AFTER_END)

    async def send_eof(self) -> None:
        """Say that nothing more will be sent."""
        await self._stream.send_eof()

    async def aclose(self) -> None:
        """Close both ways."""
        await self._stream.aclose()

    def close(self) -> None:
        """Close at once; wakes whoever sends or receives."""
        self.socket.close()


class Connections:
    """The connections of one door.

    Arguments:
        app: what answers their requests.
        settings: their bounds.
        count: told the name of each bound that was hit.
    """

    def __init__(
        self, app: App, settings: HttpSettings, count: Callable[[str], None] = lambda bound: None
    ) -> None:
        self._app = ASGIWrapper(cast(ASGIFramework, app))
        self._settings = settings
        self._config = hypercorn_config(settings)
        self._context = WorkerContext(None)
        self._open: set[GuardedStream] = set()
        self._count = count

    def __len__(self) -> int:
        """How many are open."""
        return len(self._open)

    async def handle(self, stream: trio.SocketStream) -> None:
        """Serve one connection to its end; raises nothing."""
        if len(self._open) >= self._settings.max_connections:
            await self._refuse(stream)
            return
        with trio.CancelScope() as scope:
            guarded = GuardedStream(
                stream, self._settings.stalled_seconds, scope, lambda: self._count("http_stalled")
            )
            self._open.add(guarded)
            try:
                await TCPServer(
                    self._app,
                    self._config,
                    self._context,
                    ConnectionState({}),
                    guarded,  # type: ignore[arg-type]  # all that TCPServer uses of a stream
                )
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

    async def _refuse(self, stream: trio.SocketStream) -> None:
        self._count("http_connections")
        try:
            with trio.move_on_after(1.0):
                await stream.send_all(_FULL)
                await stream.send_eof()
                while await stream.receive_some(65_536):
                    pass
        except trio.BrokenResourceError:
            pass
        finally:
            stream.socket.close()

    async def drain(self) -> None:
        """Close what is idle, and let the rest close after its answer."""
        await self._context.terminated.set()

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


def _names(error: BaseException) -> str:
    """The kinds of an error, without its words: they may hold what a stranger sent."""
    if isinstance(error, BaseExceptionGroup):
        return ", ".join(sorted({_names(inner) for inner in error.exceptions}))
    return type(error).__name__
