"""Keeps one model's process: started when it is wanted and there is room, again when it died,
and ended when its room is needed, nobody asks for it, or its settings are old. It is a `Tenant`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path

import trio

from aiplat.domain.errors import ConfigError, EngineFailed
from aiplat.engine.backend import Plan
from aiplat.engine.filelock import shared
from aiplat.engine.garage import Garage, Unwanted
from aiplat.engine.lives import Lives
from aiplat.engine.memory import Footprint, footprint
from aiplat.engine.messages import LoadFailed, Ready
from aiplat.engine.pauses import Pauses
from aiplat.engine.requests import Requests
from aiplat.engine.settings import EngineSettings
from aiplat.engine.standing import Standing, out_of_memory
from aiplat.engine.store import models_folder, use_of
from aiplat.engine.uses import note_use
from aiplat.telemetry.metrics import Metrics

log = logging.getLogger("aiplat.engine.process")

_NOTE_USE_SECONDS = 60.0
_LOOK_SECONDS = 5.0
_FOR_MEMORY = 20
"""So many times `restart_most_seconds` is the longest pause after a load that lacked memory."""


class Keeper:
    """One model's process, or its absence.

    Arguments:
        name, folder, cache: of the model.
        make_plan: gives what to load for settings and a cache in MiB.
        requests, stands, lives: of the model.
        resume: called when requests that wait may be sent.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        cache: Path,
        settings: EngineSettings,
        make_plan: Callable[[EngineSettings, int], Plan],
        requests: Requests,
        stands: Standing,
        lives: Lives,
        metrics: Metrics,
        garage: Garage,
        resume: Callable[[], None],
    ) -> None:
        self.name = name
        self.settings = settings
        self.is_ready = self.is_held_back = self.is_withdrawn = False
        self.load_failed: LoadFailed | None = None
        self.last_used = 0.0
        self._folder, self._cache = folder, cache
        self._make_plan = make_plan
        self._requests, self._stands, self._lives = requests, stands, lives
        self._metrics = metrics
        self._garage = garage
        self._resume = resume
        self._footprint = footprint(folder, settings)
        self._plan: Plan | None = None
        self._is_stale = False
        self._stir = trio.Event()
        self._reconfigured = trio.Event()
        self._noted = -_NOTE_USE_SECONDS
        metrics.engine_restarts.labels(name)  # zero: what begins at one has not risen
        self._eager = garage.add(self)
        if not self._eager:
            stands.cold()

    # -- Tenant --------------------------------------------------------------------------------

    @property
    def footprint(self) -> Footprint:
        """What it takes."""
        return self._footprint

    @property
    def is_wanted(self) -> bool:
        """Whether it shall be loaded."""
        return not self.is_withdrawn and (self._eager or len(self._requests) > 0)

    @property
    def is_idle(self) -> bool:
        """Whether it is loaded and has nothing to do; what waits while it is held back is none."""
        return self.is_ready and not self._requests.any_sent

    def unload(self) -> None:
        """End the process of an idle one."""
        self.is_ready = self._eager = False
        self._lives.end()

    def hold_back(self, *, off: bool = False) -> None:
        """Hold new requests; or let them have it again."""
        self.is_held_back = not off or self._is_stale  # other settings wait for its last answer
        if not self.is_held_back:
            self._resume()

    def waits_for_room(self, why: str) -> None:
        """Those who wait for it shall hear why, once."""
        if self._stands.note != why:
            self._stands.loading(why, begun=False)
            self._requests.tell_waiting(0, why)
            self.changed()

    def reconfigure(self, settings: EngineSettings) -> None:
        """Take up other settings: with another process, if this one's plan differs."""
        self.settings = settings
        self._footprint = footprint(self._folder, settings)
        self._reconfigured.set()
        if self._stands.state == "failed":
            self._stir.set()  # they may be what it takes
        if self._lives.now is None or self._plan == self._new_plan():
            return
        self._is_stale = self.is_held_back = True
        if self.is_ready:  # gateways place elsewhere meanwhile
            note = f"{self.name} is started anew, with other settings"
            self._stands.loading(note, begun=False)
        self.changed()

    def _renew_when_idle(self) -> None:
        if self._is_stale and self.is_idle:
            self.unload()
            self._eager = True

    # -- what its engine tells -----------------------------------------------------------------

    def wake(self) -> None:
        """A request waits for it."""
        if self._stands.is_cold:
            self._stands.loading(begun=False)
            self.changed()
            self._stir.set()

    def loaded(self, ready: Ready) -> None:
        """Its process has it."""
        self.is_ready = True
        seconds = ready.load_seconds
        self._metrics.engine_loads.labels(self.name).inc()
        self._metrics.engine_load_seconds.labels(self.name).set(seconds)
        note_use(self._folder, self._cache, load_seconds=seconds, can=ready.can)
        log.info("the model %s is ready", self.name,
                 extra={"model": self.name, "seconds": seconds, "sign": "🤖"})  # fmt: skip
        self.last_used = trio.current_time()
        self._stands.ready(ready.manifest, ready.slots, seconds, ready.note, ready.can)
        self._resume()  # before anybody learns that it could be unloaded
        self.changed()

    def used(self) -> None:
        """A request came, began or ended."""
        self.last_used = now = trio.current_time()
        if now - self._noted >= _NOTE_USE_SECONDS:
            self._noted = now
            note_use(self._folder, self._cache)
        self.changed()

    def changed(self) -> None:
        """Something of its requests, or of itself, is another."""
        self._stands.tell(self._requests)
        self._renew_when_idle()
        self._garage.changed()

    # -- the process's lives -------------------------------------------------------------------

    async def keep(self) -> None:
        """Load it when it is wanted, and again when it died, until cancelled."""
        settings = self.settings
        first, most = settings.restart_first_seconds, settings.restart_most_seconds
        pauses = Pauses(first, most, settings.restart_reset_seconds)
        for_memory = Pauses(most, _FOR_MEMORY * most, settings.restart_reset_seconds)
        while True:
            while not self.is_wanted:
                self._stir = trio.Event()
                await self._stir.wait()
            try:
                await self._garage.enter(self)
            except Unwanted:
                self._become_cold()
                continue
            except ConfigError as error:
                await self._refuse(str(error))
                continue
            began = trio.current_time()
            cause = await self._live()
            lived = trio.current_time() - began
            if not cause:
                self._unloaded()
            elif self._lacked_memory():
                cause = out_of_memory(self._footprint, self._cache_mib(), self._garage.budget)
                await self._mourn(cause, for_memory.after(lived), failed=True)
            elif self.load_failed is not None:
                await self._refuse(self.load_failed.message)
            else:
                await self._mourn(cause, pauses.after(lived))

    async def _live(self) -> str:
        """Live with one process; gives the cause of its death, or nothing when it was unloaded."""
        self.load_failed = None
        self.is_ready = self.is_held_back = self._is_stale = False
        self._plan = self._new_plan()
        self._metrics.engine_loaded.set(len(self._garage.loaded))
        self._stands.loading()
        self.changed()
        self._requests.tell_waiting(self._stands.expected_seconds, self._stands.note)
        try:
            with ExitStack() as stack:
                try:
                    stack.enter_context(self._in_use())
                except OSError:  # a timeout too
                    return "could not be started (its files are being removed)"
                return await self._lives.live(self._plan, self.settings)
        finally:
            self.is_ready = False
            self._stands.gone()
            self._garage.leave(self)
            self._metrics.engine_loaded.set(len(self._garage.loaded))

    def _in_use(self) -> AbstractContextManager[None]:
        """Have others see that a pulled model is in use, so that nobody removes it."""
        if self._folder.parent != models_folder(self._cache):
            return nullcontext()
        return shared(use_of(self._folder))

    def _lacked_memory(self) -> bool:
        """Whether the load failed for want of memory: it said so, or the kernel killed it."""
        if self.load_failed is not None:
            return self.load_failed.memory
        return self._lives.was_killed and not self._lives.was_ready

    def _unloaded(self) -> None:
        self._metrics.engine_unloads.labels(self.name).inc()
        log.info("the model %s was unloaded", self.name, extra={"model": self.name})
        note_use(self._folder, self._cache)
        if not self.is_wanted:
            self._become_cold()

    def _become_cold(self) -> None:
        self._stands.cold()
        self.changed()

    async def _mourn(self, cause: str, pause: float, *, failed: bool = False) -> None:
        """Tell all whose requests it held, say when it comes back, and wait until then.

        Arguments:
            failed: `cause` is a sentence about the load, and none about the process.
        """
        log.error(
            "the engine of %s is lost: %s", self.name, cause,
            extra={"model": self.name, "restart_seconds": pause,
                   "engine_log": str(self._lives.log_path)},
        )  # fmt: skip
        note = cause if failed else f"The engine of {self.name} {cause}"
        error = f"The model {self.name} does not run: {cause}" if failed else note
        again = f"it is tried again in {pause:g} s" if failed else "it is started again"
        self._requests.fail_all(EngineFailed(f"{error}; {again}.", retry_after=pause + 5))
        note = f"{note}; next try in {pause:g} s"
        if self._lives.was_ready:
            self._stands.loading(note, begun=False)
        else:
            self._metrics.engine_load_failures.labels(self.name).inc()
            self._stands.failed(note)
        self._eager = True
        self.changed()
        await self._rest(pause)
        self._metrics.engine_restarts.labels(self.name).inc()

    async def _refuse(self, why: str) -> None:
        """It cannot be loaded, and trying again does not help; other settings may."""
        log.error("the model %s is not loaded: %s", self.name, why, extra={"model": self.name})
        self._metrics.engine_load_failures.labels(self.name).inc()
        self._stands.failed(why)
        self.changed()
        self._requests.fail_all(EngineFailed(f"The model {self.name} cannot be loaded: {why}"))
        self._eager = False
        await self._rest(float("inf"))
        self._eager = True

    async def _rest(self, seconds: float) -> None:
        self._stir = trio.Event()
        with trio.move_on_after(seconds):
            await self._stir.wait()

    async def leave_when_idle(self) -> None:
        """Unload it when nobody asked for so long as the settings say, until cancelled."""
        while True:
            self._reconfigured = trio.Event()
            seconds = self.settings.idle_seconds
            left = seconds - (trio.current_time() - self.last_used)
            if seconds and left <= 0 and self.is_idle:
                self.unload()
            pause = left if left > 0 else min(seconds, _LOOK_SECONDS)
            with trio.move_on_after(pause if seconds else float("inf")):
                await self._reconfigured.wait()

    def gone(self) -> None:
        """The node has done with it, and its process has ended."""
        self._garage.remove(self)

    # -- what it takes -------------------------------------------------------------------------

    def _cache_mib(self) -> int:
        return self._footprint.cache_within(self._garage.budget)

    def _new_plan(self) -> Plan:
        return self._make_plan(self.settings, self._cache_mib())
