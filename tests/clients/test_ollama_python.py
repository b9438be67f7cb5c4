"""The official `ollama` client for Python against a node with the real models."""

from __future__ import annotations

import json
from collections.abc import Iterator

import ollama
import pytest

from tests.support.served import CHAT, PERSON, QUESTION, TOOLS, VECTORS, WEATHER, Served
from tests.support.waiting import eventually

pytestmark = [pytest.mark.model, pytest.mark.slow]

ASKED = [{"role": "user", "content": QUESTION}]


@pytest.fixture(scope="module")
def client(node: Served) -> Iterator[ollama.Client]:
    made = client_with(node, node.key)
    yield made
    close(made)


def client_with(node: Served, key: str) -> ollama.Client:
    return ollama.Client(host=node.url, headers={"Authorization": f"Bearer {key}"})


def close(client: ollama.Client) -> None:
    client._client.close()  # it has no way of its own


def test_list_show_and_ps(client: ollama.Client) -> None:
    names = {str(model.model).removesuffix(":latest") for model in client.list().models}
    assert names >= {CHAT, VECTORS}
    assert client.show(CHAT).capabilities == ["completion"]
    assert {"completion", "tools"} <= set(client.show(TOOLS).capabilities or [])
    client.generate(model=CHAT, prompt="hi", options={"num_predict": 1})
    running = {str(model.model).removesuffix(":latest") for model in client.ps().models}
    assert CHAT in running


def test_chat_and_stream(client: ollama.Client) -> None:
    whole = client.chat(model=CHAT, messages=ASKED, options={"num_predict": 50})
    assert "Paris" in str(whole.message.content)
    assert whole.done_reason == "stop"
    assert whole.eval_count
    parts = list(client.chat(model=CHAT, messages=ASKED, options={"num_predict": 50}, stream=True))
    assert "".join(part.message.content or "" for part in parts) == whole.message.content
    assert parts[-1].done


def test_generate(client: ollama.Client) -> None:
    answer = client.generate(model=CHAT, prompt=QUESTION, options={"num_predict": 50})
    assert "Paris" in str(answer.response)


def test_tools(client: ollama.Client) -> None:
    answer = client.chat(
        model=TOOLS, messages=[{"role": "user", "content": "What is the weather in Paris?"}],
        tools=[{"type": "function", "function": {
            "name": "weather", "description": "The weather.", "parameters": WEATHER}}],
        options={"num_predict": 60},
    )  # fmt: skip
    for call in answer.message.tool_calls or []:
        assert call.function.name == "weather"


def test_structured_output(client: ollama.Client) -> None:
    answer = client.chat(
        model=CHAT, messages=[{"role": "user", "content": "Invent a person."}], format=PERSON,
        options={"num_predict": 100},
    )  # fmt: skip
    assert set(json.loads(answer.message.content or "")) == {"name", "age"}


def test_embed(client: ollama.Client) -> None:
    answer = client.embed(model=VECTORS, input=["one", "two"])
    assert [len(vector) for vector in answer.embeddings] == [384, 384]


def test_errors(client: ollama.Client, node: Served) -> None:
    stranger, hasty = client_with(node, "sk-wrong"), client_with(node, node.limited)
    with pytest.raises(ollama.ResponseError) as wrong:
        stranger.list()
    assert wrong.value.status_code == 401
    with pytest.raises(ollama.ResponseError) as unknown:
        client.chat(model="nobody-has-it", messages=ASKED)
    assert unknown.value.status_code == 404
    with pytest.raises(ollama.ResponseError) as over:
        hasty.chat(model=CHAT, messages=ASKED)
    close(stranger)
    close(hasty)
    assert over.value.status_code == 429
    with pytest.raises(ollama.ResponseError, match="tokens"):
        client.chat(model=CHAT, messages=[{"role": "user", "content": "word " * 20_000}])


def test_who_leaves_in_mid_stream_leaves_the_node_idle(client: ollama.Client, node: Served) -> None:
    story = client.chat(
        model=CHAT, messages=[{"role": "user", "content": "Tell a very long story."}], stream=True,
        options={"num_predict": 4000, "temperature": 1},
    )  # fmt: skip
    next(story)
    assert not node.is_idle()
    story.close()  # type: ignore[attr-defined]  # it is a generator
    eventually(node.is_idle)
