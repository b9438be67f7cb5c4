"""How a node ends: on a signal, a face's word, or after long idleness; gently, or at once."""

from __future__ import annotations

import logging
import signal
from collections.abc import Awaitable, Callable

import trio

log = logging.getLogger("aiplat.runtime")

LOOK_SECONDS = 0.05


class Ending:
    """The wish to end. `wanted` is set by the first reason, `now` by the second or by haste."""

    def __init__(self) -> None:
        self.wanted = trio.Event()
        self.now = trio.Event()
        self.reason = ""

    def want(self, reason: str, *, now: bool = False) -> None:
        """Begin to end; asked a second time, or with `now`, running work is not waited for."""
        if now or self.wanted.is_set():
            self.now.set()
        self.reason = self.reason or reason
        self.wanted.set()

    async def listen(
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Take SIGTERM and SIGINT as the wish to end; a second one ends at once."""
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            task_status.started()
            async for number in signals:
                self.want(f"got {signal.Signals(number).name}")

    async def when_idle(
        self, seconds: float, is_busy: Callable[[], bool], taken: Callable[[], int]
    ) -> None:
        """Want to end once nothing was asked for `seconds`.

        Arguments:
            is_busy: whether a request is under way.
            taken: a figure that changes with each request.
        """
        seen, since = taken(), trio.current_time()
        while True:
            await trio.sleep(min(seconds / 10, 5.0))
            now = trio.current_time()
            if is_busy() or taken() != seen:
                seen, since = taken(), now
            elif now - since >= seconds:
                self.want(f"idle for {seconds / 60:g} minutes")
                return

    async def drained(self, is_busy: Callable[[], bool]) -> None:
        """Wait until nothing is under way."""
        while is_busy():  # noqa: ASYNC110  # no event tells of none
            await trio.sleep(LOOK_SECONDS)

    async def unless_now(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do `work`, but give it up when the end is wanted at once."""
        async with trio.open_nursery() as nursery:

            async def give_up() -> None:
                await self.now.wait()
                nursery.cancel_scope.cancel()

            nursery.start_soon(give_up)
            await work()
            nursery.cancel_scope.cancel()
