"""The whole way: client, gateway and processor as three real processes on loopback."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import openai
import pytest

from tests.support.nodes import (
    Door,
    RunningNode,
    aiplat,
    chat,
    text_of,
    wait_for_model,
)
from tests.support.waiting import eventually

TARGET_SECONDS = 4.0
"""Within this a client shall hear of a processor that died or froze; a test hangs at 5 times."""


@dataclass
class Three:
    """A network of three nodes."""

    gateway: RunningNode
    processor: RunningNode
    client: RunningNode


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def node(stack: ExitStack, home: Path, *arguments: str, **extra: str) -> RunningNode:
    running = RunningNode(home, *arguments, environ=extra)
    stack.callback(running.close)
    return running


def three(stack: ExitStack, root: Path, *processor: str, **extra: str) -> Three:
    gateway = node(stack, root / "g", "--role", "gateway", **extra)
    peer = ("--peer", gateway.address)
    worker = node(stack, root / "p", "--role", "processor", *processor, *peer, **extra)
    client = node(stack, root / "c", "--role", "client", *peer, **extra)
    return Three(gateway, worker, client)


def test_an_answer_walks_the_whole_house(stack: ExitStack, tmp_path: Path) -> None:
    nodes = three(stack, tmp_path, "--model", "echo")
    wait_for_model(nodes.gateway)
    done = aiplat(nodes.client.home, "ask", "--json", "all the way and back")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["text"].strip() == "all the way and back"
    assert answer["gateway"] == nodes.gateway.peer_id
    assert answer["processor"] == nodes.processor.peer_id
    assert answer["usage"]["completion_tokens"] > 0
    for running in (nodes.gateway, nodes.client):
        logged = (running.home / "state" / "logs" / "node.jsonl").read_text()
        assert "all the way" not in logged, "no prompt is logged"
    status, _, body = nodes.client.request("POST", "/v1/chat/completions", chat("by http"))
    assert status == 200, body
    assert text_of(body).strip() == "by http"


def test_status_says_all_that_is_promised(stack: ExitStack, tmp_path: Path) -> None:
    nodes = three(stack, tmp_path, "--model", "echo")
    wait_for_model(nodes.gateway)
    for running in (nodes.gateway, nodes.processor, nodes.client):
        now = running.now()
        assert {
            "peer_id",
            "addresses",
            "http",
            "control",
            "roles",
            "models",
            "peers",
            "version",
        } <= set(now)
        assert all(a.endswith(f"/p2p/{now['peer_id']}") for a in now["addresses"])
        assert now["addresses"]
        assert not now["http"].endswith("/v1")
        assert now["peers"]
    listed = json.loads(aiplat(nodes.client.home, "models", "list", "--json").stdout)
    assert [model["name"] for model in listed["models"]] == ["echo"]


def test_ask_peer_asks_that_gateway_and_no_other(stack: ExitStack, tmp_path: Path) -> None:
    nodes = three(stack, tmp_path, "--model", "echo")
    wait_for_model(nodes.gateway)
    home = tmp_path / "fresh"
    stack.callback(aiplat, home, "stop")
    done = aiplat(home, "ask", "--json", "hello there", "--peer", nodes.gateway.address)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["gateway"] == nodes.gateway.peer_id
    with socket.socket() as free:  # nobody listens there
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    dead = f"/ip4/127.0.0.1/tcp/{port}/p2p/{nodes.client.peer_id}"
    done = aiplat(home, "ask", "hello", "--peer", dead)
    assert done.returncode == 4, "the other gateway, which is connected, must not be asked"
    assert done.stdout == ""
    done = aiplat(home, "ask", "hello", "--peer", nodes.processor.address)
    assert done.returncode == 4
    assert "no gateway" in done.stderr


def test_ten_at_once_interleave(stack: ExitStack, tmp_path: Path) -> None:
    nodes = three(stack, tmp_path, "--model", "echo", "--echo-rate", "20")
    wait_for_model(nodes.gateway)
    token = nodes.client.token
    spans: list[tuple[float, float, str]] = []

    def one(n: int) -> None:
        prompt = " ".join(f"w{n}x{i}" for i in range(120))
        times, text = [], ""
        with Door(nodes.client, token) as door:
            for when, event in door.stream(chat(prompt)):
                if event != "[DONE]":
                    times.append(when)
                    text += event["choices"][0]["delta"].get("content") or ""
        assert text.strip() == prompt
        spans.append((times[0], times[-1], prompt))

    threads = [threading.Thread(target=one, args=(n,)) for n in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(180)
    assert len(spans) == 10
    assert max(first for first, _, _ in spans) < min(last for _, last, _ in spans)


@pytest.mark.parametrize(("blow", "words"), [(signal.SIGKILL, "ended"), (signal.SIGSTOP, "silent")])
def test_a_processor_that_dies_or_freezes_in_mid_answer(
    blow: signal.Signals, words: str, stack: ExitStack, tmp_path: Path
) -> None:
    nodes = three(stack, tmp_path, "--model", "echo", "--echo-rate", "10")
    wait_for_model(nodes.gateway)
    door = stack.enter_context(Door(nodes.client, timeout=5 * TARGET_SECONDS))
    struck, took, events = 0.0, 1e9, []
    for when, event in door.stream(chat("a b c d e f g h", max_tokens=1000)):
        events.append(event)
        if len(events) == 5:
            struck = time.monotonic()
            nodes.processor.signal(blow)
        if "error" in event:
            took = when - struck
            break
    error = events[-1]["error"]
    assert "[DONE]" not in events
    assert error["code"] == "processor_lost"
    assert words in error["message"]
    assert took < 5 * TARGET_SECONDS, "the hang limit"
    print(f"{blow.name}: the client knew after {took:.2f} s (target {TARGET_SECONDS} s)")

    # the gateway goes on serving: it says that nobody can, and does when the processor is back
    status, _, body = nodes.client.request("POST", "/v1/chat/completions", chat("now?"))
    assert (status, json.loads(body)["error"]["code"]) == (503, "no_processor")
    if blow is signal.SIGSTOP:
        nodes.processor.signal(signal.SIGCONT)
    else:
        peer = ("--peer", nodes.gateway.address)
        node(stack, tmp_path / "p", "--role", "processor", "--model", "echo", *peer)
    wait_for_model(nodes.gateway)
    status, _, body = nodes.client.request("POST", "/v1/chat/completions", chat("back again"))
    assert status == 200, body


def test_a_client_that_goes_frees_the_processor(stack: ExitStack, tmp_path: Path) -> None:
    nodes = three(stack, tmp_path, "--model", "echo", "--echo-rate", "10")
    wait_for_model(nodes.gateway)
    door = stack.enter_context(Door(nodes.client))
    stream = door.stream(chat("a b c d", max_tokens=10_000))
    for _ in range(3):
        next(stream)
    assert nodes.processor.now()["active"] == 1
    stream.close()
    door.close()
    for running in (nodes.processor, nodes.gateway, nodes.client):
        eventually(lambda n=running: n.now()["active"] == 0, what="the request is gone")  # type: ignore[misc]  # bound now


def test_garbage_at_the_port_disturbs_nobody(stack: ExitStack, tmp_path: Path) -> None:
    nodes = three(stack, tmp_path, "--model", "echo", "--echo-rate", "20")
    wait_for_model(nodes.gateway)
    parts = nodes.gateway.address.split("/")
    host, port = parts[2], int(parts[4])
    door = stack.enter_context(Door(nodes.client))
    stream = door.stream(chat("a b c d e f", max_tokens=40))
    next(stream)
    silent = [socket.create_connection((host, port)) for _ in range(5)]
    for n in range(20):
        with socket.create_connection((host, port)) as broken:
            broken.sendall(os.urandom(2000) if n % 2 else b"GET / HTTP/1.1\r\n\r\n" * 50)
    events = [event for _, event in stream]
    for quiet in silent:
        quiet.close()
    assert events[-1] == "[DONE]"
    status, _, _ = nodes.client.request("POST", "/v1/chat/completions", chat("still here"))
    assert status == 200


def test_the_official_client_lists_models_and_streams(stack: ExitStack, tmp_path: Path) -> None:
    nodes = three(stack, tmp_path, "--model", "echo")
    wait_for_model(nodes.gateway)
    client = openai.OpenAI(base_url=f"{nodes.client.status['http']}/v1", api_key=nodes.client.token)
    assert [model.id for model in client.models.list()] == ["echo"]
    stream = client.chat.completions.create(
        model="echo",
        messages=[{"role": "user", "content": "say it in pieces"}],
        stream=True,
        stream_options={"include_usage": True},
    )
    text, usage = "", None
    for chunk in stream:
        usage = chunk.usage or usage
        text += (chunk.choices[0].delta.content or "") if chunk.choices else ""
    assert text.strip() == "say it in pieces"
    assert usage is not None
    assert usage.completion_tokens > 0
    with pytest.raises(openai.AuthenticationError, match="aiplat env"):
        openai.OpenAI(base_url=str(client.base_url), api_key="wrong").models.list()
    with pytest.raises(openai.NotFoundError, match="Did you mean echo"):
        client.chat.completions.create(model="ecko", messages=[{"role": "user", "content": "x"}])


def test_a_stop_lets_running_answers_finish(stack: ExitStack, tmp_path: Path) -> None:
    nodes = three(stack, tmp_path, "--model", "echo", "--echo-rate", "20")
    wait_for_model(nodes.gateway)
    stream = stack.enter_context(Door(nodes.client)).stream(chat("a b c d", max_tokens=40))
    next(stream)
    nodes.processor.signal(signal.SIGTERM)
    eventually(lambda: not _accepts(nodes.gateway), what="the gateway knows that it drains")
    events = [event for _, event in stream]
    assert events[-1] == "[DONE]"
    assert nodes.processor.process.wait(60) == 0


def _accepts(gateway: RunningNode) -> bool:
    peers = [peer for peer in gateway.now()["peers"] if "processor" in peer["roles"]]
    return bool(peers) and not any(peer["note"] for peer in peers)


def test_an_answer_that_outlasts_the_grace_period_is_cut(stack: ExitStack, tmp_path: Path) -> None:
    quick = ("--model", "echo", "--echo-rate", "1", "--set", "runtime.grace_seconds=0.5")
    running = node(stack, tmp_path / "n", *quick)
    wait_for_model(running)
    stream = stack.enter_context(Door(running)).stream(chat("a b c", max_tokens=500))
    next(stream)
    running.signal(signal.SIGTERM)
    events = [event for _, event in stream]
    assert "[DONE]" not in events
    assert events[-1]["error"]["code"] == "shutting_down", "it is told why"
    assert running.process.wait(60) == 0
    assert "cut off" in running.stderr


def test_a_second_signal_stops_at_once(stack: ExitStack, tmp_path: Path) -> None:
    running = node(stack, tmp_path / "n", "--model", "echo", "--echo-rate", "1")
    wait_for_model(running)
    stream = stack.enter_context(Door(running)).stream(chat("a b c", max_tokens=500))
    next(stream)
    running.signal(signal.SIGINT)
    eventually(lambda: "stopping" in running.stderr, what="it begins to stop")
    assert running.process.poll() is None
    running.signal(signal.SIGINT)
    events = [event for _, event in stream]
    assert events[-1]["error"]["code"] == "shutting_down"
    running.process.wait(60)


@pytest.mark.model
def test_the_real_model_answers_through_three_nodes(
    stack: ExitStack, tmp_path: Path, model_cache: Path
) -> None:
    cache = {"AIPLAT_CACHE": str(model_cache)}
    nodes = three(stack, tmp_path, "--model", "smollm2-135m", **cache)
    wait_for_model(nodes.gateway, "smollm2-135m", 300)
    question = "What is the capital of France?"
    done = aiplat(nodes.client.home, "ask", "--json", "--temperature", "0", question)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert "Paris" in answer["text"]
    assert answer["processor"] == nodes.processor.peer_id
    assert answer["model"] == "smollm2-135m"
    assert answer["usage"]["prompt_tokens"] > 5

    # ten at once: all begin before the first one ends
    token, spans = nodes.client.token, []

    def one(n: int) -> None:
        story = f"Write a long story about a house with {n + 2} rooms."
        body = chat(story, "smollm2-135m", max_tokens=48)
        with Door(nodes.client, token, 300) as door:
            times = [when for when, _ in door.stream(body)]
        spans.append((times[0], times[-1]))

    threads = [threading.Thread(target=one, args=(n,)) for n in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
    assert len(spans) == 10
    firsts, lasts = sorted(f for f, _ in spans), sorted(last for _, last in spans)
    assert firsts[-1] < lasts[0], "all begin before the first one ends"

    long = "word " * 9000
    done = aiplat(nodes.client.home, "ask", long[:100_000])
    assert done.returncode == 1
    assert "8192" in done.stderr
