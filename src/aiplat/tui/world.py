"""What the screens know of the node: whether it is there, and its status, asked each second.

Knows no widget. It tells `changed` of every look; `app` passes it on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from aiplat.domain.errors import AiplatError
from aiplat.tui.clock import Clock
from aiplat.tui.link import Link, Start
from aiplat.tui.threads import in_thread

if TYPE_CHECKING:
    from aiplat.control.messages import Status

Phase = Literal["looking", "starting", "attached", "lost", "failed"]
"""`lost`: it was there, and is not, or does not answer; `failed`: it could not be started."""

LOOK_SECONDS = 1.0
RESTART_SECONDS = 5.0
MAX_STEPS = 50


class World:
    """The node, as the screens see it.

    Arguments:
        link: asks it.
        start: starts one; None where this face may not.
        clock: tells the seconds until a lost one is started again.
        changed: called after every look.
    """

    def __init__(
        self, link: Link, start: Start | None, clock: Clock, changed: Callable[[], None]
    ) -> None:
        self.phase: Phase = "looking"
        self.status: Status | None = None
        self.steps: list[str] = []
        self.trouble = ""
        self.lives = 0
        self._link = link
        self._start = start
        self._clock = clock
        self._changed = changed
        self._wake = asyncio.Event()
        self._restart_at: float | None = None
        self._pid = 0
        self._was_told_to_end = False
        self._moved = asyncio.Event()

    @property
    def is_attached(self) -> bool:
        """Whether the node answers."""
        return self.phase == "attached"

    @property
    def restarts_in(self) -> float | None:
        """Seconds until it is started again; None where it will not be."""
        if self._restart_at is None or self.phase != "lost":
            return None
        return max(0.0, self._restart_at - self._clock.monotonic())

    def look_now(self) -> None:
        """Look at once rather than at the next second."""
        self._wake.set()

    def start_now(self) -> None:
        """Start the node, if it is gone, at once."""
        self._restart_at = self._clock.monotonic()
        if self.phase == "failed":
            self.phase = "lost"
        self._wake.set()

    def leave_it(self) -> None:
        """Do not start it again: only look whether somebody does."""
        self._restart_at = None
        self._tell()

    async def settled(self) -> None:
        """Wait while the node is looked for, or starts, or is about to be started: each ends."""
        while self.phase in ("looking", "starting") or self.restarts_in is not None:
            moved = self._moved
            await moved.wait()

    def _tell(self) -> None:
        self._moved.set()
        self._moved = asyncio.Event()
        self._changed()

    async def run(self) -> None:
        """Look, until cancelled."""
        self._restart_at = self._clock.monotonic()  # at first there is nothing to wait for
        while True:
            await self._look()
            self._tell()
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()

    async def _look(self) -> None:
        from aiplat.control import calls  # not before the first paint
        from aiplat.control.faults import NodeSilent, NoNode

        try:
            status = await self._link.call(calls.status())
        except NoNode as gone:
            await self._without(str(gone))
        except AiplatError as fault:
            self._lost(str(fault), starts=not isinstance(fault, NodeSilent))
        else:
            self._attached(status)

    def _attached(self, status: Status) -> None:
        if self.phase != "attached" or status.pid != self._pid:
            self.lives += 1
        self._pid = status.pid
        self.status, self.phase, self.trouble = status, "attached", ""
        # Who told it to end wants it ended: it is started again when a person says so.
        self._was_told_to_end = status.state == "draining" and not status.drained
        self._restart_at = None

    def _lost(self, why: str, *, starts: bool) -> None:
        """It is there, and does not answer, or went away in the middle: it may have died.

        Arguments:
            starts: whether it may be gone, so that another can be started; one that is frozen is
                there, and has to be ended first.
        """
        now = self._clock.monotonic()
        if not starts or self._start is None:
            self._restart_at = None
        elif self.phase == "attached" and not self._was_told_to_end:
            self._restart_at = now + RESTART_SECONDS
        elif self._restart_at is not None and now >= self._restart_at:
            self._restart_at = None  # it is still there: nothing can be started beside it
        if self.phase != "failed":
            self.phase = "lost"
        self.trouble = why

    async def _without(self, why: str) -> None:
        if self._start is None:
            self.phase, self.trouble, self._restart_at = "lost", why, None
            return
        now = self._clock.monotonic()
        if self.phase == "lost":
            self.trouble = "The node ended."
        if self.phase == "attached":
            self.phase, self.trouble = "lost", "The node ended."
            self._restart_at = None if self._was_told_to_end else now + RESTART_SECONDS
        if self._restart_at is not None and now >= self._restart_at and self.phase != "failed":
            await self._bring_up(self._start)

    async def _bring_up(self, start: Start) -> None:
        """Start it in a thread; its steps are shown as they come."""
        from aiplat.control import calls

        loop = asyncio.get_running_loop()
        self.phase, self.steps, self.trouble = "starting", [], ""
        self._tell()

        def say(step: str) -> None:
            loop.call_soon_threadsafe(self._step, step)

        try:
            await in_thread(lambda: start(say))
            status = await self._link.call(calls.status())
        except AiplatError as fault:
            self._failed(str(fault))
        except Exception as fault:  # noqa: BLE001  # a full disk, say: the screen must not end
            self._failed(f"The node could not be started: {fault}.")
        else:
            self._attached(status)

    def _failed(self, why: str) -> None:
        self.phase, self.trouble, self._restart_at = "failed", why, None

    def _step(self, step: str) -> None:
        self.steps = [*self.steps, step][-MAX_STEPS:]
        self._tell()
