"""The official `openai` client against a node in a process of its own, with the echo model."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.support.nodes import RunningNode, wait_for_model
from tests.support.openai_schema import (
    ChatCompletion,
    ChatCompletionChunk,
    Completion,
    CreateEmbeddingResponse,
    Model,
    check,
)

HELLO: Any = [{"role": "user", "content": "hello there world"}]


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    home: Path = tmp_path_factory.mktemp("openai") / "home"
    slow_and_small = {"AIPLAT_ENGINE_ECHO_CONTEXT": "4096", "AIPLAT_ENGINE_ECHO_RATE": "50"}
    running = RunningNode(home, "--model", "echo", environ=slow_and_small)
    try:
        wait_for_model(running)
        yield running
    finally:
        running.close()


@pytest.fixture(scope="module")
def client(node: RunningNode) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(
        base_url=f"{node.status['http']}/v1", api_key=node.token, max_retries=0, timeout=60
    ) as opened:
        yield opened


def test_a_chat_and_its_stream(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(model="echo", messages=HELLO, max_tokens=12)
    check(ChatCompletion, whole.model_dump(exclude_unset=True))
    *chunks, last = client.chat.completions.create(
        model="echo", messages=HELLO, max_tokens=12, stream=True,
        stream_options={"include_usage": True},
    )  # fmt: skip
    for chunk in (*chunks, last):
        check(ChatCompletionChunk, chunk.model_dump(exclude_unset=True))
    text = "".join([chunk.choices[0].delta.content or "" for chunk in chunks])
    assert text == whole.choices[0].message.content
    assert chunks[-1].choices[0].finish_reason == whole.choices[0].finish_reason == "length"
    assert last.usage is not None
    assert whole.usage is not None
    assert last.usage.completion_tokens == whole.usage.completion_tokens == 12


def test_completions_of_two_prompts(client: openai.OpenAI) -> None:
    whole = client.completions.create(
        model="echo", prompt=["hello there", "one two"], max_tokens=4, echo=True
    )
    check(Completion, whole.model_dump(exclude_unset=True))
    assert whole.choices[0].text.startswith("hello there")
    assert whole.choices[1].text.startswith("one two")
    chunks = list(
        client.completions.create(
            model="echo", prompt=["hello there", "one two"], max_tokens=4, echo=True, stream=True
        )
    )
    for choice in whole.choices:
        parts = [chunk.choices[0] for chunk in chunks if chunk.choices[0].index == choice.index]
        assert "".join([part.text for part in parts]) == choice.text


def test_embeddings(client: openai.OpenAI) -> None:
    texts = [f"text {place}" for place in range(40)]
    answer = client.embeddings.create(model="echo", input=texts)
    assert [one.index for one in answer.data] == list(range(40))
    for one in answer.data:
        assert math.isclose(sum(number**2 for number in one.embedding), 1, rel_tol=1e-5)
    numbers = client.embeddings.create(model="echo", input=texts[7], encoding_format="float")
    check(CreateEmbeddingResponse, numbers.model_dump(exclude_unset=True))
    assert numbers.data[0].embedding == pytest.approx(answer.data[7].embedding, abs=1e-6)
    assert answer.usage.prompt_tokens > 0


def test_models(client: openai.OpenAI) -> None:
    (model,) = client.models.list()
    ours = frozenset({"state", "context_length", "capabilities"})
    check(Model, model.model_dump(exclude_unset=True), ours)
    extra = model.model_extra or {}
    assert {"generate", "embed"} <= set(extra["capabilities"])
    assert client.models.retrieve("echo") == model


def test_a_client_that_leaves_in_the_middle_frees_its_slot(client: openai.OpenAI) -> None:
    """More of them than the node has slots, each of an answer that has no end in sight."""
    for _ in range(12):
        with client.chat.completions.create(
            model="echo", messages=HELLO, max_tokens=3000, stream=True
        ) as stream:
            next(iter(stream))
    whole = client.chat.completions.create(model="echo", messages=HELLO, max_tokens=2)
    assert whole.usage is not None
    assert whole.usage.completion_tokens == 2


def test_errors(node: RunningNode, client: openai.OpenAI) -> None:
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="sk-wrong").models.list()
    with pytest.raises(openai.NotFoundError) as missing:
        client.chat.completions.create(model="ecko", messages=HELLO)
    assert (missing.value.code, missing.value.param) == ("model_not_found", "model")
    with pytest.raises(openai.NotFoundError):
        client.embeddings.create(model="ecko", input="x")
    long: Any = [{"role": "user", "content": "word " * 5000}]
    with pytest.raises(openai.BadRequestError) as over:
        client.chat.completions.create(model="echo", messages=long)
    assert over.value.code == "context_length_exceeded"
    with pytest.raises(openai.BadRequestError) as prompt:
        client.completions.create(model="echo", prompt="word " * 5000)
    assert prompt.value.param == "prompt"
    with pytest.raises(openai.BadRequestError) as tools:
        client.chat.completions.create(
            model="echo", messages=HELLO,
            tools=[{"type": "custom", "custom": {"name": "x"}}],
        )  # fmt: skip
    assert tools.value.param == "tools[0].type"


@pytest.mark.parametrize("path", ["chat/completions", "completions", "embeddings"])
@pytest.mark.parametrize(
    "body",
    [
        b"", b"[]", b"{", b'{"a":' * 5000, b'{"model": 5}', b'{"messages": {}}', b'{"prompt": {}}',
        b'{"input": {"a": 1}}', b'{"tools": [[[]]], "messages": [{"role": "user", "content": 1}]}',
    ],
)  # fmt: skip
def test_bad_input_is_a_400_by_name(node: RunningNode, path: str, body: bytes) -> None:
    status, _, answer = node.request("POST", f"/v1/{path}", body)
    assert status == 400
    error = json.loads(answer)["error"]
    assert sorted(error) == ["code", "message", "param", "type"]
    assert error["type"] == "invalid_request_error"
