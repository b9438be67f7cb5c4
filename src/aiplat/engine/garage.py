"""Which models of a node are loaded: those in use, as far as its memory goes.

A model that is wanted enters when there is room; for that, the one that was used least lately and
has no request now must leave. A busy one never must; but when others wait long for its place it
takes up nothing new until it left (`TURN_SECONDS`), so that nobody starves.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import trio

from aiplat.domain.errors import ConfigError
from aiplat.engine.memory import Footprint, budget_mib
from aiplat.engine.settings import EngineSettings

TURN_SECONDS = 20.0
"""How long a model waits for busy ones before they are held back for it."""


class Unwanted(Exception):
    """Nobody asks for the model any more: it need not enter."""


class Tenant(Protocol):
    """A model, as the garage sees it. `is_ready` says that its process has it."""

    name: str
    last_used: float
    is_ready: bool

    @property
    def footprint(self) -> Footprint:
        """What it takes."""

    @property
    def is_wanted(self) -> bool:
        """Whether it shall be loaded: it has requests, or shall be there before the first."""

    @property
    def is_idle(self) -> bool:
        """Whether it is loaded and has nothing to do."""

    def unload(self) -> None:
        """End the process of an idle one; it leaves as soon as that is gone."""

    def hold_back(self, *, off: bool = False) -> None:
        """Hold new requests until it left; or let them have it again."""

    def waits_for_room(self, why: str) -> None:
        """Those who wait for it shall hear why."""

    def reconfigure(self, settings: EngineSettings) -> None:
        """Other settings: those that matter to its process need another one."""


class Garage:
    """The models of one node.

    Arguments:
        settings: of its models; of which it reads the memory budget itself.
        now: the clock, in seconds.
    """

    def __init__(
        self, settings: EngineSettings, *, now: Callable[[], float] = trio.current_time
    ) -> None:
        self.settings = settings
        self._budget = budget_mib(settings.memory_mib)
        self._now = now
        self._all: list[Tenant] = []
        self._inside: dict[str, int] = {}
        self._leaving: set[str] = set()
        self._held_back: set[str] = set()
        self._line: list[Tenant] = []
        self._news = trio.Event()

    @property
    def budget(self) -> int | None:
        """What all models may take together, in MiB; None for no bound."""
        return self._budget

    @property
    def loaded(self) -> list[str]:
        """The names of those that are in memory, or on their way in or out."""
        return list(self._inside)

    def add(self, tenant: Tenant) -> bool:
        """It belongs to this node; whether it is the first, which is loaded at the start.

        Raises:
            ConfigError: it would not even fit alone.
        """
        self.check(tenant)
        self._all.append(tenant)
        return len(self._all) == 1

    def remove(self, tenant: Tenant) -> None:
        """It belongs to this node no more, and its process is gone."""
        self._all.remove(tenant)
        self.changed()

    def check(self, tenant: Tenant) -> None:
        """Raise `ConfigError` for a model that does not fit alone; says both numbers."""
        _check(tenant, self._budget)

    async def enter(self, tenant: Tenant) -> None:
        """Wait until there is room for it, and take that; `leave` gives it back.

        Raises:
            Unwanted: nobody asks for it any more.
            ConfigError: it does not fit alone.
        """
        turn = self._now() + TURN_SECONDS
        self._line.append(tenant)
        try:
            while True:
                if not tenant.is_wanted:
                    raise Unwanted
                self.check(tenant)
                if self._line[0] is not tenant:
                    first = self._line[0].name
                    tenant.waits_for_room(f"{tenant.name} waits for room, after {first}")
                elif self._has_room(tenant, turn):
                    break
                await self._wait_for_news(turn if self._line[0] is tenant else None)
            self._inside[tenant.name] = tenant.footprint.need_within(self._budget)
        finally:
            self._line.remove(tenant)
            if not self._line:
                self._let_go()
            self.changed()

    def leave(self, tenant: Tenant) -> None:
        """Its process is gone."""
        self._inside.pop(tenant.name, None)
        self._leaving.discard(tenant.name)
        if tenant.name in self._held_back:
            self._held_back.discard(tenant.name)
            tenant.hold_back(off=True)
        self.changed()

    def changed(self) -> None:
        """One came, became idle, or is wanted no more: those who wait look again."""
        for tenant in self._all:
            if tenant.name in self._held_back - self._leaving and tenant.is_idle:
                self._leaving.add(tenant.name)
                tenant.unload()
        self._news.set()

    def check_within(self, settings: EngineSettings) -> None:
        """Raise `ConfigError` where a model would no longer fit alone, as at the next start."""
        for tenant in self._all:
            _check(tenant, budget_mib(settings.memory_mib))

    def reconfigure(self, settings: EngineSettings) -> None:
        """Take up other settings, without a restart of the node.

        An idle model gets another process at once, where its process knows the old settings; a
        busy one after its last answer, and what is asked meanwhile waits for the new one. Models
        over a smaller budget leave in the same way.
        """
        self.settings = settings
        self._budget = budget_mib(settings.memory_mib)
        for tenant in self._all:
            tenant.reconfigure(settings)
        self.trim()
        self.changed()

    def trim(self) -> None:
        """See that what is loaded keeps to the budget: the least lately used leave first."""
        if self._budget is not None:
            inside = [t for t in self._all if t.name in self._inside]
            self._free(sum(self._inside.values()) - self._budget, inside, hold_back=True)

    # -- inside --------------------------------------------------------------------------------

    def _has_room(self, tenant: Tenant, turn: float) -> bool:
        inside = [t for t in self._all if t.name in self._inside]
        rivals = [t for t in inside if t.footprint.alone] if tenant.footprint.alone else []
        if rivals:  # all have to leave
            short = sum(self._inside[t.name] for t in rivals)
            busy = self._free(short, rivals, hold_back=self._now() >= turn)
            why = "the GPU has room for one model"
        elif self._budget is None:
            return True
        else:
            need = tenant.footprint.need_within(self._budget)
            short = sum(self._inside.values()) + need - self._budget
            if short <= 0:
                return True
            busy = self._free(short, inside, hold_back=self._now() >= turn)
            free = max(0, self._budget - sum(self._inside.values()))
            why = f"it needs {need} MiB of memory, {free} of {self._budget} are free"
        what = f"{' and '.join(busy)} still at work" if busy else "another model is being unloaded"
        tenant.waits_for_room(f"{tenant.name} waits for room: {why}, {what}")
        return False

    def _free(self, short: int, among: list[Tenant], *, hold_back: bool) -> list[str]:
        """Unload idle models for `short` MiB more, if that is enough; gives the busy in the way.

        Arguments:
            among: those that may have to leave.
            hold_back: have busy ones take up nothing new, as far as the idle are not enough.
        """
        short -= sum(self._inside[t.name] for t in among if t.name in self._leaving)
        others = [t for t in among if t.name not in self._leaving]
        idle = sorted((t for t in others if t.is_idle), key=lambda t: t.last_used)
        busy = sorted((t for t in others if not t.is_idle), key=lambda t: t.last_used)
        if hold_back or sum(self._inside[t.name] for t in idle) >= short:
            for tenant in idle:
                if short <= 0:
                    return []
                short -= self._inside[tenant.name]
                self._leaving.add(tenant.name)
                tenant.unload()
        if short <= 0:
            return []
        if hold_back:
            for tenant in busy:
                # One that still loads does what it was loaded for first: else two take turns at
                # loading, and neither ever answers.
                if short > 0 and tenant.is_ready and tenant.name not in self._held_back:
                    self._held_back.add(tenant.name)
                    tenant.hold_back()
                short -= self._inside[tenant.name]
        return [t.name for t in busy]

    def _let_go(self) -> None:
        """Nobody waits: who was held back for that works on."""
        if self._budget is not None and sum(self._inside.values()) > self._budget:
            return
        for tenant in self._all:
            if tenant.name in self._held_back and tenant.name not in self._leaving:
                self._held_back.discard(tenant.name)
                tenant.hold_back(off=True)

    async def _wait_for_news(self, turn: float | None) -> None:
        self._news = trio.Event() if self._news.is_set() else self._news
        late = turn is None or self._now() >= turn
        with trio.move_on_after(float("inf") if late or turn is None else turn - self._now()):
            await self._news.wait()


def _check(tenant: Tenant, budget: int | None) -> None:
    if budget is not None and tenant.footprint.least > budget:
        raise ConfigError(
            f"The model {tenant.name} takes {tenant.footprint.least} MiB of memory, but models may "
            f"take {budget} MiB here (engine.memory_mib, or `aiplat share --max-memory`; without "
            "either, three quarters of this machine's). Serve a smaller model, or allow more."
        )
