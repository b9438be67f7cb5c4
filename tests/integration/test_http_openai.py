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

from aiplat.domain.answers import Delta, Failed, Submission
from aiplat.domain.chat import Generate
from aiplat.domain.errors import ContextLengthExceeded, NoProcessor, ProcessorLost, RateLimited
from aiplat.domain.ids import is_request_id
from tests.support.fake_node import HOLD, TOKEN, Door, Step, open_door, started, words

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
            base_url=f"{door.url}/v1", api_key=key, max_retries=0, timeout=60
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


def numbered(submission: Submission) -> list[Step]:
    """Says which request it is, by its seed."""
    assert isinstance(submission.work, Generate)
    return words(f"choice {submission.work.sampling.seed}", " ends")


async def test_n_choices_whole_and_streamed(door: Door) -> None:
    door.node.answers.script = numbered
    door.node.answers.batched = False
    whole = await use(
        door,
        lambda client: client.chat.completions.create(
            model="echo", messages=PROMPT, n=3, seed=7, logprobs=True
        ),
    )
    texts = [choice.message.content for choice in whole.choices]
    assert texts == ["choice 7 ends", "choice 8 ends", "choice 9 ends"]
    assert [choice.index for choice in whole.choices] == [0, 1, 2]
    assert whole.usage is not None
    assert (whole.usage.prompt_tokens, whole.usage.completion_tokens) == (5, 6)
    asked = [asking.submission for asking in door.node.answers.asked]
    assert len({one.id for one in asked}) == 3
    assert all(is_request_id(one.id) for one in asked)
    chunks = await use(
        door,
        lambda client: list(
            client.chat.completions.create(
                model="echo", messages=PROMPT, n=3, seed=7, stream=True,
                stream_options={"include_usage": True},
            )
        ),
    )  # fmt: skip
    streamed = ["", "", ""]
    for chunk in chunks:
        for choice in chunk.choices:
            streamed[choice.index] += choice.delta.content or ""
    assert streamed == texts
    assert chunks[-1].usage == whole.usage


async def test_one_choice_that_fails_ends_them_all(door: Door) -> None:
    def one_fails(submission: Submission) -> list[Step]:
        assert isinstance(submission.work, Generate)
        if submission.work.sampling.seed == 2:
            return [started(), Failed.of(ProcessorLost("The processor fell silent for 3 s."))]
        return [started(), Delta((1,), "x"), HOLD]

    door.node.answers.script = one_fails
    with pytest.raises(openai.InternalServerError, match="fell silent"):
        await use(
            door,
            lambda client: client.chat.completions.create(
                model="echo", messages=PROMPT, n=3, seed=1
            ),
        )
    with trio.fail_after(60):
        for asking in (door.node.answers.asked[0], door.node.answers.asked[2]):
            await asking.cancelled.wait()


async def test_a_client_that_leaves_cancels_every_choice(door: Door) -> None:
    door.node.answers.script = lambda submission: [started(), Delta((1,), "x"), HOLD]

    def leave(client: openai.OpenAI) -> None:
        with client.chat.completions.create(
            model="echo", messages=PROMPT, n=2, stream=True
        ) as stream:
            next(iter(stream))

    await use(door, leave)
    with trio.fail_after(60):
        for asking in door.node.answers.asked:
            await asking.cancelled.wait()
    assert len(door.node.answers.asked) == 2


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
