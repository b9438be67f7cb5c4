"""A real engine's process as the series see it: its memory, its work, and its absence."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiplat.runtime.machine_readings import MachineReadings, pids_of
from aiplat.series.seen import Reading
from tests.integration.test_engine_process import answered, engine_pid, make, running, until
from tests.support.tiny_model import make_tiny_model

pytest.importorskip("torch")

MIB = 1024 * 1024


@pytest.mark.slow
async def test_an_engines_process_is_looked_at_while_it_runs(tmp_path: Path) -> None:
    engine = make(make_tiny_model(tmp_path / "tiny"), tmp_path)
    told: list[Reading] = []
    readings = MachineReadings(lambda: pids_of([engine]), told.append, 15.0)
    assert pids_of([engine]) == {}
    async with running(engine):
        assert pids_of([engine]) == {"tiny": engine_pid()}
        await readings.look()
        await answered(engine, "hello", max_tokens=20)
        await readings.look()
    first, second = told
    assert (first.part, first.name, first.busy) == ("engine", "tiny", None)
    assert 50 * MIB < second.memory_bytes < 4096 * MIB, "with torch in it"
    assert second.busy is not None and 0 < second.busy < 64
    await until(lambda: pids_of([engine]) == {})
    await readings.look()
    assert len(told) == 2
