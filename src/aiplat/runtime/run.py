"""A whole node: its parts made and started bottom-up in one nursery, and ended top-down."""

from __future__ import annotations

import gc
import logging
import os
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import trio
from msgspec.structs import replace

import aiplat
from aiplat.accounts.accounts import Accounts, StorePlaces
from aiplat.accounts.settings import AccountsSettings
from aiplat.config.loader import Loaded
from aiplat.credentials.credentials import Credentials
from aiplat.domain.answers import Inference
from aiplat.domain.errors import AiplatError, NoPeer, ShuttingDown
from aiplat.domain.ids import Role, short
from aiplat.engine.backends.upstream.settings import UpstreamSettings
from aiplat.engine.interface import Engine
from aiplat.engine.settings import EngineSettings
from aiplat.history.history import History
from aiplat.history.settings import HistorySettings
from aiplat.http.app import make_control_app, make_public_app
from aiplat.http.certificate import certificate_of
from aiplat.http.control_port import PortKeeper, new_token
from aiplat.http.reached import Reached
from aiplat.http.serving import serve_control, serve_control_port, serve_public
from aiplat.http.settings import HttpSettings
from aiplat.http.sockets import PortInUse
from aiplat.node.channel import Channel
from aiplat.node.handler import RolesHandler
from aiplat.node.identity import load_or_create
from aiplat.node.incarnation import next_incarnation, wall_ms
from aiplat.node.membership.files import NetworkFiles
from aiplat.node.membership.membership import Membership
from aiplat.node.node import Node
from aiplat.node.settings import NodeSettings
from aiplat.node.standing import OnChannel
from aiplat.roles.base import Role as RoleBase
from aiplat.roles.client import Client
from aiplat.roles.conversations import Conversations
from aiplat.roles.dispatch import Dispatch
from aiplat.roles.gateway import Gateway
from aiplat.roles.hearsay import Hearsay
from aiplat.roles.processor import Processor
from aiplat.roles.settings import ClientSettings, GatewaySettings, ShareSettings
from aiplat.roles.sharing_terms import engines_within
from aiplat.runtime import logs
from aiplat.runtime.account_desk import AccountDesk
from aiplat.runtime.changes_file import ChangesFile
from aiplat.runtime.chosen import ChosenFile
from aiplat.runtime.credential import credential_of
from aiplat.runtime.ending import Ending
from aiplat.runtime.engines import EngineMaker, why_none
from aiplat.runtime.held_keys import HeldKeys
from aiplat.runtime.lock import NodeLock
from aiplat.runtime.looks import Looks, look_at
from aiplat.runtime.machine_readings import MachineReadings, gpu_program, pids_of
from aiplat.runtime.networks import Networks
from aiplat.runtime.operations import OWNER, Operations
from aiplat.runtime.options import ServeOptions
from aiplat.runtime.own_models import OwnModels
from aiplat.runtime.page_desk import PageDesk
from aiplat.runtime.places import Places
from aiplat.runtime.private import local_token
from aiplat.runtime.pulling import get
from aiplat.runtime.pulls import Pulls
from aiplat.runtime.report import OPEN_NOTICE, report_ready
from aiplat.runtime.running_settings import Follow, RunningSettings
from aiplat.runtime.served import Served
from aiplat.runtime.settings import RuntimeSettings
from aiplat.runtime.share import Share, memory_for
from aiplat.runtime.share_file import TermsFile
from aiplat.runtime.shelf import ModelShelf
from aiplat.runtime.upstreams import make_upstream, offer_what_is_here
from aiplat.series.series import Series
from aiplat.series.settings import SeriesSettings
from aiplat.stored.settings import StoredSettings
from aiplat.stored.stored import Stored
from aiplat.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from aiplat.engine.backends.upstream.upstream import Upstream

log = logging.getLogger("aiplat.runtime")

LAST_WORDS_SECONDS = 1.0
_YOUNG = 10_000
"""Objects that are new, and stay, before the garbage collector looks at them."""


def run_node(options: ServeOptions, loaded: Loaded, places: Places, lock: NodeLock) -> int:
    """Run a node until it ends; blocks.

    Arguments:
        options: what the command line said.
        loaded: the settings.
        places: the node's folders, prepared.
        lock: on its home, which is held.

    Returns:
        The exit code: 0 when it ended as it was asked to.

    Raises:
        AiplatError: it could not start, or a part of it failed.
    """
    try:
        trio.run(_live, options, loaded, places, lock)
    except BaseExceptionGroup as group:
        raise _cause(group) from None
    return 0


async def _live(options: ServeOptions, loaded: Loaded, places: Places, lock: NodeLock) -> None:
    await _House(options, loaded, places, lock).live()


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
        self._doors_close = trio.Event()
        self._front_closed = trio.Event()
        self._control_closes = trio.Event()
        self._control_closed = trio.Event()
        is_first = not places.identity.exists()
        self._node = self._make_node()
        if is_first and self._node.membership.record is None:
            log.warning(OPEN_NOTICE)
        self._series = Series(
            places.series, loaded[SeriesSettings], self._metrics, self._node.peer_id
        )
        self._credentials = Credentials(self._node.peer_id, places.data)
        self._held_keys = HeldKeys(self._credentials, credential_of(os.environ))
        self._accounts = self._open_accounts() if "gateway" in options.roles else None
        gateway = Gateway(
            self._node.peer_id, loaded[GatewaySettings], self._metrics,
            in_network=self._in_network, accounts=self._accounts, saw=self._series.saw,
            max_choices=loaded[HttpSettings].max_choices,
        )  # fmt: skip
        self._gateway = gateway if "gateway" in options.roles else None
        client = Client(
            loaded[ClientSettings], self._gateway, in_network=self._in_network,
            key=self._held_keys.for_gateway, saw=self._series.saw,
        )  # fmt: skip
        self._client = client if "client" in options.roles else None
        self._upstream: Upstream | None = None
        self._engines: list[Engine] = []
        self._maker: EngineMaker | None = None
        self._share: Share | None = None
        self._processor = self._make_processor() if "processor" in options.roles else None
        self._own_models = OwnModels(self._processor, self._engines, places.cache)
        self._served = Served(
            self._own_models, self._maker, partial(why_none, options), ChosenFile(places.chosen),
            places.cache,
        )  # fmt: skip
        self._pulls = Pulls(
            get, places.cache, loaded[EngineSettings], self._metrics, self._served.serve
        )
        self._conversations = self._make_conversations()
        self._stored = self._make_stored()
        self._operations = self._make_operations()
        if self._accounts is not None:
            self._accounts.when_tuned(self._make_settings(self._accounts, gateway))

    # -- parts ---------------------------------------------------------------------------------

    def _make_node(self) -> Node:
        settings = self._loaded[NodeSettings]
        if self._options.listen:
            settings = replace(settings, listen=self._options.listen)
        self._identity = identity = load_or_create(self._places.identity)
        return Node(
            settings, identity, self._options.roles, f"aiplat/{aiplat.__version__}",
            self._metrics, self._places.known_peers, port_path=self._places.port,
            incarnation=next_incarnation(self._places.incarnation, wall_ms()),
            membership=Membership(NetworkFiles(self._places.network), identity.peer_id),
        )  # fmt: skip

    def _open_accounts(self) -> Accounts:
        places = StorePlaces(self._places.accounts, self._places.data / "backups")
        accounts = Accounts(
            self._node.peer_id, places, self._loaded[AccountsSettings], self._metrics,
            is_open=self._is_public,
        )  # fmt: skip
        accounts.open()
        return accounts

    def _is_public(self) -> bool:
        return self._node.membership.is_public

    def _in_network(self) -> bool:
        return self._node.membership.record is not None

    def _make_processor(self) -> Processor:
        settings = self._loaded[EngineSettings]
        kept = TermsFile(self._places.share)
        terms = kept.read()
        engines: Sequence[Engine]
        if self._options.backend == "upstream":
            self._upstream = make_upstream(
                self._options, self._loaded[UpstreamSettings], os.environ, self._metrics
            )
            engines = self._upstream.engines
        else:
            within = engines_within(terms, settings, memory_for(terms))
            self._maker = EngineMaker(self._options, within, self._places, self._metrics)
            engines = self._engines = self._maker.make_all(ChosenFile(self._places.chosen).read())
        peer, saw = self._node.peer_id, self._series.saw
        processor = Processor(peer, engines, self._gateway, saw)
        garage = None if self._maker is None else self._maker.garage
        self._share = Share(processor, self._loaded[ShareSettings], settings, kept, terms, garage)
        return processor

    def _make_readings(self) -> MachineReadings:
        seconds = self._loaded[SeriesSettings].reading_seconds
        return MachineReadings(
            lambda: pids_of(self._own_models.engines), self._series.machine, seconds, gpu_program()
        )

    def _make_shelf(self) -> ModelShelf:
        garage = None if self._maker is None else self._maker.garage
        return ModelShelf(
            self._own_models, self._served, self._pulls, self._places.cache,
            lambda: None if garage is None else garage.budget,
        )  # fmt: skip

    def _make_operations(self) -> Operations:
        return Operations(
            node=self._node, roles=self._options.roles, client=self._client,
            gateway=self._gateway, processor=self._processor,
            token=local_token(self._places.token),
            control=str(
                self._places.place_control(
                    self._options.control, by_port=self._loaded[HttpSettings].control_by_port
                )
            ),
            background=self._options.background,
            on_stop=lambda now: self._ending.want("asked to", now=now),
            now=trio.current_time,
            networks=Networks(
                self._node.membership, self._identity, self._loaded[NodeSettings],
                lambda: self._node.addresses, self._node.forget_all, self._other_gateways,
            ),
            hearsay=self._make_hearsay(),
            own_models=self._own_models,
            models_here=self._make_shelf(),
            kept_log=logs.ring(self._places.log),
            looks=Looks(partial(look_at, self._places, self._loaded)),
            desk=AccountDesk(
                self._node, self._client, self._accounts, self._credentials, self._held_keys,
                time.time,
            ),
            page_desk=PageDesk(self._accounts), held_keys=self._held_keys, graphs=self._series,
            conversations=self._conversations, stored=self._stored, shared=self._share,
        )  # fmt: skip

    def _make_settings(self, accounts: Accounts, gateway: Gateway) -> RunningSettings:
        follow: Follow = {
            AccountsSettings: accounts.follow,
            GatewaySettings: gateway.follow,
            RuntimeSettings: self._follow,
        }
        fixed = {}
        if logs.wants_debug(os.environ):
            fixed["runtime.log_level"] = "the environment variable DEBUG has everything logged"
        said = {"http.bind": self._options.http, "node.listen": self._options.listen or None}
        return RunningSettings(
            self._loaded, ChangesFile(self._places.changes), follow, fixed,
            {name: value for name, value in said.items() if value is not None},
        )  # fmt: skip

    def _follow(self, settings: RuntimeSettings) -> None:
        self._runtime = settings
        logs.set_level(settings.log_level, os.environ)

    def _make_conversations(self) -> Conversations:
        async def inference(peer: str) -> Inference:
            return await self._operations.inference(peer)

        settings = self._loaded[HistorySettings]
        history = History(self._places.history, settings, self._metrics)
        return Conversations(history, inference, settings, self._metrics)

    def _make_stored(self) -> Stored:
        """An account's answers go with it: at once, or at the next look where a node died amid."""
        accounts = self._accounts

        def users() -> set[str] | None:
            return None if accounts is None else {OWNER, *accounts.users()}

        settings = self._loaded[StoredSettings]
        stored = Stored(self._places.stored, settings, self._metrics, users=users)
        if accounts is not None:
            accounts.when_deleted(stored.forget)
        return stored

    def _make_hearsay(self) -> Hearsay | None:
        """For a client: a gateway sees the network itself."""
        client = self._client
        if client is None or self._gateway is not None:
            return None
        return Hearsay(self._loaded[ClientSettings], lambda: client.gateways, self._metrics)

    def _other_gateways(self) -> tuple[str, ...]:
        """Where they are, each at two of its addresses."""
        return tuple(a for told in self._node.finding.gateways.values() for a in told[:2])

    # -- life ----------------------------------------------------------------------------------

    async def live(self) -> None:
        """Start bottom-up, run until the end is wanted, stop top-down."""
        operations = self._operations
        async with trio.open_nursery() as root:
            await root.start(self._ending.listen)
            root.start_soon(self._end_in_haste, root.cancel_scope)
            await self._start_roles(root)
            door = await self._open_front_door(root)
            operations.http, operations.http_here = door.url, door.here
            self._lock.tell(operations.http)
            await self._open_control(root)
            operations.state = "ready"
            report_ready(operations.status(), json=self._options.json, environ=os.environ)
            log.info("ready: %s", operations.http, extra={"sign": "🚀"})
            if self._options.background:
                logs.leave_terminal()  # the face that started it reads no further
            self._leave_when_idle(root)
            self._offer_upstream(root)
            # All that is imported stays: looking through it again at each full garbage collection
            # stopped a busy gateway for 40 to 80 ms.
            gc.collect()
            gc.freeze()
            # Requests leave no cycles, so little is ever found; a hundred at once are some 20,000
            # objects, and looking through them at each 700 new ones was a tenth of their cost.
            gc.set_threshold(_YOUNG)
            await self._ending.wanted.wait()
            await self._drain()
            root.cancel_scope.cancel()

    async def _start_roles(self, root: trio.Nursery) -> None:
        found: dict[Role, RoleBase | None] = {
            "gateway": self._gateway, "processor": self._processor, "client": self._client,
        }  # fmt: skip
        roles = {name: role for name, role in found.items() if role is not None}
        await root.start(self._series.run)
        if self._maker is not None:
            await root.start(self._make_readings().run)
        if self._accounts is not None:
            await root.start(self._accounts.run)
        for role in roles.values():
            await root.start(role.run)
        if self._upstream is not None and self._processor is not None:
            processor = self._processor
            await root.start(self._upstream.run, processor.add, processor.withdraw)
        if self._share is not None:
            await root.start(self._share.run)
        await root.start(self._pulls.run)
        await root.start(self._conversations.run)
        await root.start(self._stored.run)
        dispatch = Dispatch(roles)
        await root.start(partial(self._node.run, self._on_channel(dispatch), dispatch.admit))
        for address in self._options.peers:
            self._node.keep(address)
        for address in self._node.known:
            try:
                self._node.keep(address)
            except NoPeer as error:  # an address of an earlier life, such as this node's own
                log.warning("a known address was forgotten: %s", error)
                self._node.forget(address)

    def _on_channel(self, dispatch: Dispatch) -> OnChannel:
        def on_channel(channel: Channel) -> RolesHandler:
            self._operations.seen.opened(channel)
            return dispatch.on_channel(channel)

        return on_channel

    async def _open_front_door(self, root: trio.Nursery) -> Reached:
        settings = self._loaded[HttpSettings]
        if self._options.http is not None:
            settings = replace(settings, bind=self._options.http)
        token, metrics = self._operations.token, self._metrics
        certificate = await trio.to_thread.run_sync(certificate_of, settings)

        async def open_at(settings: HttpSettings) -> Reached:
            app = make_public_app(self._operations, settings, token, metrics, certificate)

            async def serve(*, task_status: trio.TaskStatus[Reached]) -> None:
                await serve_public(
                    app, settings, certificate=certificate,
                    shutdown_trigger=self._doors_close.wait, metrics=metrics,
                    task_status=task_status,
                )  # fmt: skip
                self._front_closed.set()

            reached: Reached = await root.start(serve)
            return reached

        try:
            return await open_at(settings)
        except PortInUse:
            if not self._options.background or self._options.http is not None:
                raise
            host = settings.bind.rpartition(":")[0]
            log.info("%s is taken: the HTTP door takes a free port", settings.bind)
            return await open_at(replace(settings, bind=f"{host}:0"))

    async def _open_control(self, root: trio.Nursery) -> None:
        settings = self._loaded[HttpSettings]
        path = Path(self._operations.control)
        closes = self._control_closes.wait

        async def serve(*, task_status: trio.TaskStatus[str]) -> None:
            if settings.control_by_port:
                token = new_token()
                keeper = PortKeeper(token, self._metrics)
                app = make_control_app(self._operations, settings, (keeper.check,))
                await serve_control_port(
                    app, path, token, settings, shutdown_trigger=closes, task_status=task_status
                )
            else:
                app = make_control_app(self._operations, settings)
                await serve_control(
                    app, path, settings, shutdown_trigger=closes, task_status=task_status
                )
            self._control_closed.set()

        await root.start(serve)

    def _leave_when_idle(self, root: trio.Nursery) -> None:
        seconds, operations = self._runtime.idle_minutes * 60, self._operations
        if self._options.background and seconds > 0:
            root.start_soon(self._ending.when_idle, seconds, operations.has_work, operations.taken)

    def _offer_upstream(self, root: trio.Nursery) -> None:
        """Once it is ready, so that nothing waits for it."""
        options = self._options
        if self._processor is not None and not (options.models or options.backend):
            root.start_soon(offer_what_is_here, self._loaded[UpstreamSettings])

    async def _drain(self) -> None:
        operations = self._operations
        operations.state, operations.drained = "draining", False
        log.info(
            "stopping (%s), %d requests under way", self._ending.reason, len(operations.active())
        )
        if self._gateway is not None:
            self._gateway.drain()
        if self._processor is not None:
            self._processor.drain()
        self._node.drain(self._ending.reason, self._runtime.grace_seconds)
        self._doors_close.set()
        with trio.move_on_after(self._runtime.grace_seconds):
            await self._ending.unless_now(self._all_is_taken)
        await self._cut_off()
        log.info("stopped", extra={"sign": "✅"})

    async def _end_in_haste(self, scope: trio.CancelScope) -> None:
        """At once means now, whatever hangs; what it takes to say goodbye is let pass."""
        await self._ending.now.wait()
        await trio.sleep(2 * LAST_WORDS_SECONDS)
        scope.cancel()

    async def _all_is_taken(self) -> None:
        await self._ending.drained(self._operations.is_busy)
        await self._front_closed.wait()  # a slow reader still takes what is done

    async def _cut_off(self) -> None:
        """Tell those whose answers end here why, and let the last words out."""
        left = len(self._operations.active())
        if left:
            error = ShuttingDown(
                f"The node {short(self._node.peer_id)} was stopped before the answer was whole. "
                "Ask again.",
                retry_after=5,
            )
            for part in (self._gateway, self._client, self._processor):
                if part is not None:
                    part.fail_all(error)
            log.warning("%d requests were cut off", left)
        self._control_closes.set()
        with trio.move_on_after(LAST_WORDS_SECONDS):  # such as the answer to `stop`
            await self._control_closed.wait()
            if left:
                await self._front_closed.wait()
