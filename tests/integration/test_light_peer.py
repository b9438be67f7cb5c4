"""A light peer: an installation without torch joins a network, asks, and sees it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.fleet import Fleet
from tests.support.light import Light
from tests.support.nodes import aiplat
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow

MISSING = ("torch", "transformers", "tokenizers", "safetensors", "gguf", "numpy")
INSTALL = "pip install 'aiplat[local]'"


@pytest.fixture(scope="module")
def light(tmp_path_factory: pytest.TempPathFactory) -> Light:
    return Light(tmp_path_factory.mktemp("light") / "venv")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """A gateway and a processor, whose installation is this one."""
    with Fleet(tmp_path_factory.mktemp("lab")) as fleet:
        fleet.found("g", "--role", "gateway")
        fleet.member("p", "processor", "--model", "echo")
        fleet.wait_until_sees("g", "p")
        yield fleet


def test_the_installation_is_light(light: Light) -> None:
    look = f"import importlib.util as u; print([n for n in {MISSING} if u.find_spec(n)])"
    done = light.run("-c", look)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_it_joins_asks_and_sees_the_network(light: Light, lab: Fleet, tmp_path: Path) -> None:
    home = tmp_path / "c"
    joined = light.aiplat(home, "join", stdin=lab.invite("client"))
    assert joined.returncode == 0, joined.stderr
    try:
        asked = light.aiplat(home, "ask", "--json", "hello lab")
        assert asked.returncode == 0, asked.stderr
        assert "torch" not in asked.stderr  # a client was never to run models
        answer = json.loads(asked.stdout)
        assert (answer["text"], answer["processor"]) == ("hello lab", lab["p"].peer_id)

        def peers() -> dict[str, Any]:
            """All of them, once the gateway took the time to tell whom it sees."""
            done = light.aiplat(home, "peers", "--json")
            listed = {peer["peer_id"]: peer for peer in json.loads(done.stdout)}
            return listed if lab["p"].peer_id in listed else {}

        seen = eventually(peers)
        assert set(seen) == {lab["g"].peer_id, lab["p"].peer_id}
        gateway, processor = seen[lab["g"].peer_id], seen[lab["p"].peer_id]
        assert (gateway["state"], gateway["seen_by"], gateway["path"]) == (
            "connected", "", "direct",
        )  # fmt: skip
        assert (processor["state"], processor["roles"], processor["models"]) == (
            "connected", ["processor"], ["echo"],
        )  # fmt: skip
        assert processor["slots"] > 0 and processor["waiting"] == 0 and processor["version"]
        assert processor["seen_by"] == lab["g"].peer_id
        table = light.aiplat(home, "peers").stdout
        for name in ("g", "p"):
            assert lab[name].peer_id[-8:] in table
        assert f"0/{processor['slots']}" in table and "echo" in table
        status = json.loads(light.aiplat(home, "status", "--json").stdout)
        assert processor["peer_id"] in {peer["peer_id"] for peer in status["peers"]}
        assert "echo" in light.aiplat(home, "models", "list").stdout
        why = light.aiplat(home, "explain", answer["request"][:12])
        assert lab["p"].peer_id[-8:] in why.stdout
        looked = light.aiplat(home, "doctor")
        assert looked.returncode == 0, looked.stdout
    finally:
        light.aiplat(home, "stop", "--now")


@pytest.mark.parametrize(
    "words",
    [
        ("serve", "--role", "processor"),
        ("serve", "--role", "processor", "--model", "smollm2-135m"),
        ("serve", "--model", "smollm2-135m"),
        ("models", "pull", "smollm2-135m"),
    ],
    ids=" ".join,
)
def test_what_needs_torch_says_so_and_how_to_get_it(
    light: Light, tmp_path: Path, words: tuple[str, ...]
) -> None:
    done = light.aiplat(tmp_path / "h", *words)
    assert done.returncode == 1
    assert done.stderr.startswith("error: torch and transformers are not installed")
    assert done.stderr.count("\n") == 1
    assert INSTALL in done.stderr


def test_alone_it_starts_as_client_and_gateway_and_says_why(light: Light, tmp_path: Path) -> None:
    home = tmp_path / "h"
    try:
        asked = light.aiplat(home, "ask", "hi")
        assert asked.returncode == 4
        assert INSTALL in asked.stderr
        assert "Traceback" not in asked.stderr
        status = json.loads(light.aiplat(home, "status", "--json").stdout)
        assert status["roles"] == ["client", "gateway"]
        assert light.aiplat(home, "doctor").returncode == 1
    finally:
        light.aiplat(home, "stop", "--now")
    try:
        asked = light.aiplat(home, "ask", "--model", "echo", "hi")
        assert (asked.returncode, asked.stdout) == (0, "hi\n"), asked.stderr
    finally:
        aiplat(home, "stop", "--now")
