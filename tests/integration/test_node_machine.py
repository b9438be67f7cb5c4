"""A real node's own machine: a model brought from a hub and offered at once, its log, a look."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from aiplat.control import calls
from aiplat.control.client import ControlClient
from aiplat.control.machine import LogAsk, Pull, PullWish, ServeWish
from aiplat.control.messages import ModelName
from aiplat.domain.errors import InvalidRequest, ModelNotFound
from aiplat.engine import store
from tests.support.hub import Hub, running_hub
from tests.support.nodes import RunningNode, aiplat, chat, has_model, wait_for_model
from tests.support.tiny_model import make_tiny_model
from tests.support.waiting import eventually

pytest.importorskip("huggingface_hub")
pytest.importorskip("torch")

TINY = "org/tiny"
SOON_SECONDS = 60.0


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("hub") / "tiny")


@pytest.fixture
def hub(source: Path) -> Iterator[Hub]:
    with running_hub({TINY: source}) as hub:
        yield hub


@pytest.fixture
def environ(hub: Hub, tmp_path: Path) -> dict[str, str]:
    return {
        "AIPLAT_CACHE": str(tmp_path / "cache"), "HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "0",
        "HF_HOME": str(tmp_path / "hf"), "HF_HUB_DOWNLOAD_TIMEOUT": "600",
    }  # fmt: skip


@pytest.fixture
def node(tmp_path: Path, environ: dict[str, str]) -> Iterator[RunningNode]:
    made = RunningNode(tmp_path / "h", "--model", "echo", environ=environ)
    yield made
    made.close()


def client_of(node: RunningNode) -> ControlClient:
    return ControlClient(Path(node.status["control"]), timeout=30)


def latest(client: ControlClient) -> Pull:
    return client.shelf().pulls[0]


def served(client: ControlClient) -> list[str]:
    return [model.name for model in client.shelf().models if model.served]


def test_a_model_is_brought_and_offered_without_a_restart_and_after_one(
    node: RunningNode, tmp_path: Path, environ: dict[str, str]
) -> None:
    client = client_of(node)
    client.pull_model(PullWish(model=TINY))
    eventually(lambda: latest(client).state != "running")
    done = latest(client)
    assert (done.model, done.state, done.error) == (TINY, "done", "")
    wait_for_model(node, TINY)
    status, _, _ = node.request("POST", "/v1/chat/completions", chat("hi", TINY, max_tokens=2))
    assert status == 200
    assert "offered already" in client.serve_model(ServeWish(model=TINY)).message
    node.close()

    again = RunningNode(tmp_path / "h", "--model", "echo", "--background", environ=environ)
    try:
        client = client_of(again)
        assert served(client) == ["echo", TINY]
        assert "offered no more" in client.serve_model(ServeWish(model=TINY, off=True)).message
        assert served(client) == ["echo"]
        client.remove_model(ModelName(model=TINY))  # nobody has it loaded any more
        assert store.pulled(tmp_path / "cache") == []
    finally:
        again.close()


def test_a_pull_that_hangs_ends_when_nobody_wants_it_and_is_gone_on_with(
    node: RunningNode, hub: Hub, tmp_path: Path
) -> None:
    client = client_of(node)
    hub.stalls.add("model.safetensors")
    client.pull_model(PullWish(model=TINY, serve=False))
    eventually(lambda: latest(client).done > 0)
    (fetcher,) = eventually(lambda: fetchers(node.process.pid))
    client.pull_model(PullWish(model=TINY, cancel=True))
    eventually(lambda: latest(client).state == "cancelled", SOON_SECONDS)
    assert fetcher not in fetchers(node.process.pid)
    with pytest.raises(InvalidRequest, match="No pull"):
        client.pull_model(PullWish(model=TINY, cancel=True))
    hub.go_on.set()
    client.pull_model(PullWish(model=TINY, serve=False))
    eventually(lambda: latest(client).state == "done")
    assert served(client) == ["echo"]
    with pytest.raises(ModelNotFound, match="that this node offers"):
        client.serve_model(ServeWish(model=TINY, off=True))


def test_a_node_that_is_stopped_leaves_no_pull_behind(node: RunningNode, hub: Hub) -> None:
    client = client_of(node)
    hub.stalls.add("model.safetensors")
    client.pull_model(PullWish(model=TINY))
    (fetcher,) = eventually(lambda: fetchers(node.process.pid))
    began = time.monotonic()
    assert node.stop() == 0
    assert time.monotonic() - began < SOON_SECONDS
    eventually(lambda: not Path(f"/proc/{fetcher}").exists(), SOON_SECONDS)


def fetchers(pid: int) -> list[str]:
    """The processes of a node that fetch from a hub."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    children = [child for task in tasks for child in task.read_text().split()]
    return [child for child in children if b"hub_fetch" in command_of(child)]


def command_of(pid: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def test_a_look_and_the_log(node: RunningNode) -> None:
    client = client_of(node)
    looked = client.call(calls.doctor())
    steps = {step.name: step for step in looked.steps}
    assert looked.ok, looked
    assert f"pid {node.process.pid}" in steps["node"].text
    assert steps["model"].text == "ready: echo"
    reply = client.log(LogAsk(search="ready: "))
    (ready,) = reply.lines
    assert (ready.level, ready.logger) == ("info", "aiplat.runtime")
    assert reply.path == str(node.home / "state" / "logs" / "node.jsonl")
    done = aiplat(node.home, "logs", "--json", "--search", "ready: ")
    assert json.loads(done.stdout)["message"] == ready.message
    node.stop()
    done = aiplat(node.home, "logs", "--json", "--search", "ready: ")
    assert json.loads(done.stdout)["message"] == ready.message
    assert "No node runs here" in done.stderr


def test_a_model_is_offered_and_withdrawn_by_a_command(tmp_path: Path) -> None:
    home = tmp_path / "h"
    alone = aiplat(home, "models", "offer", "echo")
    assert alone.returncode == 1 and "No node runs here" in alone.stderr
    with closing(RunningNode(home, "--model", "echo")) as node:
        assert aiplat(home, "models", "offer", "echo", "--off").returncode == 0
        eventually(lambda: not has_model(node))
        done = aiplat(home, "models", "offer", "echo", "--json")
        assert json.loads(done.stdout) == {"model": "echo", "offered": True}
        wait_for_model(node)
        wrong = aiplat(home, "models", "offer", "nonsense")
        assert wrong.returncode == 1 and "no model 'nonsense'" in wrong.stderr
