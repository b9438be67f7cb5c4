"""A door as a service: it listens, says where, and closes with grace when it is asked to."""

from __future__ import annotations

import logging
import socket
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import trio

from aiplat.http.asgi import App
from aiplat.http.certificate import Certificate
from aiplat.http.connections import Connections
from aiplat.http.control_port import PortDoor
from aiplat.http.reached import Reached, reached
from aiplat.http.settings import HttpSettings
from aiplat.http.sockets import UnixDoor, listen_tcp
from aiplat.http.sources import plain_ip
from aiplat.telemetry.metrics import Metrics

log = logging.getLogger("aiplat.http")

Trigger = Callable[[], Awaitable[None]]
Told = TypeVar("Told")


async def serve_public(
    app: App,
    settings: HttpSettings,
    *,
    certificate: Certificate | None = None,
    shutdown_trigger: Trigger = trio.sleep_forever,
    metrics: Metrics | None = None,
    task_status: trio.TaskStatus[Reached] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve the front door at ``settings.bind`` until `shutdown_trigger` returns.

    Then no connection is taken any more, and it comes back when the running answers ended.
    Cancelling cuts them at once: how long they get is the node's to decide. Reports where it is
    reached when it listens. With a `certificate` it speaks TLS, and renews it meanwhile.

    Raises:
        PortInUse: somebody else listens there.
        ConfigError: the address is beyond loopback and may not be, or cannot be had.
    """
    # By what it will do, not by what the settings name: no mistake of a caller's opens it in plain.
    beyond = certificate is not None or settings.plain_beyond_loopback
    sock = listen_tcp(settings.bind, beyond=beyond)
    _warn_of_plain(sock, certificate)
    await _serve(
        app, sock, settings, reached(sock, None if certificate is None else certificate.pair),
        shutdown_trigger=shutdown_trigger, metrics=metrics, task_status=task_status,
        certificate=certificate,
    )  # fmt: skip


def _warn_of_plain(sock: socket.socket, certificate: Certificate | None) -> None:
    host = sock.getsockname()[0]
    bound = plain_ip(host)
    if certificate is None and (bound is None or not bound.is_loopback):
        log.warning("the HTTP door is open beyond loopback without TLS (%s): every prompt, answer "
                    "and key crosses the network in the clear", host)  # fmt: skip


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
    await _serve_faces(
        app, door, settings,
        shutdown_trigger=shutdown_trigger, metrics=metrics, task_status=task_status,
    )  # fmt: skip


async def serve_control_port(
    app: App,
    path: Path,
    token: str,
    settings: HttpSettings,
    *,
    shutdown_trigger: Trigger = trio.sleep_forever,
    metrics: Metrics | None = None,
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve it on a port of loopback instead, which the file at `path` tells with its `token`.

    The app must see to the token itself (`PortKeeper`). Reports the path.

    Raises:
        NodeRuns: a live node has that file.
        ConfigError: it cannot be made there, or no port can be had.
    """
    door = await trio.to_thread.run_sync(PortDoor, path, token)
    await _serve_faces(
        app, door, settings,
        shutdown_trigger=shutdown_trigger, metrics=metrics, task_status=task_status,
    )  # fmt: skip


async def _serve_faces(
    app: App,
    door: UnixDoor | PortDoor,
    settings: HttpSettings,
    *,
    shutdown_trigger: Trigger,
    metrics: Metrics | None,
    task_status: trio.TaskStatus[str],
) -> None:
    try:
        assert door.socket is not None
        await _serve(
            app, door.socket, settings, str(door.path),
            shutdown_trigger=shutdown_trigger, metrics=metrics, task_status=task_status,
        )  # fmt: skip
    finally:
        door.close()


async def _serve(
    app: App,
    sock: socket.socket,
    settings: HttpSettings,
    told: Told,
    *,
    shutdown_trigger: Trigger,
    metrics: Metrics | None,
    task_status: trio.TaskStatus[Told],
    certificate: Certificate | None = None,
) -> None:
    def count(bound: str) -> None:
        if metrics is not None:
            metrics.bound_hits.labels(bound).inc()

    connections = Connections(app, settings, count, certificate)
    listener = trio.SocketListener(trio.socket.from_stdlib_socket(sock))
    async with listener, trio.open_nursery() as cutter:
        await cutter.start(connections.cut_when_cancelled)
        if certificate is not None:
            cutter.start_soon(certificate.watch, settings.tls_reload_seconds)
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
                task_status.started(told)
                await shutdown_trigger()
                accepting.cancel_scope.cancel()
            await connections.drain()
        cutter.cancel_scope.cancel()
