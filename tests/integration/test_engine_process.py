"""The engine in its real process, with a tiny real model: answers, company, cancel, death."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio

from aiplat.domain.answers import Delta, Queued, Resume
from aiplat.domain.chat import Message
from aiplat.domain.errors import EngineFailed, InvalidRequest, Overloaded, UnsupportedParameter
from aiplat.engine.interface import Engine
from aiplat.engine.process import SLOTS_BACKEND, EngineProcess
from aiplat.engine.settings import EngineSettings
from aiplat.telemetry.metrics import Metrics
from tests.support.tiny_model import CONTEXT, HANGS, make_tiny_model
from tests.unit.engine.hearing import Heard, asking

pytest.importorskip("torch")

HANG = 120.0  # seconds: a limit for the test, no target
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("model") / "tiny")


def make(
    tiny: Path, tmp_path: Path, backend: str = SLOTS_BACKEND, **settings: Any
) -> EngineProcess:
    options = {
        "dtype": "float32", "device": "cpu", "slots": 12, "threads": 1,
        "restart_first_seconds": 0.05, "silence_seconds": 60.0, "hang_seconds": 60.0,
    }  # fmt: skip
    return EngineProcess(
        "tiny",
        tiny,
        tmp_path / "cache",
        EngineSettings(**{**options, **settings}),
        tmp_path / "logs" / "engine.log",
        Metrics(),
        backend,
    )


@asynccontextmanager
async def running(engine: Engine, *, ready: bool = True) -> AsyncIterator[Engine]:
    async with trio.open_nursery() as nursery:
        await nursery.start(engine.run, lambda: None)
        if ready:
            await until(lambda: engine.offer().state == "ready")
        yield engine
        nursery.cancel_scope.cancel()


async def until(condition: Callable[[], bool], seconds: float = HANG) -> None:
    with trio.fail_after(seconds):
        while not condition():  # what it looks at is in another process
            await trio.sleep(0.01)


async def answered(engine: Engine, text: str, **options: Any) -> Heard:
    heard = Heard()
    engine.submit(asking(text, **options), heard)
    await until(lambda: heard.ended)
    return heard


def engine_pid(parent: int | None = None) -> int:
    """The engine's process below `parent`, this process if None."""
    path = Path(f"/proc/{parent or os.getpid()}")
    for children in path.glob("task/*/children"):
        for child in map(int, children.read_text().split()):
            if b"aiplat.engine.worker" in Path(f"/proc/{child}/cmdline").read_bytes():
                return child
    raise LookupError("there is no engine")


async def its_pid() -> int:
    """Wait for the engine's process."""
    with trio.fail_after(HANG):
        while True:
            try:
                return engine_pid()
            except (LookupError, OSError):
                await trio.sleep(0.01)


def environment_of(pid: int) -> bytes:
    return Path(f"/proc/{pid}/environ").read_bytes()


def alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.trio
async def test_answers(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIPLAT_API_KEY", "sk-aip-secret")
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    async with running(make(tiny, tmp_path)) as engine:
        environment = environment_of(engine_pid())
        assert b"secret" not in environment
        assert b"GOMP_SPINCOUNT=30000" in environment

        await _exact_usage(engine)
        await _company_changes_nothing(engine)
        await _stop_strings_and_resume(engine)
        await _a_conversation_reads_what_is_new(engine)
        await _ten_at_once_interleave(engine)
        await _cancel_ends_at_once(engine)
        await _one_slow_reader(engine)
        await _refusals(engine)

        os.kill(engine_pid(), signal.SIGINT)  # a Ctrl-C in the terminal is the node's affair
        assert (await answered(engine, "still there?", max_tokens=3)).ids
        pid = engine_pid()
    assert not alive(pid)


async def _exact_usage(engine: Engine) -> None:
    heard = await answered(engine, "hello", temperature=0.0, max_tokens=40)
    manifest = heard.started.manifest
    assert manifest == engine.offer().manifest
    assert manifest.context == CONTEXT
    assert (manifest.name, manifest.dtype) == ("tiny", "float32")
    prompt = len("<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n")
    merged = sum(len(special) - 1 for special in ("<|im_start|>", "<|im_end|>", "<|im_start|>"))
    assert heard.started.prompt_tokens == prompt - merged - 2  # "he" and "er" are one token each
    assert heard.finished.reason == "length"
    assert heard.finished.usage.completion_tokens == len(heard.ids) == 40
    assert all(0 <= token < manifest.vocabulary for token in heard.ids)
    assert heard.finished.timings.total_ms >= heard.finished.timings.first_token_ms > 0


async def _company_changes_nothing(engine: Engine) -> None:
    """Greedy and seeded answers are the same alone and among others."""
    wanted = [
        {"temperature": 0.0},
        {"temperature": 1.0, "seed": 7},
        {"temperature": 0.7, "seed": -1, "repetition_penalty": 1.2, "top_k": 50, "logprobs": 2},
    ]
    alone = [await answered(engine, "same?", max_tokens=48, **options) for options in wanted]
    heard = [Heard() for _ in range(9)]
    for place, sink in enumerate(heard):
        text = "same?" if place < 3 else "another " * place
        engine.submit(asking(text, max_tokens=48, **wanted[place % 3]), sink)
    await until(lambda: all(sink.ended for sink in heard))
    assert alone[2].deltas[0].logprobs is not None
    for first, again in zip(alone, heard, strict=False):
        assert again.ids == first.ids
        assert again.text == first.text
    assert alone[1].ids != alone[2].ids
    unseeded = [await answered(engine, "same?", max_tokens=48, temperature=1.0) for _ in range(2)]
    assert unseeded[0].ids != unseeded[1].ids


async def _stop_strings_and_resume(engine: Engine) -> None:
    options = {"temperature": 1.0, "seed": 3, "max_tokens": 60}
    whole = await answered(engine, "go", **options)
    for cut in (1, 17, 59, 60):
        rest = await answered(engine, "go", resume=Resume(tuple(whole.ids[:cut])), **options)
        assert [*whole.ids[:cut], *rest.ids] == whole.ids
        assert whole.text.endswith(rest.text)
        assert rest.text or cut > 17
        assert rest.finished.reason == "length"
    stop = whole.text[20:24]
    at = whole.text.index(stop)
    stopped = await answered(engine, "go", stop=(stop,), **options)
    assert stopped.text == whole.text[:at]
    assert stopped.finished.reason == "stop"
    assert stopped.ids == whole.ids[: len(stopped.ids)]
    assert stopped.finished.usage.completion_tokens == len(stopped.ids)


async def _a_conversation_reads_what_is_new(engine: Engine) -> None:
    """Prefixes are reused within a tag and nowhere else, and change no answer."""
    text = "a long story to begin with, " * 8
    options = {"temperature": 1.0, "seed": 5, "max_tokens": 20}
    first = await answered(engine, text, fairness="a", **options)
    again = await answered(engine, text, fairness="a", **options)
    stranger = await answered(engine, text, fairness="b", **options)
    assert first.ids == again.ids == stranger.ids
    cached = [heard.finished.usage.cached_tokens for heard in (first, again, stranger)]
    assert cached == [0, first.started.prompt_tokens - 1, 0]
    metrics = engine._metrics.registry  # type: ignore[attr-defined]  # it is an EngineProcess
    hits = "aiplat_engine_prefix_hit_tokens_total"
    await until(lambda: (metrics.get_sample_value(hits, {"model": "tiny"}) or 0) >= cached[1])


async def _ten_at_once_interleave(engine: Engine) -> None:
    order: list[int] = []

    class Noted(Heard):
        def __init__(self, place: int) -> None:
            super().__init__()
            self.place = place

        def deliver(self, event: Any) -> None:
            super().deliver(event)
            if isinstance(event, Delta):
                order.append(self.place)

    heard = [Noted(place) for place in range(10)]
    for sink in heard:
        engine.submit(asking(f"number {sink.place}", max_tokens=100, seed=sink.place), sink)
    assert engine.offer().running + engine.offer().waiting == 10
    await until(lambda: all(sink.ended for sink in heard))
    first_end = min(len(order) - 1 - order[::-1].index(place) for place in range(10))
    assert set(order[:first_end]) == set(range(10))  # all spoke before the first had ended
    assert engine.offer().running == engine.offer().waiting == 0


async def _cancel_ends_at_once(engine: Engine) -> None:
    heard, other = Heard(), Heard()
    request = engine.submit(asking("cancel me", seed=1, max_tokens=400, credit=1000), heard)
    engine.submit(asking("not me", seed=2, max_tokens=30), other)
    await until(lambda: len(heard.ids) > 5)
    request.cancel()
    request.cancel()
    await until(lambda: heard.ended)
    assert heard.finished.reason == "cancelled"
    assert heard.finished.usage.completion_tokens == len(heard.ids) < 400
    await until(lambda: other.ended)
    assert len(other.ids) == 30


async def _one_slow_reader(engine: Engine) -> None:
    slow, other = Heard(), Heard()
    request = engine.submit(asking("slow", seed=3, max_tokens=40, credit=64), slow)
    engine.submit(asking("quick", seed=4, max_tokens=40), other)
    await until(lambda: other.ended)
    assert sum(delta.cost for delta in slow.deltas) <= 64
    assert not slow.ended
    request.accept(len(slow.ids), 10_000)
    await until(lambda: slow.ended)
    assert len(slow.ids) == 40
    late = await answered(engine, "too late", max_tokens=400, credit=8, deadline_ms=300)
    assert late.failed.code == "deadline_exceeded"


async def _refusals(engine: Engine) -> None:
    long = await answered(engine, "x" * 600, max_tokens=10)
    assert long.failed.code == "context_length_exceeded"
    assert str(CONTEXT) in long.failed.message
    much = await answered(engine, "x", max_tokens=CONTEXT)
    assert much.failed.param == "max_tokens"
    unlimited = await answered(engine, "x", logit_bias={"2": -100.0})  # no end by chance
    assert unlimited.finished.usage.total_tokens == CONTEXT  # what fits, when nothing is said
    with pytest.raises(UnsupportedParameter, match="n is 2"):
        engine.submit(asking("x", n=2), Heard())
    biased = await answered(engine, "x", logit_bias={"99999": 1.0})
    assert (biased.failed.code, biased.failed.param) == ("invalid_request", "logit_bias")
    work = msgspec.structs.replace(asking("x").work, tools=({"name": "now"},))
    heard = Heard()
    engine.submit(msgspec.structs.replace(asking("x"), work=work), heard)
    await until(lambda: heard.ended)
    assert (heard.failed.code, heard.failed.param) == ("unsupported_parameter", "tools")
    assert engine.offer().can == ("generate", "grammar")
    await _schemas_out_of_bounds(engine)
    work = msgspec.structs.replace(asking("x").work, messages=(Message("tool", "secret words"),))
    heard = Heard()
    engine.submit(msgspec.structs.replace(asking("x"), work=work), heard)
    await until(lambda: heard.ended)
    assert heard.failed.code == "invalid_request"
    assert "no tools here" in heard.failed.message


async def _schemas_out_of_bounds(engine: Engine) -> None:
    """They are refused by the node, before anything looks into them."""
    deep: dict[str, Any] = {"type": "array"}
    for _ in range(70):
        deep = {"type": "array", "items": deep}
    large = {"type": "object", "description": "x" * 300_000}
    for schema, number in ((deep, "64"), (large, "262144")):
        form = {"type": "json_schema", "schema": schema}
        for changes, param in (
            ({"grammar": form}, "response_format"),
            ({"tools": ({"name": "now", "parameters": schema},)}, "tools"),
        ):
            work = msgspec.structs.replace(asking("x").work, **changes)
            with pytest.raises(InvalidRequest, match=number) as refused:
                engine.submit(msgspec.structs.replace(asking("x"), work=work), Heard())
            assert refused.value.param == param


@pytest.mark.trio
async def test_while_it_loads(tiny: Path, tmp_path: Path) -> None:
    async with running(make(tiny, tmp_path, slots=2, max_waiting=2), ready=False) as engine:
        first, cancelled, late, last = Heard(), Heard(), Heard(), Heard()
        engine.submit(asking("first", max_tokens=3), first)
        request = engine.submit(asking("never", max_tokens=3), cancelled)
        engine.submit(asking("late", deadline_ms=50), late)
        assert first.events == []
        request.cancel()
        await until(lambda: cancelled.ended and late.ended)
        assert cancelled.finished.reason == "cancelled"
        assert late.failed.code == "deadline_exceeded"
        assert isinstance(first.events[0], Queued)
        assert "tiny is being loaded" in first.events[0].reason
        for _ in range(3):
            engine.submit(asking("more", max_tokens=3), Heard())
        with pytest.raises(Overloaded):
            engine.submit(asking("too many", max_tokens=3), last)
        await until(lambda: first.ended)
        assert len(first.ids) == 3


@pytest.mark.trio
async def test_who_fills_the_queue_makes_room_for_others(tiny: Path, tmp_path: Path) -> None:
    async with running(make(tiny, tmp_path, slots=1, max_waiting=3)) as engine:
        many = [Heard() for _ in range(4)]
        for sink in many:
            engine.submit(asking("many", max_tokens=400, fairness="many", credit=400), sink)
        await until(lambda: engine.offer().running == 1)
        with pytest.raises(Overloaded):
            engine.submit(asking("many", max_tokens=3, fairness="many"), Heard())
        other = Heard()
        engine.submit(asking("other", max_tokens=3, fairness="other"), other)
        await until(lambda: many[-1].ended)
        assert many[-1].failed.code == "overloaded"
        assert engine.offer().waiting == 3
        assert not any(sink.ended for sink in (*many[:-1], other))


@pytest.mark.trio
async def test_killed_and_frozen(tiny: Path, tmp_path: Path) -> None:
    engine = make(tiny, tmp_path)
    async with running(engine):
        for place, (how, cause) in enumerate(
            [(signal.SIGKILL, "SIGKILL"), (signal.SIGSTOP, "did not answer for 60 s")], 1
        ):
            heard, pid = Heard(), engine_pid()
            engine.submit(asking("long", max_tokens=400, credit=400), heard)
            await until(lambda heard=heard: len(heard.ids) > 3)  # type: ignore[misc]  # mypy
            os.kill(pid, how)
            if how == signal.SIGSTOP:
                _ages(engine, "_heard")
            await until(lambda heard=heard: heard.ended)  # type: ignore[misc]  # mypy
            assert heard.failed.code == "engine_failed"
            assert heard.failed.recoverable
            assert cause in heard.failed.message
            assert heard.failed.usage is not None
            assert heard.failed.usage.completion_tokens == len(heard.ids)
            assert not alive(pid)
            assert engine.offer().state == "loading"
            await until(lambda: engine.offer().state == "ready")
            assert (await answered(engine, "back", max_tokens=3)).ids
            assert _restarts(engine) == place


@pytest.mark.trio
async def test_hung_and_broken(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{ROOT / 'src'}{os.pathsep}{ROOT}")
    backend = "tests.support.tiny_model:load_hanging"
    engine = make(tiny, tmp_path, backend)
    async with running(engine):
        hung = Heard()
        engine.submit(asking("hang", max_tokens=3), hung)
        await until((tmp_path / "cache" / HANGS).exists)
        _ages(engine, "_stepped")
        await until(lambda: hung.ended)
        assert "made no step for 60 s" in hung.failed.message
        await until(lambda: engine.offer().state == "ready")
        broken = await answered(engine, "crash", max_tokens=3)
        assert broken.failed.code == "engine_failed"
        assert broken.failed.recoverable
        await until(lambda: _restarts(engine) == 2)
        await until(lambda: engine.offer().state == "ready")
        starved = await answered(engine, "starve", max_tokens=3)
        assert "ran out of memory in a step" in starved.failed.message
        assert starved.failed.recoverable
        await until(lambda: _restarts(engine) == 3)
        await until(lambda: engine.offer().state == "ready")
        assert (await answered(engine, "fine", max_tokens=3)).ids


def _ages(engine: EngineProcess, what: str) -> None:
    """Have the watch on its process believe that a minute more went by since `what`."""
    life = engine._lives.now
    assert life is not None
    setattr(life, what, getattr(life, what) - 61.0)


def _restarts(engine: EngineProcess) -> float:
    value = engine._metrics.registry.get_sample_value(
        "aiplat_engine_restarts_total", {"model": "tiny"}
    )
    return value or 0.0


@pytest.mark.trio
@pytest.mark.parametrize(
    ("says", "cause"),
    [
        (r"printf '\377\377\377\377rubbish'; sleep 60", "broke the protocol"),
        (r"printf '\000\000\000\005\310\000\000\000\000'; sleep 60", "unknown tag 200"),
        (r"printf '\000\000\000\006\014\000\000\000\011\200'; sleep 60", "broke the protocol"),
        ("exit 3", "ended by itself with status 3"),
    ],
)
async def test_rubbish_counts_as_its_death(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: str, cause: str
) -> None:
    fake = tmp_path / "python"
    fake.write_text(f"#!/bin/sh\n{says}\n")
    fake.chmod(fake.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(sys, "executable", str(fake))
    engine = make(tiny, tmp_path, restart_first_seconds=30.0)
    async with running(engine, ready=False):
        heard = Heard()
        engine.submit(asking("anybody?"), heard)
        await until(lambda: heard.ended)
        assert cause in heard.failed.message
        assert heard.failed.recoverable
        assert engine.offer().state == "failed"  # it never was ready, and waits 30 s
        assert cause in engine.offer().note
        with pytest.raises(EngineFailed, match="next try in 30 s"):
            engine.submit(asking("again?"), Heard())


@pytest.mark.trio
async def test_a_model_that_cannot_be_loaded(tmp_path: Path) -> None:
    broken = make_tiny_model(tmp_path / "broken")
    (broken / "config.json").write_text('{"model_type": "nonsense", "vocab_size": 9}')
    async with running(make(broken, tmp_path), ready=False) as engine:
        heard = Heard()
        engine.submit(asking("anybody?"), heard)
        await until(lambda: heard.ended)
        assert engine.offer().state == "failed"
        assert "max_position_embeddings" in engine.offer().note
        assert engine.offer().note in heard.failed.message
        with pytest.raises(LookupError):
            engine_pid()


NODE = """
import sys, trio
from pathlib import Path
from tests.integration.test_engine_process import asking, its_pid, make, running, Heard
async def main():
    tiny, tmp, ready = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] == "ready"
    async with running(make(tiny, tmp), ready=ready) as engine:
        pid = await its_pid()
        if ready:
            engine.submit(asking("long", max_tokens=450), Heard())
        else:
            await trio.sleep(float(sys.argv[4]))
        print(pid, flush=True)
        await trio.sleep_forever()
trio.run(main)
"""


@pytest.mark.trio
@pytest.mark.parametrize(("moment", "after"), [("ready", 0.0), ("loading", 0.0), ("loading", 0.7)])
async def test_its_node_is_killed(tiny: Path, tmp_path: Path, moment: str, after: float) -> None:
    path = f"{ROOT / 'src'}{os.pathsep}{ROOT}"
    command = [sys.executable, "-c", NODE, str(tiny), str(tmp_path), moment, str(after)]
    node = await trio.lowlevel.open_process(
        command, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": path}
    )
    try:
        with trio.fail_after(HANG):
            assert node.stdout is not None
            pid = int(await node.stdout.receive_some(100))
        assert alive(pid)
    finally:
        node.kill()
        await node.wait()
    await until(lambda: not alive(pid))
