"""schemathesis against a real node and its own description: it finds nothing.

No 500, no answer outside its schema, no status, header or content type that is not told.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aiplat.http.openapi.operations import OPERATIONS
from tests.support.nodes import RunningNode, environment

CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,"
    "response_headers_conformance,response_schema_conformance"
)
CONFIG = """
headers = { Authorization = "Bearer ${NODE_TOKEN}" }
request-timeout = 60.0
"""
"""The token comes by the environment: a command line is everybody's to read."""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    running = RunningNode(
        tmp_path_factory.mktemp("openapi") / "home", "--model", "echo",
        "--set", "http.deadline_seconds=20",
    )  # fmt: skip
    yield running
    running.close()


def attack(node: RunningNode, folder: Path, phases: str, examples: int, seed: int) -> None:
    """Put bounded requests, good and bad, to every operation.

    What is read is the node's own description, but that models have the name of one that is
    there: with a made-up one a request goes no further than to be looked at.
    """
    config = folder / "schemathesis.toml"
    config.write_text(CONFIG)
    door = str(node.status["http"])
    told_of = json.loads(node.request("GET", "/openapi.json")[2])
    description = folder / "openapi.json"
    description.write_text(json.dumps(with_model(told_of, "echo")))
    done = subprocess.run(
        [
            sys.executable, "-m", "schemathesis.cli", "--config-file", str(config), "run",
            str(description), "--url", door, "--checks", CHECKS, "--phases", phases,
            "--max-examples", str(examples), "--seed", str(seed), "--generation-database", "none",
            "--no-color", "--continue-on-failure", "--suppress-health-check", "all",
        ],
        capture_output=True, timeout=900, cwd=folder, check=False,
        env=environment(NODE_TOKEN=node.token),
    )  # fmt: skip
    told = done.stdout.decode() + done.stderr.decode()
    assert done.returncode == 0, told[-8000:]
    tested = re.search(r"Tested:\s+(\d+)", told)
    assert tested is not None, told[-3000:]
    assert int(tested[1]) == len(OPERATIONS), told[-3000:]


def with_model(value: Any, name: str) -> Any:
    """The description, whose schemas allow the field `model` that name alone."""
    if isinstance(value, list):
        return [with_model(one, name) for one in value]
    if not isinstance(value, dict):
        return value
    if "requestBody" not in value:
        return {key: with_model(one, name) for key, one in value.items()}
    body = value["requestBody"]["content"]["application/json"]
    properties = body["schema"]["properties"]
    for field in ("model", "name"):
        if field in properties:
            properties[field] = {"const": name}
    if "model" in body.get("example", {}):
        body["example"]["model"] = name
    return value


def test_it_finds_nothing(node: RunningNode, tmp_path: Path) -> None:
    attack(node, tmp_path, "examples,fuzzing", 4, seed=1)


@pytest.mark.slow
def test_it_finds_nothing_for_long(node: RunningNode, tmp_path: Path) -> None:
    attack(node, tmp_path, "examples,coverage,fuzzing", 100, seed=2)
