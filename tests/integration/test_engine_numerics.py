"""In deterministic mode an answer is the same however it was cut, and whoever asks beside it."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from aiplat.domain.answers import Resume
from tests.integration.test_engine_process import answered, make, running, until
from tests.support.tiny_model import make_tiny_model
from tests.unit.engine.hearing import Heard, asking

torch = pytest.importorskip("torch")

HALF = "fbgemm" in torch.backends.quantized.supported_engines


@pytest.mark.parametrize("dtype", ["float32", "float16"] if HALF else ["float32"])
async def test_cut_anywhere_and_in_any_company(dtype: str, tmp_path: Path) -> None:
    folder = make_tiny_model(tmp_path / "tiny")
    engine = make(folder, tmp_path, dtype=dtype, deterministic=True)
    options = {"max_tokens": 40, "temperature": 0.9, "top_p": 0.95, "seed": 5}
    async with running(engine):
        whole = await answered(engine, "tell me", **options)
        assert whole.started.manifest.dtype == dtype
        for cut, company in ((1, 0), (17, 2), (39, 5), (24, 7)):
            others = [Heard() for _ in range(company)]
            for number, sink in enumerate(others):
                text = "other " * (3 * number + 1)
                engine.submit(asking(text, max_tokens=60, fairness=str(number)), sink)
            said = tuple(whole.ids[:cut])
            rest = await answered(engine, "tell me", resume=Resume(said), **options)
            assert [*said, *rest.ids] == whole.ids, (cut, company)
            assert whole.text.endswith(rest.text)
            assert rest.text or cut > 30  # a character may take the last tokens
            for sink in others:
                await until(partial(getattr, sink, "ended"))
