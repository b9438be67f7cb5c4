"""The official `openai` client, the door, a gateway and the embedded model in its process."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import openai
import pytest
import trio

from aiplat.domain.answers import Inference
from aiplat.domain.ids import PeerId
from aiplat.engine.catalogue import SMOLLM2
from aiplat.engine.factory import make_engine
from aiplat.engine.settings import EngineSettings
from aiplat.roles.gateway import Gateway
from aiplat.roles.processor import Processor
from aiplat.roles.settings import GatewaySettings
from aiplat.telemetry.metrics import Metrics
from tests.integration.test_engine_process import until
from tests.support.fake_node import TOKEN, FakeNode, open_door

pytestmark = [pytest.mark.model, pytest.mark.slow]

HERE = PeerId("12D3KooWHere")
Result = TypeVar("Result")


class RealNode(FakeNode):
    """A node whose gateway and processor are real."""

    def __init__(self, gateway: Gateway) -> None:
        super().__init__()
        self._gateway = gateway

    async def inference(self, peer: str = "") -> Inference:
        return self._gateway


@asynccontextmanager
async def asked_at(folder: Path, cache: Path) -> AsyncIterator[str]:
    """The address of a door behind which the model is ready."""
    metrics = Metrics()
    # Deterministic: only so an answer in company is bit for bit the one alone (decision 0008).
    settings = EngineSettings(device="cpu", deterministic=True)
    engine = make_engine(SMOLLM2.name, settings, cache, folder, metrics)
    gateway = Gateway(HERE, GatewaySettings(), metrics)
    processor = Processor(HERE, [engine], gateway)
    async with trio.open_nursery() as nursery, open_door(RealNode(gateway)) as door:
        await nursery.start(gateway.run)
        await nursery.start(processor.run)
        await until(lambda: engine.offer().state == "ready")
        yield door.url
        nursery.cancel_scope.cancel()


@pytest.mark.trio
async def test_logprobs_and_n(model_cache: Path, tmp_path: Path) -> None:
    async with asked_at(tmp_path, model_cache) as url:

        async def use(work: Callable[[openai.OpenAI], Result]) -> Result:
            def run() -> Result:
                with openai.OpenAI(
                    base_url=f"{url}/v1", api_key=TOKEN, max_retries=0, timeout=120
                ) as client:
                    return work(client)

            return await trio.to_thread.run_sync(run)

        await use(_logprobs)
        await use(_bias_and_penalties)
        await use(_choices)
        await use(_wrong)


def _create(client: openai.OpenAI, question: str, **options: Any) -> Any:
    return client.chat.completions.create(
        model=SMOLLM2.name, messages=[{"role": "user", "content": question}], **options
    )


def _logprobs(client: openai.OpenAI) -> None:
    question = "What is the capital of France?"
    whole = _create(client, question, temperature=0, logprobs=True, top_logprobs=5)
    (choice,) = whole.choices
    content = choice.logprobs.content
    assert "Paris" in choice.message.content
    assert "".join(one.token for one in content) == choice.message.content
    assert b"".join(bytes(one.bytes) for one in content).decode() == choice.message.content
    assert len(content) == whole.usage.completion_tokens - 1  # the end is a token, but no content
    for one in content:
        assert len(one.top_logprobs) == 5
        assert one.top_logprobs[0].token == one.token  # greedy
        assert one.top_logprobs[0].logprob == one.logprob <= 0
        assert sum(math.exp(top.logprob) for top in one.top_logprobs) <= 1.0001
    chunks = list(
        _create(client, question, temperature=0, logprobs=True, top_logprobs=5, stream=True)
    )
    told = [chunk.choices[0].logprobs for chunk in chunks if chunk.choices[0].logprobs]
    streamed = [one for logprobs in told for one in logprobs.content]
    assert [one.token for one in streamed] == [one.token for one in content]
    for one, other in zip(streamed, content, strict=True):
        assert one.logprob == other.logprob


def _bias_and_penalties(client: openai.OpenAI) -> None:
    say = "Say only the word: yes"
    plain = _create(client, say, temperature=0, max_tokens=2, logprobs=True)
    forced = _create(client, say, temperature=0, max_tokens=2, logit_bias={"14085": 100})
    assert forced.choices[0].message.content != plain.choices[0].message.content
    count = "Repeat the word 'very' a hundred times: very very very very very very"
    often = _create(client, count, temperature=0, max_tokens=24).choices[0].message.content
    rarely = _create(client, count, temperature=0, max_tokens=24, frequency_penalty=2)
    assert rarely.choices[0].message.content.count("very") < often.count("very")


def _choices(client: openai.OpenAI) -> None:
    question = "Tell me a short story about a fox and the sea, and let it end well."
    options = {"temperature": 1.0, "max_tokens": 8}
    several = _create(client, question, n=3, seed=7, **options)
    texts = [choice.message.content for choice in several.choices]
    assert len(set(texts)) == 3
    # Each is what it would be alone.
    single = [_create(client, question, seed=7 + place, **options) for place in range(3)]
    assert [one.choices[0].message.content for one in single] == texts
    alone = single[-1]
    assert alone.usage.prompt_tokens == several.usage.prompt_tokens
    assert alone.usage.prompt_tokens_details.cached_tokens == several.usage.prompt_tokens - 1
    assert several.usage.completion_tokens == 24


def _wrong(client: openai.OpenAI) -> None:
    for options, param in (
        ({"n": 17}, "n"),
        ({"logit_bias": {"49152": 1}}, "logit_bias"),
        ({"max_tokens": 9000}, "max_tokens"),
        ({"extra_body": {"min_p": 2}}, "min_p"),
    ):
        with pytest.raises(openai.BadRequestError) as refused:
            _create(client, "Hello", **options)
        assert refused.value.param == param
