"""An engine whose owner chose another bound: a new process, after the last answer of the old."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from aiplat.domain.answers import Queued
from tests.integration.test_engine_process import (
    engine_pid,
    environment_of,
    make,
    running,
    until,
)
from tests.support.tiny_model import make_tiny_model
from tests.unit.engine.hearing import Heard, asking

pytest.importorskip("torch")


@pytest.mark.slow
@pytest.mark.trio
async def test_other_threads_come_with_a_new_process_and_cost_no_request(tmp_path: Path) -> None:
    engine = make(make_tiny_model(tmp_path / "tiny"), tmp_path)
    same = engine._keeper.settings
    async with running(engine):
        engine._keeper.reconfigure(replace(same, restart_first_seconds=0.1))
        assert engine.offer().state == "ready", "nothing is otherwise"
        old, busy, later = engine_pid(), Heard(), Heard()
        request = engine.submit(asking("busy", seed=5, max_tokens=60, credit=64), busy)
        await until(lambda: len(busy.ids) > 3)
        engine._keeper.reconfigure(replace(same, threads=2))
        assert engine.offer().state == "loading", "gateways place elsewhere meanwhile"
        engine.submit(asking("later", max_tokens=3), later)
        await until(lambda: bool(later.events))
        assert isinstance(later.events[0], Queued)
        assert "started anew, with other settings" in later.events[0].reason
        assert (engine_pid(), busy.ended) == (old, False)
        request.accept(len(busy.ids), 10_000)
        await until(lambda: busy.ended and later.ended)
        assert (len(busy.ids), len(later.ids)) == (60, 3)
        assert engine_pid() != old
        assert b"OMP_NUM_THREADS=2" in environment_of(engine_pid())
        restarts = engine._metrics.registry.get_sample_value(
            "aiplat_engine_restarts_total", {"model": "tiny"}
        )
        assert not restarts, "it was no failure"
