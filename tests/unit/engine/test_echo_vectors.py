"""`echo` makes vectors of its tokens: deterministic, with credit, cancel, deadline and pace."""

from __future__ import annotations

import math
import struct
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from aiplat.domain.answers import Delta
from aiplat.domain.errors import ContextLengthExceeded, InvalidRequest
from aiplat.domain.usage import Usage
from aiplat.engine import pieces
from aiplat.engine.backends.echo import EchoEngine
from aiplat.engine.settings import EngineSettings
from aiplat.telemetry.metrics import Metrics
from tests.unit.engine.hearing import Heard
from tests.unit.engine.test_echo import running
from tests.unit.engine.test_vector_desk import embed

SIZE = 256  # bytes of a vector


def numbers(vector: bytes) -> tuple[float, ...]:
    return struct.unpack(f"<{len(vector) // 4}f", vector)


def cosine(one: bytes, other: bytes) -> float:
    return math.fsum(a * b for a, b in zip(numbers(one), numbers(other), strict=True))


def vectors(heard: Heard) -> list[bytes]:
    return [vector for delta in heard.deltas for vector in delta.vectors]


async def answered(engine: EchoEngine, *inputs: str, **more: Any) -> Heard:
    heard = Heard()
    engine.submit(embed(*inputs, **{"credit": 10**6} | more), heard)
    assert heard.events == []  # never before `submit` returned
    await wait_all_tasks_blocked()
    return heard


async def test_near_for_texts_that_share_words() -> None:
    async with running() as engine:
        heard = await answered(engine, "the cat sat", "the cat ran", "stock fell 3 %")
        again = await answered(engine, "the cat sat")
    cat, other, stock = vectors(heard)
    assert vectors(again) == [cat]
    assert all(abs(cosine(one, one) - 1) < 1e-6 for one in (cat, other, stock))
    assert cosine(cat, other) > cosine(cat, stock)
    tokens = sum(len(pieces.cut(text)) for text in ("the cat sat", "the cat ran", "stock fell 3 %"))
    assert heard.started.prompt_tokens == tokens
    assert heard.finished.usage == Usage(tokens, 0)
    assert engine.offer().can == ("generate", "embed")


async def test_fewer_numbers_are_the_first_ones() -> None:
    async with running() as engine:
        whole = numbers(vectors(await answered(engine, "one two three"))[0])
        cut = numbers(vectors(await answered(engine, "one two three", dimensions=40))[0])
    length = math.sqrt(sum(number * number for number in whole[:40]))
    assert cut == pytest.approx([number / length for number in whole[:40]], abs=1e-6)
    async with running() as engine:
        with pytest.raises(InvalidRequest, match="dimensions is 65"):
            engine.submit(embed("a", dimensions=65), Heard())


async def test_no_more_than_credit_at_once() -> None:
    async with running() as engine:
        heard = Heard()
        asking = engine.submit(embed(*"abcde", credit=2 * SIZE), heard)
        await wait_all_tasks_blocked()
        assert len(vectors(heard)) == 2
        asking.accept(2, 3 * SIZE)
        await wait_all_tasks_blocked()
        assert len(vectors(heard)) == 5
        assert heard.ended
        with pytest.raises(InvalidRequest, match="credit must be at least 512"):
            engine.submit(embed("a", credit=2 * SIZE - 1), Heard())


async def test_a_cancel_in_the_middle(autojump_clock: MockClock) -> None:
    async with running(rate=2.0) as engine:
        heard = Heard()
        asking = engine.submit(embed(*"abcdef", credit=10**6), heard)
        await trio.sleep(1.1)
        asking.cancel()
        await wait_all_tasks_blocked()
    assert len(vectors(heard)) == 2
    assert (heard.finished.reason, heard.finished.usage) == ("cancelled", Usage(6, 0))


async def test_its_pace_and_its_deadline(autojump_clock: MockClock) -> None:
    async with running(rate=2.0) as engine:
        heard = Heard()
        engine.submit(embed(*"abc", credit=10**6), heard)
        await trio.sleep(1.6)
        assert [type(event) for event in heard.events].count(Delta) == 3
        late = Heard()
        submission = embed(*"abcdef", credit=10**6).__replace__(deadline_ms=1200)
        engine.submit(submission, late)
        await trio.sleep(2)
    assert late.failed.code == "deadline_exceeded"
    assert "2 of its 6 vectors" in late.failed.message


async def test_what_does_not_fit() -> None:
    async with running(echo_context=16) as engine:
        with pytest.raises(ContextLengthExceeded, match="Text 1 of input has 20 tokens"):
            engine.submit(embed("a", "word" * 15), Heard())
        heard = await answered(engine, "word" * 15, truncate=True)
        assert heard.finished.usage == Usage(16, 0)


async def test_too_many_characters_are_counted_as_a_bound() -> None:
    metrics = Metrics()
    engine = EchoEngine(EngineSettings(embed_chars=4), 0.0, metrics)
    with pytest.raises(InvalidRequest, match=r"5 characters .* may have 4"):
        engine.submit(embed("abc", "de"), Heard())
    hits = metrics.registry.get_sample_value("aiplat_bound_hits_total", {"bound": "embed_chars"})
    assert hits == 1


async def test_others_wait_for_a_slot(autojump_clock: MockClock) -> None:
    async with running(rate=1.0, echo_slots=1) as engine:
        first, second = Heard(), Heard()
        engine.submit(embed("a", credit=10**6), first)
        waits = engine.submit(embed("b", credit=10**6), second)
        await trio.sleep(0.5)
        assert [type(event).__name__ for event in second.events] == ["Queued"]
        waits.cancel()
        await wait_all_tasks_blocked()
        assert second.finished.reason == "cancelled"
