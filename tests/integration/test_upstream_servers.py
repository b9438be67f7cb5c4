"""A node in front of two real servers: llama.cpp's, and `transformers serve`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.nodes import Door, RunningNode, chat, wait_for_model
from tests.support.real_servers import embedded_gguf, get, llama_cpp, transformers_serve
from tests.support.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.model]

QUESTION = "What is the capital of France?"


@contextmanager
def node_before(url: str, home: Path, model: str, *words: str) -> Iterator[RunningNode]:
    """A node whose models run there."""
    node = RunningNode(home, "--upstream", url, *words)
    try:
        wait_for_model(node, model)
        yield node
    finally:
        node.close()


def asked(node: RunningNode, model: str, text: str, **more: Any) -> tuple[int, Any]:
    """A whole answer."""
    with Door(node, timeout=300) as door:
        status, _, data = door.request("POST", "/v1/chat/completions", chat(text, model, **more))
        return status, json.loads(data)


def test_llama_cpp(model_cache: Path, tmp_path: Path) -> None:
    gguf = embedded_gguf(model_cache)
    with (
        llama_cpp(gguf, tmp_path / "llama.log") as server,
        node_before(server.url, tmp_path / "h", "smollm2") as node,
    ):
        (model,) = node.now()["models"]
        assert model["context"] == 1024, "what one of its two slots holds"
        status, told = asked(
            node, "smollm2", QUESTION, max_tokens=4, temperature=0, seed=1, top_k=5, min_p=0.01,
            repetition_penalty=1.1, logprobs=True, top_logprobs=2,
        )  # fmt: skip
        assert status == 200, told
        (choice,) = told["choices"]
        assert choice["finish_reason"] == "length"
        scores = choice["logprobs"]["content"]
        assert len(scores) == 4
        assert all(len(score["top_logprobs"]) == 2 for score in scores)
        assert "".join(score["token"] for score in scores) == choice["message"]["content"]
        usage = told["usage"]
        assert (usage["prompt_tokens"], usage["completion_tokens"]) == (37, 4)
        assert usage["exact_tokens"] is False
        status, told = asked(node, "smollm2", "word " * 2000)
        assert (status, told["error"]["code"]) == (400, "context_length_exceeded")
        assert "1024" in told["error"]["message"]
        leaving(node)
        eventually(lambda: not any(slot["is_processing"] for slot in get(server.url, "/slots")[1]))  # type: ignore[attr-defined]  # JSON


def leaving(node: RunningNode) -> None:
    """Ask for a long answer, and leave after its first words."""
    with Door(node) as door:
        events = door.stream(chat("Count to a thousand.", "smollm2", max_tokens=900))
        assert [next(events) for _ in range(3)]


def test_transformers_serve(model_cache: Path, tmp_path: Path) -> None:
    name = "smollm2-135m"
    with (
        transformers_serve(model_cache / "models" / name, tmp_path / "serve.log") as server,
        # Its list is of the hub's cache, which a machine without one lacks: the model is named.
        node_before(server.url, tmp_path / "h", name, "--model", name) as node,
    ):
        status, told = asked(node, name, QUESTION, max_tokens=12, temperature=0)
        assert status == 200, told
        assert "Paris" in told["choices"][0]["message"]["content"]
        usage = told["usage"]
        assert usage["prompt_tokens"] == 37
        assert 0 < usage["completion_tokens"] <= 12
        status, told = asked(node, name, QUESTION, top_k=3)
        assert (status, told["error"]["type"]) == (400, "invalid_request_error")
        assert "Unexpected fields in the request: {'top_k'}" in told["error"]["message"]
