"""The official `openai` client against the real door."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import TypeVar

import httpx
import openai
import pytest
import trio
from openai.types.chat import ChatCompletionMessageParam

from aiplat.domain.answers import Delta, Failed
from aiplat.domain.errors import ContextLengthExceeded, NoProcessor, ProcessorLost, RateLimited
from tests.support.fake_node import HOLD, TOKEN, Door, open_door, started

Result = TypeVar("Result")
PROMPT: list[ChatCompletionMessageParam] = [{"role": "user", "content": "one two three"}]


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    async with open_door() as opened:
        yield opened


async def use(door: Door, work: Callable[[openai.OpenAI], Result], *, key: str = TOKEN) -> Result:
    """Let the blocking client work in a thread."""

    def run() -> Result:
        with openai.OpenAI(
            base_url=f"{door.url}/v1", api_key=key, max_retries=0, timeout=10
        ) as client:
            return work(client)

    return await trio.to_thread.run_sync(run)


async def test_it_lists_models(door: Door) -> None:
    models = await use(door, lambda client: list(client.models.list()))
    assert [model.id for model in models] == ["echo", "org/large"]
    one = await use(door, lambda client: client.models.retrieve("org/large"))
    assert one.id == "org/large"


async def test_it_asks(door: Door) -> None:
    answer = await use(
        door,
        lambda client: client.chat.completions.with_raw_response.create(
            model="echo", messages=PROMPT, max_tokens=5
        ),
    )
    completion = answer.parse()
    assert completion.choices[0].message.content == "one two three "
    assert completion.choices[0].finish_reason == "stop"
    assert completion.usage is not None
    assert completion.usage.total_tokens == 8
    (asking,) = door.node.answers.asked
    assert answer.headers["x-request-id"] == asking.submission.id


async def test_it_streams_the_same_text_with_the_usage_last(door: Door) -> None:
    door.node.answers.batched = False
    chunks = await use(
        door,
        lambda client: list(
            client.chat.completions.create(
                model="echo", messages=PROMPT, stream=True, stream_options={"include_usage": True}
            )
        ),
    )
    *parts, last = chunks
    assert parts[0].choices[0].delta.role == "assistant"
    assert "".join(part.choices[0].delta.content or "" for part in parts) == "one two three "
    assert [part.choices[0].finish_reason for part in parts][-2:] == [None, "stop"]
    assert all(part.usage is None for part in parts)
    assert last.choices == []
    assert last.usage is not None
    assert last.usage.completion_tokens == 3


async def test_a_wrong_key(door: Door) -> None:
    with pytest.raises(openai.AuthenticationError, match="aiplat env") as caught:
        await use(door, lambda client: client.models.list(), key="sk-wrong")
    assert caught.value.code == "invalid_api_key"


def create(client: openai.OpenAI, *, stream: bool) -> None:
    client.chat.completions.create(model="echo", messages=PROMPT, stream=stream)


@pytest.mark.parametrize(
    ("error", "leaf"),
    [
        (ContextLengthExceeded.of(5000, 0, 4096), openai.BadRequestError),
        (RateLimited("Slow down.", retry_after=3), openai.RateLimitError),
        (NoProcessor("No processor serves it."), openai.InternalServerError),
    ],
)
async def test_an_error_before_the_first_token_has_its_status(
    door: Door, error: NoProcessor, leaf: type[openai.APIStatusError]
) -> None:
    door.node.answers.script = lambda submission: [started(), Failed.of(error)]
    for stream in (False, True):
        with pytest.raises(leaf) as caught:
            await use(door, partial(create, stream=stream))
        assert caught.value.code == error.code
        assert str(error) in str(caught.value)


async def test_an_error_after_the_first_token_ends_the_stream_as_an_error(door: Door) -> None:
    lost = ProcessorLost("The processor fell silent for 3 s.")
    door.node.answers.script = lambda submission: [
        started(), Delta((1,), "one "), HOLD, Failed.of(lost),
    ]  # fmt: skip
    seen: list[str | None] = []

    def read(client: openai.OpenAI) -> None:
        stream = client.chat.completions.create(model="echo", messages=PROMPT, stream=True)
        for chunk in stream:
            seen.append(chunk.choices[0].delta.content)
            if len(seen) == 2:
                trio.from_thread.run_sync(door.node.answers.asked[0].release)

    with pytest.raises(openai.APIError, match="fell silent"):
        await use(door, read)
    assert seen == ["", "one "]


async def test_the_raw_bytes_of_such_an_end(door: Door) -> None:
    lost = ProcessorLost("Gone.")
    door.node.answers.script = lambda submission: [started(), Delta((1,), "x"), Failed.of(lost)]
    body = {"messages": PROMPT, "stream": True}
    async with httpx.AsyncClient(base_url=door.url, headers=door.headers) as client:
        answer = await client.post("/v1/chat/completions", json=body)
    assert answer.status_code == 200
    last = answer.text.removesuffix("\n\n").rpartition("\n\n")[2]
    assert last == (
        'data: {"error":{"message":"Gone.","type":"api_error","param":null,'
        '"code":"processor_lost"}}'
    )
    assert "[DONE]" not in answer.text
