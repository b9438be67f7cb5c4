"""The models that a node brings onto its machine because a face asked: each in a thread, a few at
once, each ended when nobody wants it any more.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import trio

from aiplat.control.machine import Pull
from aiplat.control.messages import Done
from aiplat.domain.errors import AiplatError, InvalidRequest, NotReady, Overloaded, clip
from aiplat.engine.settings import EngineSettings
from aiplat.engine.stages import Progress
from aiplat.telemetry.metrics import Metrics

log = logging.getLogger("aiplat.runtime")

KEPT = 5
"""Pulls that have ended, of which a face can still be told how."""
_RETRY_SECONDS = 30.0

Get = Callable[[str, Path, Progress, float], Path | None]
"""Brings a model (`pulling.get`); blocks."""


class _Unwanted(Exception):
    """Nobody wants the model any more."""


@dataclass
class _UnderWay:
    """One pull. Its thread writes `at`, and reads `unwanted`."""

    model: str
    serve: bool
    state: Literal["running", "done", "failed", "cancelled"] = "running"
    error: str = ""
    at: tuple[str, int, int] = ("", 0, 0)
    unwanted: threading.Event = field(default_factory=threading.Event)

    def progress(self, stage: str, done: int, total: int) -> None:
        """Hear how far it is (`Progress`)."""
        if self.unwanted.is_set():
            raise _Unwanted
        if total or stage != self.at[0]:  # else it is known already, and is told again
            self.at = (stage, done, total)

    def told(self) -> Pull:
        """As a face is told."""
        stage, done, total = self.at
        return Pull(model=self.model, state=self.state, stage=stage, done=done, total=total,
                    error=self.error)  # fmt: skip


class Pulls:
    """Those of one node.

    Arguments:
        get: brings one.
        cache: where to.
        settings: how many at once, and how long each waits for another program's.
        serve: has the node offer one that is here.
    """

    def __init__(
        self,
        get: Get,
        cache: Path,
        settings: EngineSettings,
        metrics: Metrics,
        serve: Callable[[str], Awaitable[object]],
    ) -> None:
        self._get = get
        self._cache = cache
        self._settings = settings
        self._metrics = metrics
        self._serve = serve
        self._limiter = trio.CapacityLimiter(settings.pulls)
        self._running: dict[str, _UnderWay] = {}
        self._ended: list[_UnderWay] = []
        self._nursery: trio.Nursery | None = None

    @property
    def any(self) -> bool:
        """Whether one is under way."""
        return bool(self._running)

    def told(self) -> tuple[Pull, ...]:
        """Those under way, then the last that ended, the latest first."""
        return tuple(one.told() for one in (*self._running.values(), *reversed(self._ended)))

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Bring what is begun, until cancelled: then all end, within seconds."""
        async with trio.open_nursery() as self._nursery:
            task_status.started()
            try:
                await trio.sleep_forever()
            finally:
                self._nursery = None
                for one in self._running.values():  # their threads cannot be cancelled
                    one.unwanted.set()

    def begin(self, model: str, *, serve: bool) -> Done:
        """Begin to bring one; if that is under way already, it is the same one.

        Arguments:
            model: its own name (`ModelShelf` looks at it).
            serve: whether to offer it when it is here.

        Raises:
            Overloaded: so many are under way already.
            NotReady: the node starts or ends.
        """
        if (one := self._running.get(model)) is not None:
            if one.unwanted.is_set():
                raise NotReady(f"The pull of {clip(model)} is being ended: try again in a moment.",
                               retry_after=1)  # fmt: skip
            one.serve = one.serve or serve
            return Done(message=f"The model {model} is being brought onto this machine already.")
        if self._nursery is None:
            raise NotReady("This node is starting or ending, and brings no models.")
        if len(self._running) >= self._settings.pulls:
            self._metrics.bound_hits.labels("pulls").inc()
            names = ", ".join(self._running)
            raise Overloaded(
                f"{len(self._running)} models are being brought already ({names}), as many as "
                "this node brings at once (engine.pulls): wait for one, or cancel it.",
                retry_after=_RETRY_SECONDS, recoverable=False,
            )  # fmt: skip
        one = self._running[model] = _UnderWay(model, serve)
        self._ended = [other for other in self._ended if other.model != model]
        self._nursery.start_soon(self._bring, one)
        return Done(message=f"The model {model} is being brought onto this machine.")

    def cancel(self, model: str) -> Done:
        """End one; it takes a second or two, and what the hub sent is kept for the next.

        Raises:
            InvalidRequest: it is not under way.
        """
        one = self._running.get(model)
        if one is None:
            raise InvalidRequest(f"No pull of {clip(model)} is under way.", param="model")
        one.unwanted.set()
        return Done(message=f"The pull of {model} ends.")

    # -- one -----------------------------------------------------------------------------------

    async def _bring(self, one: _UnderWay) -> None:
        log.info("bringing the model %s", one.model, extra={"model": one.model, "sign": "model"})
        try:
            await trio.to_thread.run_sync(self._blocking, one, limiter=self._limiter)
            await self._offer(one)
        except _Unwanted:
            one.state = "cancelled"
        except AiplatError as fault:
            one.state, one.error = "failed", str(fault)
        except Exception as fault:  # a node does not end for one model
            log.exception("a pull failed in an unforeseen way", extra={"model": one.model})
            one.state, one.error = (
                "failed",
                f"It failed in an unforeseen way ({clip(repr(fault))}).",
            )
        else:
            one.state = "done"
        finally:
            del self._running[one.model]
            self._ended = [*self._ended, one][-KEPT:]
        log.info("bringing the model %s: %s", one.model, one.error or one.state,
                 extra={"model": one.model, "state": one.state})  # fmt: skip

    def _blocking(self, one: _UnderWay) -> None:
        self._get(one.model, self._cache, one.progress, self._settings.pull_lock_seconds)

    async def _offer(self, one: _UnderWay) -> None:
        if not one.serve:
            return
        try:
            await self._serve(one.model)
        except AiplatError as fault:
            raise NotReady(f"It is on this machine, but is not offered: {fault}") from None
