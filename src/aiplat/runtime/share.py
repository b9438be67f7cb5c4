"""Sharing on the owner's terms: holds the processor to them, as time and the machine go on."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

import trio

from aiplat.control.messages import Done, ShareState, ShareStatus, ShareTerms, ShareWish
from aiplat.domain.errors import InvalidRequest
from aiplat.engine.settings import EngineSettings
from aiplat.roles.processor import Processor
from aiplat.roles.settings import ShareSettings
from aiplat.roles.sharing_hours import at, read_hours
from aiplat.roles.sharing_idle import Idleness, Reading
from aiplat.roles.sharing_terms import changed, engines_within
from aiplat.runtime.share_file import TermsFile
from aiplat.runtime.share_readings import Machine, memory_mib
from aiplat.runtime.share_words import what_holds

log = logging.getLogger("aiplat.share")

PAUSED = "paused by its owner"
IN_USE = "its owner is using the machine"
WATCHED = "it waits until its machine is idle"

_LOOK_SECONDS = 5.0
_READINGS = 12
"""Readings in the window of `share.idle_seconds`, at most one in `_LOOK_SECONDS`."""
_SOONEST = 0.1
_NEVER = float("inf")


class Readings(Protocol):
    """Takes readings of the machine (`Machine`)."""

    def check(self) -> None:
        """See that it can; raises `ConfigError`."""

    async def take(self) -> Reading:
        """Take one; raises `OSError`, `ValueError` or `IndexError`."""


class Engines(Protocol):
    """What models run here (`Garage`)."""

    def check_within(self, settings: EngineSettings) -> None:
        """See that they can work with other settings; raises `ConfigError`."""

    def reconfigure(self, settings: EngineSettings) -> None:
        """Take them up."""


def _local(when: float) -> datetime:
    return datetime.fromtimestamp(when, UTC).astimezone()


@dataclass(frozen=True)
class Clock:
    """The clocks: one that only goes forward, seconds since 1970, and what the wall's shows."""

    now: Callable[[], float] = trio.current_time
    time: Callable[[], float] = time.time
    wall: Callable[[float], datetime] = _local


def memory_for(terms: ShareTerms) -> int:
    """The machine's memory in MiB, read only where the terms speak of a share of it."""
    return memory_mib() if terms.max_memory.endswith("%") else 0


class Share:
    """One machine, as its owner shares it.

    Arguments:
        processor: is held to the terms.
        settings: what idle means, and how long others get when it ends.
        engine: the engines' settings without the terms' bounds.
        file: keeps the terms.
        terms: what it holds.
        engines: work with other settings, each as soon as it is idle; None where they run
            elsewhere, and keep to no bound of this machine.
    """

    def __init__(
        self,
        processor: Processor,
        settings: ShareSettings,
        engine: EngineSettings,
        file: TermsFile,
        terms: ShareTerms,
        engines: Engines | None,
        clock: Clock | None = None,
        machine: Readings | None = None,
    ) -> None:
        self.terms = terms
        self._processor = processor
        self._settings = settings
        self._engine = engine
        self._file = file
        self._engines = engines
        self._clock = clock or Clock()
        self._machine = machine or Machine()
        self._hours = read_hours(terms.hours)
        self._idle = Idleness(settings.idle_cpu, settings.idle_seconds, settings.input_seconds)
        self._state: ShareState = "open"
        self._reason = ""
        self._in_use_since: float | None = None
        self._change: tuple[float, float | None] = (-_NEVER, None)
        self._began: float | None = None
        self._wake = trio.Event()
        self._judge()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Look at the clock and the machine again and again, as often as the terms need it."""
        task_status.started()
        while True:
            self._wake = trio.Event()
            with trio.move_on_after(self._pause()):
                await self._wake.wait()
            if self.terms.idle_only:
                await self._read()
            self._judge()

    def _pause(self) -> float:
        """Seconds until the next look."""
        pause = _NEVER
        if self._hours.spans:
            pause = _LOOK_SECONDS
        if self.terms.idle_only:
            pause = min(_LOOK_SECONDS, self._settings.idle_seconds / _READINGS)
        if self._in_use_since is not None and len(self._processor.sharing):
            left = self._in_use_since + self._settings.grace_seconds - self._clock.now()
            pause = min(pause, max(_SOONEST, left))
        return pause

    async def _read(self) -> None:
        try:
            reading = await self._machine.take()
        except (OSError, ValueError, IndexError) as fault:
            self._idle.forget()  # what is not known is not idle
            log.warning("the machine cannot be read: %s", fault)
        else:
            self._idle.add(reading)

    # -- the judgement -------------------------------------------------------------------------

    def _judge(self) -> None:
        state, reason = self._verdict()
        if (state, reason) != (self._state, self._reason):
            log.info("shared: %s", reason or "with all who may ask", extra={"state": state})
        self._state, self._reason = state, reason
        self._processor.share(reason)
        self._end_after_grace()

    def _verdict(self) -> tuple[ShareState, str]:
        if self.terms.paused:
            return "paused", PAUSED
        if not self._hours.hold(self._clock.wall(self._clock.time())):
            return "closed", f"outside its hours ({self._hours})"
        if self.terms.idle_only and self._idle.why_not:
            return "waiting", IN_USE if self._idle.is_used else WATCHED
        return "open", ""

    def _end_after_grace(self) -> None:
        """Somebody came back: what others have under way gets some time, and then ends."""
        now = self._clock.now()
        if self._reason != IN_USE:
            self._in_use_since = None
            return
        if self._in_use_since is None:
            self._in_use_since = now
        if now >= self._in_use_since + self._settings.grace_seconds:
            self._end_others()

    def _end_others(self) -> int:
        ended = self._processor.sharing.end_all(self._reason)
        if ended:
            log.info("%d requests of others were ended: %s", ended, self._reason)
        return ended

    # -- what an owner asks --------------------------------------------------------------------

    def change(self, wish: ShareWish) -> Done:
        """Share on other terms, and keep them.

        Raises:
            AiplatError: a term cannot be, or they cannot be kept; then nothing has changed.
        """
        terms = changed(self.terms, wish)
        if wish.now and not terms.paused:
            raise InvalidRequest(
                "Requests of others are ended at once by a pause alone: say pause too.", param="now"
            )
        if self._engines is None and (wish.threads or wish.max_memory is not None):
            raise InvalidRequest(
                "This node's models run in another server (--upstream), which keeps to no bound of "
                "this one's: leave --threads and --max-memory out.",
                param="threads" if wish.threads else "max_memory",
            )
        if terms.idle_only and not self.terms.idle_only:
            self._machine.check()
        engine = engines_within(terms, self._engine, memory_for(terms))
        before = engines_within(self.terms, self._engine, memory_for(self.terms))
        if engine != before and self._engines is not None:
            self._engines.check_within(engine)
        self._file.keep(terms)
        if terms.idle_only != self.terms.idle_only:
            self._idle.forget()
        self.terms, self._hours = terms, read_hours(terms.hours)
        self._change = (-_NEVER, None)
        if engine != before and self._engines is not None:
            self._engines.reconfigure(engine)
        self._judge()
        ended = self._end_others() if wish.now else 0
        self._wake.set()
        return Done(message=what_holds(self.status(), ended))

    def status(self) -> ShareStatus:
        """How it is shared, now."""
        sharing, now = self._processor.sharing, self._clock.time()
        change = self._next_change(now)
        return ShareStatus(
            state=self._state,
            reason=self._reason,
            note=self._idle.why_not if self._state == "waiting" else "",
            terms=self.terms,
            changes_in=None if change is None else round(change - now, 1),
            changes_at="" if change is None else at(change, now, self._clock.wall),
            users=sharing.users(),
            own=self._processor.own_running,
            requests=sharing.requests,
            tokens=sharing.tokens,
        )

    def _next_change(self, now: float) -> float | None:
        """When the hours open or close; looked for anew when that has passed, or the clock did."""
        looked, found = self._change
        if not looked <= now < (found if found is not None else looked + 60):
            found = self._hours.changes(now, self._clock.wall)
            self._change = (now, found)
        return found
