"""A door as a service: it listens, says where, and closes with grace when it is asked to."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import trio

from aiplat.http.asgi import App
from aiplat.http.connections import Connections
from aiplat.http.settings import HttpSettings
from aiplat.http.sockets import UnixDoor, base_url, listen_tcp
from aiplat.telemetry.metrics import Metrics

Trigger = Callable[[], Awaitable[None]]


async def serve_public(
    app: App,
    settings: HttpSettings,
    *,
    shutdown_trigger: Trigger = trio.sleep_forever,
    metrics: Metrics | None = None,
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve the front door at ``settings.bind`` until `shutdown_trigger` returns.

    Then no connection is taken any more, and it comes back when the running answers ended.
    Cancelling cuts them at once: how long they get is the node's to decide. Reports its base
    URL, without a path, when it listens.

    Raises:
        PortInUse: somebody else listens there.
        ConfigError: the address is not loopback, or cannot be had.
    """
    sock = listen_tcp(settings.bind)
    url = base_url(sock)
    await _serve(
        app, sock, settings, url,
        shutdown_trigger=shutdown_trigger, metrics=metrics, task_status=task_status,
    )  # fmt: skip


async def serve_control(
    app: App,
    path: Path,
    settings: HttpSettings,
    *,
    shutdown_trigger: Trigger = trio.sleep_forever,
    metrics: Metrics | None = None,
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve the control API on a Unix socket at `path`, as `serve_public` does its door.

    The socket can be reached by its owner alone, replaces one that a dead node left, and is
    removed at the end. Reports its path.

    Raises:
        NodeRuns: a live node has it.
        ConfigError: it cannot be made there.
    """
    door = await trio.to_thread.run_sync(UnixDoor, path)
    try:
        assert door.socket is not None
        await _serve(
            app, door.socket, settings, str(path),
            shutdown_trigger=shutdown_trigger, metrics=metrics, task_status=task_status,
        )  # fmt: skip
    finally:
        door.close()


async def _serve(
    app: App,
    sock: socket.socket,
    settings: HttpSettings,
    name: str,
    *,
    shutdown_trigger: Trigger,
    metrics: Metrics | None,
    task_status: trio.TaskStatus[str],
) -> None:
    def count(bound: str) -> None:
        if metrics is not None:
            metrics.bound_hits.labels(bound).inc()

    connections = Connections(app, settings, count)
    listener = trio.SocketListener(trio.socket.from_stdlib_socket(sock))
    async with listener, trio.open_nursery() as cutter:
        await cutter.start(connections.cut_when_cancelled)
        async with trio.open_nursery() as handlers:
            async with trio.open_nursery() as accepting:
                accepting.start_soon(
                    partial(
                        trio.serve_listeners,
                        connections.handle,
                        [listener],
                        handler_nursery=handlers,
                    )
                )
                task_status.started(name)
                await shutdown_trigger()
                accepting.cancel_scope.cancel()
            await connections.drain()
        cutter.cancel_scope.cancel()
