"""The embedding model of the catalogue, pulled from the package index, in its real process."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trio

from aiplat.domain.answers import Submission
from aiplat.domain.errors import InvalidRequest, UnsupportedParameter
from aiplat.domain.usage import Usage
from aiplat.engine.catalogue import MINILM
from aiplat.engine.factory import make_engine
from aiplat.engine.interface import Engine
from aiplat.engine.settings import EngineSettings
from aiplat.telemetry.metrics import Metrics
from tests.integration.test_engine_process import HANG, running, until
from tests.unit.engine.hearing import Heard, asking
from tests.unit.engine.test_vector_desk import embed

pytest.importorskip("torch")
pytestmark = pytest.mark.model

# Of "This is an example sentence", as the model's authors print it (sbert.net, usage).
KNOWN = (
    6.76569119e-02, 6.34959713e-02, 4.87131625e-02, 7.93049634e-02, 3.74480337e-02,
    2.65279202e-03, 3.93749401e-02, -7.09848432e-03, 5.93614206e-02, 3.15370075e-02,
)  # fmt: skip
WINDOW = 512 * 1024
VECTOR = 4 * 384


@pytest.fixture
def engine(embedding_cache: Path, tmp_path: Path) -> Engine:
    settings = EngineSettings(device="cpu")
    return make_engine(MINILM.name, settings, embedding_cache, tmp_path, Metrics())


def texts(*inputs: str, credit: int = WINDOW, **more: Any) -> Submission:
    return embed(*inputs, credit=credit, **more)


async def heard_of(engine: Engine, submission: Submission) -> Heard:
    heard = Heard()
    engine.submit(submission, heard)
    await until(lambda: heard.ended)
    return heard


def vectors(heard: Heard) -> Any:
    return np.array([np.frombuffer(v, "<f4") for delta in heard.deltas for v in delta.vectors])


async def test_the_vectors_are_the_ones_that_its_authors_print(engine: Engine) -> None:
    assert engine.offer().can == ("embed",)
    async with running(engine):
        assert engine.offer().can == ("embed",)
        heard = await heard_of(engine, texts("This is an example sentence"))
    (vector,) = vectors(heard)
    assert vector.shape == (384,)
    assert vector[:10] == pytest.approx(KNOWN, abs=1e-4)
    assert float(np.linalg.norm(vector)) == pytest.approx(1.0, abs=1e-5)
    assert heard.finished.usage == Usage(7, 0)
    manifest = heard.started.manifest
    assert (manifest.weights, manifest.context) == (MINILM.member_sha256, 256)


async def test_what_is_alike_is_near(engine: Engine) -> None:
    async with running(engine):
        cat, kitten, stocks = vectors(await heard_of(engine, texts(
            "A cat sits on the mat", "A kitten is on the rug", "Stock markets fell",
        )))  # fmt: skip
    assert float(cat @ kitten) > 0.5 > 0.2 > float(cat @ stocks)


async def test_a_hundred_texts_are_as_each_alone(engine: Engine) -> None:
    inputs = [f"{'word ' * (number % 40)}and number {number}" for number in range(100)]
    async with running(engine):
        heard = await heard_of(engine, texts(*inputs))
        together = vectors(heard)
        assert together.shape == (100, 384)
        for place in (0, 1, 39, 57, 99):
            (alone,) = vectors(await heard_of(engine, texts(inputs[place])))
            assert float(alone @ together[place]) >= 0.99999


async def test_a_small_one_beside_a_large_one_comes_first_and_a_cancel_ends_that(
    engine: Engine,
) -> None:
    async with running(engine):
        large, small = Heard(), Heard()
        inputs = [f"{'many words of a long text ' * 30} {number}" for number in range(1000)]
        under_way = engine.submit(texts(*inputs), large)
        await until(lambda: len(large.deltas) > 0)
        engine.submit(texts("a short text"), small)
        await until(lambda: small.ended)
        assert not large.ended
        under_way.cancel()
        await until(lambda: large.ended)
        assert large.finished.reason == "cancelled"
        assert 0 < len(vectors(large)) < 330
        assert (await heard_of(engine, texts("and it goes on"))).finished.usage.prompt_tokens == 6


async def test_no_vector_comes_without_credit(engine: Engine) -> None:
    async with running(engine):
        heard = Heard()
        under_way = engine.submit(texts(*"abcde", credit=2 * VECTOR), heard)
        await until(lambda: len(vectors(heard)) == 2)
        under_way.accept(0, VECTOR)
        await until(lambda: len(vectors(heard)) == 3)
        under_way.accept(0, 2 * VECTOR)
        await until(lambda: heard.ended)
    assert len(vectors(heard)) == 5


@pytest.mark.parametrize(
    ("submission", "code", "words"),
    [
        (texts("word " * 300), "context_length_exceeded", "has 302 tokens, .* at most 256"),
        (texts("a", dimensions=64), "unsupported_parameter", "dimensions is 64"),
        (texts("a", dimensions=385), "invalid_request", "have 384 numbers"),
        (texts("a", credit=2 * VECTOR - 1), "invalid_request", "credit must be at least 3072"),
    ],
)
async def test_what_it_cannot_do(
    submission: Submission, code: str, words: str, engine: Engine
) -> None:
    async with running(engine):
        heard = await heard_of(engine, submission)
        assert heard.failed.code == code
        assert re.search(words, heard.failed.message), heard.failed.message


async def test_hostile_texts_are_texts_or_refused_and_it_goes_on(engine: Engine) -> None:
    hostile = ["\0" * 50, "\ud7ff\u202e[CLS][SEP][PAD]" * 5, "\n\t ", "🏳️‍🌈" * 30, "a" * 100_000]
    async with running(engine):
        assert len(vectors(await heard_of(engine, texts(*hostile)))) == 5
        long = await heard_of(engine, texts("世界" * 300_000, truncate=True))
        assert long.finished.usage == Usage(256, 0)
        refused = await heard_of(engine, texts("世界" * 300_000))
        assert "600002 tokens" in refused.failed.message
        with pytest.raises(InvalidRequest, match="1000001 characters"):
            engine.submit(texts("x" * 1_000_001), Heard())
        with pytest.raises(UnsupportedParameter, match="makes vectors and writes no text"):
            engine.submit(asking("hello"), Heard())
        with trio.fail_after(HANG):
            assert (await heard_of(engine, texts("still here"))).finished.reason == "stop"
