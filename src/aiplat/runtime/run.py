"""A whole node: its parts made and started bottom-up in one nursery, and ended top-down."""

from __future__ import annotations

import importlib.util
import logging
import os
import time
from collections.abc import Callable
from functools import partial

import trio

import aiplat
from aiplat.config.loader import Loaded
from aiplat.control.messages import Stop
from aiplat.domain.errors import AiplatError, ConfigError
from aiplat.domain.ids import Role
from aiplat.engine.catalogue import DEFAULT_MODEL
from aiplat.engine.factory import make_engine
from aiplat.engine.settings import EngineSettings
from aiplat.http.app import make_control_app, make_public_app
from aiplat.http.serving import serve_control, serve_public
from aiplat.http.settings import HttpSettings
from aiplat.node.identity import load_or_create
from aiplat.node.node import Node
from aiplat.node.settings import NodeSettings
from aiplat.roles.base import Role as RoleBase
from aiplat.roles.client import Client
from aiplat.roles.dispatch import Dispatch
from aiplat.roles.gateway import Gateway
from aiplat.roles.processor import Processor
from aiplat.roles.settings import ClientSettings, GatewaySettings
from aiplat.runtime.ending import Ending
from aiplat.runtime.lock import NodeLock
from aiplat.runtime.operations import Operations
from aiplat.runtime.options import ServeOptions, default_roles
from aiplat.runtime.places import Places
from aiplat.runtime.private import local_token
from aiplat.runtime.report import OPEN_NOTICE, report_ready
from aiplat.runtime.settings import RuntimeSettings
from aiplat.telemetry.metrics import Metrics

log = logging.getLogger("aiplat.runtime")


def run_node(options: ServeOptions, loaded: Loaded, places: Places) -> int:
    """Run a node until it ends; blocks.

    Arguments:
        options: what the command line said.
        loaded: the settings.
        places: the node's folders, prepared.

    Returns:
        The exit code: 0 when it ended as it was asked to.

    Raises:
        AiplatError: it could not start, or a part of it failed.
    """
    with NodeLock(places.node_lock, background=options.background) as lock:
        house = _House(options, loaded, places, lock)
        try:
            trio.run(house.live)
        except BaseExceptionGroup as group:
            raise _cause(group) from None
    return 0


def _cause(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The one thing that went wrong, out of the groups that nurseries wrap it in."""
    ours = group.subgroup(AiplatError)
    inner: BaseException = ours if ours is not None else group
    while isinstance(inner, BaseExceptionGroup) and len(inner.exceptions) >= 1:
        if len(inner.exceptions) > 1 and ours is None:
            return inner
        inner = inner.exceptions[0]
    return inner


class _House:
    """The parts of one node, and their life."""

    def __init__(
        self, options: ServeOptions, loaded: Loaded, places: Places, lock: NodeLock
    ) -> None:
        self._options = options
        self._loaded = loaded
        self._places = places
        self._lock = lock
        self._ending = Ending()
        self._metrics = Metrics()
        self._runtime = loaded[RuntimeSettings]
        self._roles = options.roles or default_roles(_can_run_models())
        is_new = not places.identity.exists()
        self._identity = load_or_create(places.identity)
        self._token = local_token(places.token)
        self._node = self._make_node()
        peer = self._node.peer_id
        gateway = Gateway(peer, loaded[GatewaySettings], self._metrics)
        self._gateway = gateway if "gateway" in self._roles else None
        client = Client(loaded[ClientSettings], self._gateway)
        self._client = client if "client" in self._roles else None
        self._processor = self._make_processor() if "processor" in self._roles else None
        if is_new:
            log.warning(OPEN_NOTICE)

    def _make_node(self) -> Node:
        settings = self._loaded[NodeSettings]
        if self._options.listen:
            settings = settings.__replace__(listen=self._options.listen)
        return Node(
            settings,
            self._identity,
            roles=self._roles,
            agent=f"aiplat/{aiplat.__version__}",
            metrics=self._metrics,
            known_peers=self._places.known_peers,
        )

    def _make_processor(self) -> Processor:
        settings = self._loaded[EngineSettings]
        if self._options.echo_rate is not None:
            settings = settings.__replace__(echo_rate=self._options.echo_rate)
        names = self._options.models or (DEFAULT_MODEL,)
        engines = [
            make_engine(name, settings, self._places.cache, self._places.logs, self._metrics)
            for name in dict.fromkeys(names)
        ]
        return Processor(self._node.peer_id, engines, self._gateway)

    def _parts(self) -> dict[Role, RoleBase]:
        parts = {"gateway": self._gateway, "processor": self._processor, "client": self._client}
        return {name: part for name, part in parts.items() if part is not None}  # type: ignore[misc]  # the keys are roles

    # -- life ----------------------------------------------------------------------------------

    async def live(self) -> None:
        """Start bottom-up, run until the end is wanted, stop top-down."""
        operations = self._operations()
        doors = trio.Event()  # set to close them
        async with trio.open_nursery() as root:
            await root.start(self._ending.listen)
            root.start_soon(self._watch_haste, root.cancel_scope)
            await self._start_parts(root)
            operations.http = await self._open_http(root, operations, doors)
            self._lock.tell(operations.http)
            await root.start(self._control(operations, doors))
            operations.state = "ready"
            report_ready(operations.status(), json=self._options.json, environ=os.environ)
            log.info("ready: %s", operations.http, extra={"sign": "🚀"})
            self._leave_when_idle(root, operations)
            await self._ending.wanted.wait()
            operations.state = "draining"
            await self._drain(operations, doors)
            root.cancel_scope.cancel()

    async def _start_parts(self, root: trio.Nursery) -> None:
        parts = self._parts()
        for part in parts.values():
            await root.start(part.run)
        dispatch = Dispatch(parts)
        await root.start(partial(self._node.run, dispatch.on_channel, dispatch.admit))
        for address in self._options.peers:
            self._node.keep(address)

    async def _watch_haste(self, scope: trio.CancelScope) -> None:
        await self._ending.now.wait()
        scope.cancel()

    def _leave_when_idle(self, root: trio.Nursery, operations: Operations) -> None:
        seconds = self._runtime.idle_minutes * 60
        if self._options.background and seconds > 0:
            root.start_soon(
                self._ending.when_idle, seconds, lambda: bool(operations.active()), operations.taken
            )

    async def _drain(self, operations: Operations, doors: trio.Event) -> None:
        active = len(operations.active())
        log.info("stopping (%s); %d requests under way", self._ending.reason, active)
        if self._gateway is not None:
            self._gateway.draining = True
        if self._processor is not None:
            self._processor.drain()
        self._node.drain(self._ending.reason)
        doors.set()
        done = await self._ending.drained(
            self._runtime.grace_seconds, lambda: bool(operations.active())
        )
        if not done:
            left = len(operations.active())
            log.warning("%d requests were cut off when the grace period ended", left)
        log.info("stopped", extra={"sign": "✅"})
