"""The official `openai` client against the real door: completions, embeddings, models."""

from __future__ import annotations

import base64
import struct
from collections.abc import AsyncIterator
from typing import Any

import httpx
import openai
import pytest
import trio

from aiplat.domain.answers import Delta, Failed, Submission
from aiplat.domain.chat import Embed, Generate
from aiplat.domain.errors import ContextLengthExceeded, RateLimited
from tests.support.fake_node import HOLD, Door, Step, open_door, started, words
from tests.support.openai_client import use
from tests.support.openai_schema import Completion, CreateEmbeddingResponse, Model, check


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    async with open_door() as opened:
        opened.node.answers.batched = False
        yield opened


def complete(client: openai.OpenAI, **options: Any) -> Any:
    return client.completions.create(**({"model": "echo", "prompt": "one two"} | options))


# -- completions -------------------------------------------------------------------------------


async def test_it_completes(door: Door) -> None:
    answer = await use(door.url, complete)
    check(Completion, answer.model_dump(exclude_unset=True))
    assert answer.choices[0].text == "one two "
    assert answer.usage.total_tokens == 7
    (asking,) = door.node.answers.asked
    work = asking.submission.work
    assert isinstance(work, Generate)
    assert (work.prompt, work.messages, work.sampling.max_tokens) == ("one two", (), 16)


def numbered(submission: Submission) -> list[Step]:
    """Says which prompt and which choice of it, by its seed."""
    assert isinstance(submission.work, Generate)
    return words(f"{submission.work.prompt}{submission.work.sampling.seed}", " ends")


async def test_several_prompts_and_choices_whole_and_streamed(door: Door) -> None:
    door.node.answers.script = numbered
    options = {"prompt": ["a", "b"], "n": 2, "seed": 7, "echo": True}
    whole = await use(door.url, lambda client: complete(client, **options))
    texts = ["aa7 ends", "aa8 ends", "bb7 ends", "bb8 ends"]
    assert [choice.text for choice in whole.choices] == texts
    assert [choice.index for choice in whole.choices] == [0, 1, 2, 3]
    assert (whole.usage.prompt_tokens, whole.usage.completion_tokens) == (10, 8)
    ids = [one.submission.id for one in door.node.answers.asked]
    assert [one.submission.beside for one in door.node.answers.asked] == ["", ids[0], "", ids[2]]
    chunks = await use(
        door.url,
        lambda client: list(
            complete(client, **options, stream=True, stream_options={"include_usage": True})
        ),
    )
    streamed = [""] * 4
    for chunk in chunks:
        for choice in chunk.choices:
            streamed[choice.index] += choice.text
    assert streamed == texts
    assert chunks[-1].usage == whole.usage


async def test_a_prompt_over_the_context_names_the_prompt(door: Door) -> None:
    error = ContextLengthExceeded.of(5000, 16, 4096)
    door.node.answers.script = lambda submission: [started(), Failed.of(error)]
    for stream in (False, True):
        with pytest.raises(openai.BadRequestError) as caught:
            await use(door.url, lambda client, s=stream: complete(client, stream=s))  # type: ignore[misc]  # the loop's own value
        assert caught.value.param == "prompt"
        assert caught.value.code == "context_length_exceeded"


async def test_an_answer_over_the_context_names_the_field_that_was_sent(door: Door) -> None:
    error = ContextLengthExceeded.of(4000, 200, 4096)
    door.node.answers.script = lambda submission: [started(), Failed.of(error)]
    prompt: Any = [{"role": "user", "content": "hi"}]
    with pytest.raises(openai.BadRequestError, match="Set max_completion_tokens to") as caught:
        await use(
            door.url,
            lambda client: client.chat.completions.create(
                model="echo", messages=prompt, max_completion_tokens=200
            ),
        )
    assert caught.value.param == "max_completion_tokens"


async def test_a_client_that_leaves_cancels_every_choice(door: Door) -> None:
    door.node.answers.script = lambda submission: [started(), Delta((1,), "x"), HOLD]

    def leave(client: openai.OpenAI) -> None:
        with complete(client, prompt=["a", "b"], stream=True) as stream:
            next(iter(stream))

    await use(door.url, leave)
    assert len(door.node.answers.asked) == 2
    with trio.fail_after(60):
        for asking in door.node.answers.asked:
            await asking.cancelled.wait()


async def test_the_raw_bytes_of_a_stream(door: Door) -> None:
    body = {"model": "echo", "prompt": "one", "stream": True}
    async with httpx.AsyncClient(base_url=door.url, headers=door.headers) as client:
        answer = await client.post("/v1/completions", json=body)
    assert answer.headers["content-type"].startswith("text/event-stream")
    lines = answer.text.removesuffix("\n\n").split("\n\n")
    assert all(line.startswith("data: ") for line in lines)
    assert lines[-1] == "data: [DONE]"


# -- embeddings --------------------------------------------------------------------------------


def embed(client: openai.OpenAI, texts: Any, **options: Any) -> Any:
    return client.embeddings.create(model="echo", input=texts, **options)


async def test_vectors_as_the_client_asks_for_them_by_default(door: Door) -> None:
    """It sends ``base64`` by itself, and gives numbers."""
    answer = await use(door.url, lambda client: embed(client, ["one", "three"]))
    assert [one.embedding for one in answer.data] == [[3.0, 1.0], [5.0, 1.0]]
    assert [one.index for one in answer.data] == [0, 1]
    assert answer.usage.prompt_tokens == answer.usage.total_tokens == 5
    (asking,) = door.node.answers.asked
    assert asking.submission.work == Embed(("one", "three"))


async def test_both_ways_to_write_numbers(door: Door) -> None:
    async with httpx.AsyncClient(base_url=door.url, headers=door.headers) as client:
        for written in ("float", "base64", None):
            body = {"model": "echo", "input": "one", "encoding_format": written}
            answer = (await client.post("/v1/embeddings", json=body)).json()
            check(CreateEmbeddingResponse, answer) if written != "base64" else None
            (one,) = answer["data"]
            vector = one["embedding"]
            if written == "base64":
                vector = list(struct.unpack("<2f", base64.b64decode(vector)))
            assert vector == [3.0, 1.0]


async def test_as_many_texts_as_may_be_are_written_off_the_loop(door: Door) -> None:
    long = struct.pack("<256f", *([0.5] * 256))

    def many(submission: Submission) -> list[Step]:
        assert isinstance(submission.work, Embed)
        vectors: list[Step] = [Delta(vectors=(long,)) for _ in submission.work.inputs]
        return [started(), *vectors, words()[-1]]

    door.node.answers.script = many
    answer = await use(
        door.url, lambda client: embed(client, ["x"] * 2048, encoding_format="float")
    )
    assert len(answer.data) == 2048
    assert [one.index for one in answer.data] == list(range(2048))
    assert answer.data[-1].embedding == [0.5] * 256


async def test_a_processor_that_gives_too_few_vectors_failed(door: Door) -> None:
    door.node.answers.script = lambda submission: [started(), words()[-1]]
    with pytest.raises(openai.InternalServerError, match="1 texts") as caught:
        await use(door.url, lambda client: embed(client, "one"))
    assert (caught.value.status_code, caught.value.code) == (502, "engine_failed")


@pytest.mark.parametrize("texts", [[1, 2, 3], [[1], [2]], "", [], ["a", ""]])
async def test_what_is_no_text(door: Door, texts: object) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        await use(door.url, lambda client: embed(client, texts))
    assert caught.value.param == "input"
    assert not door.node.answers.asked


@pytest.mark.parametrize("path", ["completions", "embeddings"])
async def test_errors_of_the_account_are_the_same_everywhere(door: Door, path: str) -> None:
    work = complete if path == "completions" else (lambda client: embed(client, "one"))
    with pytest.raises(openai.AuthenticationError):
        await use(door.url, work, key="sk-wrong")
    door.node.answers.refuse = RateLimited("Slow down.", retry_after=3)
    with pytest.raises(openai.RateLimitError) as caught:
        await use(door.url, work)
    assert caught.value.response.headers["retry-after"] == "3"


# -- models ------------------------------------------------------------------------------------


async def test_models_keep_to_the_schema_and_say_what_they_do(door: Door) -> None:
    async with httpx.AsyncClient(base_url=door.url, headers=door.headers) as client:
        page = (await client.get("/v1/models")).json()
        one = (await client.get("/v1/models/echo")).json()
    ours = frozenset({"state", "context_length", "capabilities"})
    for model in (*page["data"], one):
        check(Model, model, ours)
        assert model["capabilities"] == ["generate"]
    assert sorted(page) == ["data", "object"]
