"""`echo`: the bench's model obeys credit, cancel, deadline and pace like any other."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from aiplat.domain.answers import Finished, Queued, Resume, Submission
from aiplat.domain.errors import (
    ContextLengthExceeded,
    InvalidRequest,
    Overloaded,
    UnsupportedParameter,
)
from aiplat.domain.usage import Usage
from aiplat.engine import pieces
from aiplat.engine.backends.echo import EchoEngine
from aiplat.engine.settings import EngineSettings
from tests.unit.engine.hearing import Heard, asking

TEXT = "one two three four five"


@asynccontextmanager
async def running(
    rate: float = 0.0, on_change: Callable[[], None] = lambda: None, **settings: Any
) -> AsyncIterator[EchoEngine]:
    engine = EchoEngine(EngineSettings(**settings), rate)
    async with trio.open_nursery() as nursery:
        await nursery.start(engine.run, on_change)
        yield engine
        nursery.cancel_scope.cancel()


async def answered(engine: EchoEngine, submission: Submission) -> Heard:
    heard = Heard()
    engine.submit(submission, heard)
    assert heard.events == []  # never before `submit` returned
    await wait_all_tasks_blocked()
    return heard


@pytest.mark.trio
async def test_says_the_prompt_once_and_exactly() -> None:
    text = "Grüße, 世界! 🚀\n\ttwo  spaces"
    async with running() as engine:
        heard = await answered(engine, asking(text))
    started, end = heard.started, heard.finished
    assert started.prompt_tokens == len(pieces.cut(text))
    assert started.manifest == engine.offer().manifest
    assert heard.text == text == pieces.decode(heard.ids)
    assert end.reason == "stop"
    assert end.usage.prompt_tokens == end.usage.completion_tokens == len(heard.ids)


@pytest.mark.trio
async def test_says_it_over_and_over_up_to_max_tokens() -> None:
    async with running() as engine:
        heard = await answered(engine, asking(TEXT, max_tokens=100))
    assert heard.finished.reason == "length"
    assert len(heard.ids) == 100 == heard.finished.usage.completion_tokens
    assert heard.text == (TEXT * 30)[: len(heard.text)]


@pytest.mark.trio
async def test_stop_string_across_tokens() -> None:
    async with running() as engine:
        heard = await answered(engine, asking(TEXT, max_tokens=1000, stop=("three f",)))
    assert heard.text == "one two "
    assert heard.finished.reason == "stop"
    assert heard.finished.usage.completion_tokens == len(heard.ids)


@pytest.mark.trio
async def test_no_more_than_credit_and_others_go_on() -> None:
    async with running() as engine:
        stalled, other = Heard(), Heard()
        request = engine.submit(asking(TEXT, max_tokens=200, credit=100), stalled)
        engine.submit(asking(TEXT, max_tokens=50), other)
        await wait_all_tasks_blocked()
        assert sum(delta.cost for delta in stalled.deltas) == 100
        assert other.ended
        for _ in range(100):
            request.accept(0, 64)
            await wait_all_tasks_blocked()
        assert stalled.ended
        assert len(stalled.ids) == 200
        assert stalled.text == (TEXT * 60)[: len(stalled.text)] == pieces.decode(stalled.ids)


@pytest.mark.trio
async def test_pace_and_deadline(autojump_clock: MockClock) -> None:
    async with running(rate=10.0) as engine:
        heard, late = Heard(), Heard()
        engine.submit(asking(TEXT, max_tokens=20), heard)
        engine.submit(asking(TEXT, max_tokens=20, deadline_ms=1050), late)
        await trio.sleep(1.95)
        assert not heard.ended
        await trio.sleep(0.1)
        assert heard.finished.timings.total_ms == pytest.approx(2000, abs=10)
        assert len(late.ids) == 10
        assert late.failed.code == "deadline_exceeded"
        assert late.failed.usage == Usage(len(pieces.cut(TEXT)), 10)
        assert len(heard.deltas) == 20


@pytest.mark.trio
async def test_cancel_at_once_and_no_token_after(autojump_clock: MockClock) -> None:
    async with running(rate=10.0) as engine:
        heard = Heard()
        request = engine.submit(asking(TEXT, max_tokens=20), heard)
        await trio.sleep(0.55)
        request.cancel()
        await wait_all_tasks_blocked()
        assert heard.finished.reason == "cancelled"
        assert heard.finished.usage.completion_tokens == len(heard.ids) == 5
        request.cancel()
        await trio.sleep(5)
        assert sum(isinstance(event, Finished) for event in heard.events) == 1


@pytest.mark.trio
async def test_slots_queue_and_refusal() -> None:
    changes = []
    async with running(echo_slots=1, max_waiting=1, on_change=lambda: changes.append(1)) as engine:
        first, second = Heard(), Heard()
        request = engine.submit(asking(TEXT, credit=0), first)
        engine.submit(asking(TEXT), second)
        with pytest.raises(Overloaded) as refused:
            engine.submit(asking(TEXT), Heard())
        assert refused.value.retry_after is not None
        await wait_all_tasks_blocked()
        assert (engine.offer().running, engine.offer().waiting) == (1, 1)
        assert isinstance(second.events[0], Queued)
        request.cancel()
        await wait_all_tasks_blocked()
        assert second.text == TEXT
        assert (engine.offer().running, engine.offer().waiting) == (0, 0)
        assert changes


@pytest.mark.trio
async def test_a_waiting_request_has_its_deadline(autojump_clock: MockClock) -> None:
    async with running(echo_slots=1) as engine:
        engine.submit(asking(TEXT, credit=0), Heard())
        heard = Heard()
        engine.submit(asking(TEXT, deadline_ms=2000), heard)
        await trio.sleep(2.01)
        assert "2 s" in heard.failed.message


@pytest.mark.trio
@pytest.mark.parametrize("cut", [0, 1, 3, 5])
@pytest.mark.parametrize("stop", [(), ("fiveone",)])
async def test_goes_on_after_resume(cut: int, stop: tuple[str, ...]) -> None:
    async with running() as engine:
        whole = await answered(engine, asking(TEXT, max_tokens=30, stop=stop))
        said = tuple(whole.ids[:cut])
        rest = await answered(engine, asking(TEXT, max_tokens=30, stop=stop, resume=Resume(said)))
    assert [*said, *rest.ids] == whole.ids
    assert whole.text.endswith(rest.text)
    assert rest.text
    assert rest.finished.reason == whole.finished.reason == ("stop" if stop else "length")


@pytest.mark.trio
async def test_it_is_sure_of_each_token_and_the_credit_pays_for_saying_so() -> None:
    wanted = {"logprobs": 2, "top_k": 5, "presence_penalty": 1.0}  # of one token nothing is left
    async with running() as engine:
        plain = await answered(engine, asking(TEXT))
        heard = await answered(engine, asking(TEXT, **wanted))
        slow = Heard()
        request = engine.submit(asking(TEXT, credit=400, **wanted), slow)
        await wait_all_tasks_blocked()
        assert 0 < sum(delta.cost for delta in slow.deltas) <= 400
        request.accept(0, 100_000)
        await wait_all_tasks_blocked()
    for got in (heard, slow):
        assert (got.ids, got.text) == (plain.ids, plain.text)
        told = [one for delta in got.deltas if delta.logprobs for one in delta.logprobs.tokens]
        assert [(one.id, one.logprob) for one in told] == [(token, 0.0) for token in got.ids]
        assert "".join(one.text for one in told) == TEXT


@pytest.mark.trio
async def test_refusals() -> None:
    async with running(echo_context=16) as engine:
        with pytest.raises(ContextLengthExceeded, match="19"):
            engine.submit(asking("word" * 5, max_tokens=12), Heard())
        with pytest.raises(UnsupportedParameter) as refused:
            engine.submit(asking(TEXT, n=2), Heard())
        assert refused.value.param == "n"
        with pytest.raises(InvalidRequest):
            engine.submit(asking(TEXT, resume=Resume((2**40,))), Heard())


@pytest.mark.trio
async def test_an_empty_prompt_ends_at_once() -> None:
    async with running() as engine:
        heard = await answered(engine, asking("", max_tokens=10))
    assert heard.finished.usage == Usage(0, 0)


@pytest.mark.trio
async def test_the_end_of_the_engine_is_told() -> None:
    heard = Heard()
    async with running() as engine:
        engine.submit(asking(TEXT, credit=0), heard)
        await wait_all_tasks_blocked()
    assert heard.failed.code == "shutting_down"


def _asks(**work: Any) -> Submission:
    whole = asking(TEXT)
    return msgspec.structs.replace(whole, work=msgspec.structs.replace(whole.work, **work))


@pytest.mark.trio
async def test_the_stop_string_is_told() -> None:
    async with running() as engine:
        stopped = await answered(engine, asking(TEXT, max_tokens=1000, stop=("zzz", "three f")))
        free = await answered(engine, asking(TEXT, max_tokens=3, stop=("zzz",)))
    assert stopped.finished.stop == "three f"
    assert free.finished.stop == ""


@pytest.mark.trio
async def test_a_bare_prompt_is_said_and_a_count_says_nothing() -> None:
    async with running() as engine:
        bare = await answered(engine, _asks(messages=(), prompt="Once upon a time"))
        counted = await answered(engine, _asks(only_count=True))
        whole = await answered(engine, asking(TEXT))
    assert bare.text == "Once upon a time"
    assert counted.started == whole.started
    assert counted.deltas == []
    assert counted.finished.usage == Usage(0, 0)
    assert counted.finished.reason == "stop"


@pytest.mark.trio
async def test_tools_and_forms_are_refused_by_name() -> None:
    async with running() as engine:
        for work, param in (
            ({"tools": ({"name": "now"},)}, "tools"),
            ({"grammar": {"type": "json_object"}}, "response_format"),
        ):
            with pytest.raises(UnsupportedParameter, match="echo") as refused:
                engine.submit(_asks(**work), Heard())
            assert refused.value.param == param
        none = await answered(engine, _asks(tools=({"name": "now"},), tool_choice="none"))
    assert none.text == TEXT
