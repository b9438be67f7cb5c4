"""Models that a node brings: a few at once, each told how far it is, and ended when unwanted."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from aiplat.domain.errors import ConfigError, InvalidRequest, NotReady, Overloaded
from aiplat.engine.settings import EngineSettings
from aiplat.engine.stages import Progress
from aiplat.runtime.pulls import KEPT, Pulls
from aiplat.telemetry.metrics import Metrics

_TICK = 0.01


class Hub:
    """Gets a model when a test lets it, telling again and again how far it is."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.fails: Exception | None = None
        self.got: list[str] = []
        self.offered: list[str] = []
        self.refuses: Exception | None = None

    def get(self, name: str, cache: Path, progress: Progress, lock_seconds: float) -> Path | None:
        progress("download", 0, 0)
        progress("download", 3, 7)
        while not self.go_on.wait(_TICK):
            progress("download", 0, 0)
        if self.fails is not None:
            raise self.fails
        self.got.append(name)
        return cache / name

    async def serve(self, name: str) -> None:
        if self.refuses is not None:
            raise self.refuses
        self.offered.append(name)


class Desk:
    def __init__(self, tmp_path: Path, hub: Hub) -> None:
        self.metrics = Metrics()
        self.pulls = Pulls(hub.get, tmp_path, EngineSettings(), self.metrics, hub.serve)

    async def until(self, model: str, state: str) -> None:
        with trio.fail_after(60):
            while (model, state) not in [(one.model, one.state) for one in self.pulls.told()]:
                await trio.sleep(_TICK)

    async def until_at(self, model: str, done: int) -> None:
        with trio.fail_after(60):
            while (model, done) not in [(one.model, one.done) for one in self.pulls.told()]:
                await trio.sleep(_TICK)


@asynccontextmanager
async def open_desk(tmp_path: Path, hub: Hub) -> AsyncIterator[Desk]:
    desk = Desk(tmp_path, hub)
    async with trio.open_nursery() as nursery:
        await nursery.start(desk.pulls.run)
        yield desk
        nursery.cancel_scope.cancel()


async def test_one_is_brought_and_offered_and_told_of(tmp_path: Path) -> None:
    hub = Hub()
    async with open_desk(tmp_path, hub) as desk:
        assert "is being brought" in desk.pulls.begin("org/a", serve=True).message
        await desk.until_at("org/a", 3)
        (told,) = desk.pulls.told()
        assert (told.state, told.stage, told.done, told.total) == ("running", "download", 3, 7)
        assert desk.pulls.any
        hub.go_on.set()
        await desk.until("org/a", "done")
        assert (hub.got, hub.offered, desk.pulls.any) == (["org/a"], ["org/a"], False)
        desk.pulls.begin("org/b", serve=False)
        await desk.until("org/b", "done")
        assert hub.offered == ["org/a"]
        assert [one.model for one in desk.pulls.told()] == ["org/b", "org/a"]


async def test_a_few_are_brought_at_once_and_one_more_is_told_whom_it_waits_for(
    tmp_path: Path,
) -> None:
    hub = Hub()
    async with open_desk(tmp_path, hub) as desk:
        desk.pulls.begin("org/a", serve=False)
        desk.pulls.begin("org/b", serve=False)
        with pytest.raises(Overloaded, match=r"org/a, org/b") as refused:
            desk.pulls.begin("org/c", serve=False)
        assert refused.value.retry_after
        assert desk.metrics.bound_hits.labels("pulls")._value.get() == 1
        assert "already" in desk.pulls.begin("org/a", serve=True).message  # one pull of a model
        hub.go_on.set()
        await desk.until("org/a", "done")
        await desk.until("org/b", "done")
        assert hub.offered == ["org/a"]
        desk.pulls.begin("org/c", serve=False)
        await desk.until("org/c", "done")


async def test_one_that_nobody_wants_ends_while_nothing_moves(tmp_path: Path) -> None:
    hub = Hub()
    async with open_desk(tmp_path, hub) as desk:
        desk.pulls.begin("org/a", serve=True)
        await desk.until_at("org/a", 3)
        desk.pulls.cancel("org/a")
        with pytest.raises(NotReady, match="being ended"):
            desk.pulls.begin("org/a", serve=True)
        await desk.until("org/a", "cancelled")
        assert (hub.got, hub.offered) == ([], [])
        with pytest.raises(InvalidRequest, match="No pull of org/a"):
            desk.pulls.cancel("org/a")
        hub.go_on.set()
        desk.pulls.begin("org/a", serve=True)
        await desk.until("org/a", "done")
        assert [one.state for one in desk.pulls.told()] == ["done"]  # the last try of each


@pytest.mark.parametrize("fault", [ConfigError("The disk is full."), ValueError("odd")])
async def test_why_one_failed_is_told_and_the_next_is_its_own(
    tmp_path: Path, fault: Exception
) -> None:
    hub = Hub()
    hub.fails = fault
    hub.go_on.set()
    async with open_desk(tmp_path, hub) as desk:
        desk.pulls.begin("org/a", serve=True)
        await desk.until("org/a", "failed")
        assert str(fault) in desk.pulls.told()[0].error
        hub.fails = None
        desk.pulls.begin("org/b", serve=True)
        await desk.until("org/b", "done")
        hub.refuses = ConfigError("It takes too much memory.")
        desk.pulls.begin("org/c", serve=True)
        await desk.until("org/c", "failed")
        assert desk.pulls.told()[0].error == (
            "It is on this machine, but is not offered: It takes too much memory."
        )


async def test_of_those_that_ended_the_last_are_told(tmp_path: Path) -> None:
    hub = Hub()
    hub.go_on.set()
    async with open_desk(tmp_path, hub) as desk:
        for n in range(KEPT + 2):
            desk.pulls.begin(f"org/{n}", serve=False)
            await desk.until(f"org/{n}", "done")
        assert [one.model for one in desk.pulls.told()] == [
            f"org/{n}" for n in range(KEPT + 1, 1, -1)
        ]


async def test_a_node_that_ends_ends_them(tmp_path: Path) -> None:
    hub = Hub()
    with trio.fail_after(60):
        async with open_desk(tmp_path, hub) as desk:
            desk.pulls.begin("org/a", serve=True)
            await desk.until_at("org/a", 3)
    assert hub.got == []
    with pytest.raises(NotReady, match="ending"):
        desk.pulls.begin("org/b", serve=True)
