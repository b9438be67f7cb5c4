"""Several models on one processor, in real processes: on demand, by turns, and out of memory."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from msgspec.structs import replace

from aiplat.domain.answers import Queued
from aiplat.domain.errors import ConfigError, EngineFailed
from aiplat.engine.garage import Garage
from aiplat.engine.memory import OVERHEAD_MIB
from aiplat.engine.process import SLOTS_BACKEND, EngineProcess
from aiplat.engine.settings import EngineSettings
from aiplat.telemetry.metrics import Metrics
from tests.integration.test_engine_process import ROOT, alive, engine_pid, its_pid, until
from tests.support.tiny_model import make_tiny_model
from tests.unit.engine.hearing import Heard, asking

pytest.importorskip("torch")

ONE = OVERHEAD_MIB + 40
"""MiB: room for one tiny model and not for two."""
SETTINGS = EngineSettings(
    dtype="float32", device="cpu", slots=4, threads=1, restart_first_seconds=0.05, memory_mib=ONE,
    silence_seconds=60.0,
)  # fmt: skip


@asynccontextmanager
async def processor(
    tmp_path: Path, *names: str, backend: str = SLOTS_BACKEND, **changed: Any
) -> AsyncIterator[tuple[Garage, Metrics, list[EngineProcess]]]:
    settings, metrics = replace(SETTINGS, **changed), Metrics()
    garage = Garage(settings)
    engines = []
    for seed, name in enumerate(names):
        folder = make_tiny_model(tmp_path / name, seed=seed)
        log = tmp_path / f"{name}.log"
        engines.append(
            EngineProcess(name, folder, tmp_path / "cache", settings, log, metrics, backend, garage)
        )
    async with trio.open_nursery() as nursery:
        for engine in engines:
            await nursery.start(engine.run, lambda: None)
        yield garage, metrics, engines
        nursery.cancel_scope.cancel()


def counted(metrics: Metrics, name: str, model: str) -> float:
    """A counter's value, or a gauge's."""
    labels, base = {"model": model}, f"aiplat_engine_{name}"
    values = (metrics.registry.get_sample_value(full, labels) for full in (f"{base}_total", base))
    return next((value for value in values if value is not None), 0.0)


@pytest.mark.slow
async def test_two_models_in_the_room_of_one(tmp_path: Path) -> None:
    async with processor(tmp_path, "one", "two") as (garage, metrics, (one, two)):
        assert not one.offer().cold
        cold = two.offer()
        assert (cold.state, cold.cold, cold.slots) == ("loading", True, 4)
        assert cold.load_ms > 0
        await until(lambda: one.offer().state == "ready")

        long, waits = Heard(), Heard()
        request = one.submit(asking("long", max_tokens=400, credit=40), long)
        await until(lambda: bool(long.ids))
        two.submit(asking("hello", max_tokens=3), waits)
        await until(lambda: any("waits for room" in q.reason for q in queued(waits)))
        assert one.offer().state == "ready"  # it is at work, with a reader that takes its time
        assert not two.offer().cold
        request.cancel()
        await until(lambda: waits.ended)
        assert len(waits.ids) == 3
        reasons = [q.reason for q in queued(waits)]
        assert reasons[0] == "two is being loaded"
        assert queued(waits)[-1].expected_wait_ms > 0
        assert one.offer().cold
        assert garage.loaded == ["two"]
        assert counted(metrics, "unloads", "one") == counted(metrics, "loads", "two") == 1

        again = Heard()  # the way back takes as long as the last time
        one.submit(asking("hello", max_tokens=3), again)
        assert queued_ms(one) == round(1000 * counted(metrics, "load_seconds", "one")) > 0
        await until(lambda: again.ended)
        assert len(again.ids) == 3
        assert counted(metrics, "restarts", "one") == 0

        garage.reconfigure(replace(SETTINGS, threads=2, idle_seconds=0.2))
        pid = engine_pid()
        await until(lambda: not alive(pid))  # another process for other threads
        await until(lambda: one.offer().cold)  # and none at all once nobody asks
        assert garage.loaded == []


def queued(heard: Heard) -> list[Queued]:
    return [event for event in heard.events if isinstance(event, Queued)]


def queued_ms(engine: EngineProcess) -> int:
    return round(engine._stands.expected_seconds * 1000)


@pytest.mark.slow
async def test_memory_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{ROOT / 'src'}{os.pathsep}{ROOT}")
    backend = "tests.support.tiny_model:load_in_vain"
    async with processor(tmp_path, "large", backend=backend) as (_, metrics, (engine,)):
        heard = Heard()
        engine.submit(asking("anybody?"), heard)
        await until(lambda: heard.ended)
        assert heard.failed.recoverable
        assert f"models may take {ONE} MiB (engine.memory_mib)" in heard.failed.message
        assert "smaller model" in engine.offer().note
        assert engine.offer().state == "failed"
        assert "next try in 30 s" in engine.offer().note
        assert counted(metrics, "load_failures", "large") == 1
        with pytest.raises(LookupError):
            engine_pid()
    with pytest.raises(ConfigError, match=r"large takes \d+ MiB of memory, but models may take 9"):
        async with processor(tmp_path, "large", memory_mib=9):
            raise AssertionError("it came up")


@pytest.mark.parametrize("by_the_kernel", [True, False])
async def test_killed_while_it_loads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, by_the_kernel: bool
) -> None:
    kills = itertools.count() if by_the_kernel else itertools.repeat(7)
    monkeypatch.setattr("aiplat.engine.lives.killed_for_memory", lambda: next(kills))
    async with processor(tmp_path, "one") as (_, metrics, (engine,)):
        heard = Heard()
        engine.submit(asking("anybody?"), heard)
        os.kill(await its_pid(), signal.SIGKILL)
        await until(lambda: heard.ended)
        assert heard.failed.recoverable
        assert counted(metrics, "load_failures", "one") == 1
        if by_the_kernel:
            assert "not enough memory" in heard.failed.message
            with pytest.raises(EngineFailed, match="next try in 30 s"):
                engine.submit(asking("again?"), Heard())
        else:
            assert "was killed (SIGKILL)" in heard.failed.message
            await until(lambda: engine.offer().state == "ready")  # at once, and not in 30 s
