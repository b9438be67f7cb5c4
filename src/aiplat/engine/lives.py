"""The lives of one engine's process: started, lived with, and how each ended."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import msgspec
import trio

from aiplat.engine.backend import Plan
from aiplat.engine.child import Child
from aiplat.engine.life import Died, Life
from aiplat.engine.memory import killed_for_memory
from aiplat.engine.settings import EngineSettings
from aiplat.protocol.framing import Codec


class Lives:
    """One process at a time.

    Arguments:
        log_path: of the process's own log.
        take: called with each message of its (`Life`).
        busy: tells whether it has work (`Life`).
    """

    def __init__(
        self,
        log_path: Path,
        codec: Codec[msgspec.Struct],
        take: Callable[[int, msgspec.Struct], None],
        busy: Callable[[], bool],
    ) -> None:
        self.log_path = log_path
        self._codec = codec
        self._take = take
        self._busy = busy
        self._scope = trio.CancelScope()
        self.now: Life | None = None
        """The one that runs; None between two."""
        self.was_ready = False
        """Whether the last got as far as to be ready."""
        self.was_killed = False
        """Whether the kernel killed the last for want of memory, as far as one can tell."""

    @property
    def pid(self) -> int | None:
        """The number of the one that runs."""
        return None if self.now is None else self.now.pid

    def end(self) -> None:
        """End the one that runs: not a death, but our will."""
        self._scope.cancel()

    async def live(self, plan: Plan, settings: EngineSettings) -> str:
        """Start a process for `plan` and live with it.

        Returns:
            the cause of its death, in words that follow its name; empty when `end` was called.
        """
        self.was_ready = self.was_killed = False
        kills = killed_for_memory()
        try:
            child = await Child.start(plan, self.log_path)
        except OSError as error:
            return f"could not be started ({error.strerror})"
        try:
            self.now = Life(child, settings, self._codec, self._take, self._busy)
            with trio.CancelScope() as self._scope:
                await self.now.run()
            return ""
        except Died as died:
            self.was_killed = child.process.returncode == -signal.SIGKILL and (
                kills is None or killed_for_memory() != kills
            )
            child.kill()
            return str(died)
        finally:
            self.was_ready = self.now is not None and self.now.ready
            self.now = None
            await child.end(settings.stop_seconds)
