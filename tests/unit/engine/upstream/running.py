"""An upstream's engines, running against a scripted server on a real socket."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import trio

from aiplat.domain.answers import Submission
from aiplat.engine.backends.upstream.address import parse_address
from aiplat.engine.backends.upstream.engine import UpstreamEngine
from aiplat.engine.backends.upstream.key import Key
from aiplat.engine.backends.upstream.server import Server
from aiplat.engine.backends.upstream.settings import UpstreamSettings
from aiplat.engine.backends.upstream.upstream import Upstream
from aiplat.telemetry.metrics import Metrics
from tests.unit.engine.hearing import Heard

SECONDS = 60.0


class Running:
    """The engines by name, those that came later with them."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self.engines: dict[str, UpstreamEngine] = {}
        self.metrics = Metrics()
        self._nursery = nursery
        self._changed = trio.Event()

    def add(self, engine: UpstreamEngine) -> None:
        self.engines[engine.name] = engine
        self._nursery.start_soon(engine.run, self._change)
        self._change()

    def _change(self) -> None:
        self._changed.set()

    async def until(self, check: Callable[[], object]) -> None:
        """Wait until the engines are as they should be."""
        with trio.fail_after(SECONDS):
            while not check():
                self._changed = trio.Event()
                await self._changed.wait()

    def state(self, name: str = "m") -> str:
        return self.engines[name].offer().state if name in self.engines else "unknown"

    def note(self, name: str = "m") -> str:
        return self.engines[name].offer().note

    async def ready(self, name: str = "m") -> UpstreamEngine:
        await self.until(lambda: self.state(name) == "ready")
        return self.engines[name]


@asynccontextmanager
async def running(
    url: str, *names: str, key: Key | None = None, **settings: Any
) -> AsyncIterator[Running]:
    """Serve the models of the server at `url`."""
    quick = {"refresh_seconds": 0.05, "retry_first_seconds": 0.02, "retry_most_seconds": 0.1}
    chosen = UpstreamSettings(**quick | settings)
    async with trio.open_nursery() as nursery:
        found = Running(nursery)
        server = Server(parse_address(url), key or Key(), chosen)
        upstream = Upstream(server, names, chosen, found.metrics)
        for engine in upstream.engines:
            found.add(engine)
        await nursery.start(upstream.run, found.add, found.engines.pop)
        yield found
        nursery.cancel_scope.cancel()


async def answered(engine: UpstreamEngine, submission: Submission) -> Heard:
    """The whole answer."""
    heard = Waited()
    engine.submit(submission, heard)
    assert heard.events == []  # never before `submit` returned
    await heard.end()
    return heard


class Waited(Heard):
    """A sink that can be waited for."""

    def __init__(self) -> None:
        super().__init__()
        self._news = trio.Event()

    def deliver(self, event: Any) -> None:
        super().deliver(event)
        self._news.set()

    async def until(self, check: Callable[[], object]) -> None:
        with trio.fail_after(SECONDS):
            while not check():
                self._news = trio.Event()
                await self._news.wait()

    async def end(self) -> None:
        await self.until(lambda: self.ended)
