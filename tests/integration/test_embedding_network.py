"""Vectors across a network of three processes: a client's door, a gateway, a processor."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from aiplat.control.accounts import UsageAsk, UsageReply
from aiplat.control.client import ControlClient
from tests.support.nodes import RunningNode, aiplat, chat, text_of, wait_for_model
from tests.support.tiny_encoder import CONTEXT, SIZE, make_tiny_encoder
from tests.support.waiting import eventually

pytest.importorskip("torch")


class World:
    """The three nodes; the processor has a tiny encoder and `echo`."""

    def __init__(self, gateway: RunningNode, client: RunningNode) -> None:
        self.gateway, self.client = gateway, client

    def embeds(self, inputs: Any, status: int = 200, **more: Any) -> Any:
        """What the client's door answers."""
        found, _, body = self.client.request("POST", "/v1/embeddings", {"input": inputs} | more)
        assert found == status, body
        return json.loads(body)

    def tokens(self) -> tuple[int, int, int]:
        """What the gateway has counted: requests, and tokens of prompts and answers."""
        control = ControlClient(Path(self.gateway.status["control"]), timeout=60)
        total = control.accounts("usage", UsageAsk(everyone=True), UsageReply).total
        return total.requests, total.prompt_tokens, total.completion_tokens


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("lab")
    encoder = make_tiny_encoder(folder / "tiny-encoder")
    with ExitStack() as stack:

        def start(name: str, *arguments: str) -> RunningNode:
            environ = {"AIPLAT_CACHE": str(folder / "cache"), "AIPLAT_ENGINE_DEVICE": "cpu"}
            node = RunningNode(folder / name, *arguments, environ=environ)
            stack.callback(node.close)
            return node

        gateway = start("g", "--role", "gateway")
        start("p", "--role", "processor", "--peer", gateway.address, "--model", str(encoder),
              "--model", "echo")  # fmt: skip
        client = start("c", "--role", "client", "--peer", gateway.address)
        wait_for_model(gateway, "tiny-encoder", 120)
        yield World(gateway, client)


def vectors(answer: Any) -> list[list[float]]:
    return [row["embedding"] for row in answer["data"]]


def test_vectors_come_back_whole_and_are_counted(world: World) -> None:
    requests, prompt, completion = world.tokens()
    answer = world.embeds(["the cat sat", "a dog ran", "the cat sat"], model="tiny-encoder")
    first, other, again = vectors(answer)
    assert len(first) == SIZE
    assert math.fsum(x * x for x in first) == pytest.approx(1.0, abs=1e-5)
    assert again == pytest.approx(first, abs=1e-6)
    assert other != pytest.approx(first, abs=1e-2)
    assert answer["usage"] == {"prompt_tokens": 15, "total_tokens": 15}
    counted = (requests + 1, prompt + 15, completion)
    eventually(lambda: world.tokens() == counted, what="the request in the usage")


def test_as_many_as_one_request_may_have(world: World) -> None:
    answer = world.embeds(["the cat"] * 2047 + ["a dog"])
    assert answer["model"] == "tiny-encoder"  # the first that makes vectors alone
    found = vectors(answer)
    assert len(found) == 2048
    assert found[0] == pytest.approx(found[2046], abs=1e-5)
    assert answer["usage"]["prompt_tokens"] == 2048 * 4


def test_each_model_for_what_it_was_made_for(world: World) -> None:
    assert len(vectors(world.embeds("the cat", model="echo"))[0]) == 64
    status, _, body = world.client.request(
        "POST", "/v1/chat/completions", chat("hello", model="")
    )  # fmt: skip
    assert (status, text_of(body)) == (200, "hello"), "echo: the only one that answers"
    status, _, body = world.client.request(
        "POST", "/v1/chat/completions", chat("hello", model="tiny-encoder")
    )  # fmt: skip
    assert status == 400
    told = json.loads(body)["error"]
    assert (told["code"], told["param"]) == ("unsupported_parameter", "model")
    assert "'tiny-encoder' makes embeddings" in told["message"]
    assert "echo" in told["message"]


def test_what_the_model_does_not_take_is_told_with_the_numbers(world: World) -> None:
    told = world.embeds(["a", "cat " * 50], status=400, model="tiny-encoder")["error"]
    assert told["code"] == "context_length_exceeded"
    assert (
        f"Text 1 of input has 52 tokens, but tiny-encoder reads at most {CONTEXT}"
        in (told["message"])
    )
    told = world.embeds("a", status=400, model="tiny-encoder", dimensions=4)["error"]
    assert (told["code"], told["param"]) == ("unsupported_parameter", "dimensions")


def test_what_each_does_is_listed(world: World) -> None:
    done = aiplat(world.client.home, "models", "list", "--json")
    does = {model["name"]: model["can"] for model in json.loads(done.stdout)["models"]}
    assert does["tiny-encoder"] == ["embed"]
    assert {"generate", "embed"} <= set(does["echo"])
