"""Every example of docs/api.md, run as it stands against a real node."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.nodes import RunningNode, environment, wait_for_model

API = Path(__file__).parents[2] / "docs" / "api.md"
SAYS, EMBEDS = "smollm2-135m", "all-minilm-l6-v2"
_BLOCK = re.compile(r"(?:<!-- check: (.+?) -->\n)?^```(bash|python)\n(.*?)^```$", re.M | re.S)


@dataclass(frozen=True)
class Example:
    """A block of code; `check` is in what it prints."""

    check: str
    language: str
    code: str

    @property
    def is_for_echo(self) -> bool:
        """Whether the model that repeats can do it: it makes no vectors, and keeps to no form."""
        return EMBEDS not in self.code and "response_format" not in self.code


EXAMPLES = [Example(*found) for found in _BLOCK.findall(API.read_text())]


def run(node: RunningNode, example: Example, folder: Path) -> None:
    """Run it, and see that it ends well and prints what it should."""
    command = ["bash", "-euo", "pipefail"] if example.language == "bash" else [sys.executable, "-"]
    done = subprocess.run(
        command,
        input=example.code.encode(),
        capture_output=True,
        timeout=300,
        check=False,
        cwd=folder,
        env=environment(OPENAI_BASE_URL=f"{node.status['http']}/v1", OPENAI_API_KEY=node.token),
    )
    told = done.stdout.decode()
    assert done.returncode == 0, told + done.stderr.decode()
    assert example.check in told


@pytest.fixture(scope="module")
def echoing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    node = RunningNode(tmp_path_factory.mktemp("docs") / "home", "--model", "echo")
    yield node
    node.close()


def test_there_are_some_and_each_has_a_check() -> None:
    assert len(EXAMPLES) > 20
    assert all(example.check for example in EXAMPLES)


@pytest.mark.parametrize("place", [at for at, one in enumerate(EXAMPLES) if one.is_for_echo])
def test_each_with_the_model_that_repeats(echoing: RunningNode, place: int, tmp_path: Path) -> None:
    example = EXAMPLES[place]
    told = Example(
        example.check.replace(SAYS, "echo"), example.language, example.code.replace(SAYS, "echo")
    )
    run(echoing, told, tmp_path)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory, embedding_cache: Path) -> Iterator[RunningNode]:
    home = tmp_path_factory.mktemp("docs") / "real"
    environ = {"AIPLAT_CACHE": str(embedding_cache)}
    node = RunningNode(home, "--model", SAYS, "--model", EMBEDS, environ=environ)
    try:
        wait_for_model(node, SAYS, 300)  # the other is loaded when it is first asked
        yield node
    finally:
        node.close()


@pytest.mark.slow
@pytest.mark.model
@pytest.mark.parametrize("place", range(len(EXAMPLES)))
def test_each_with_the_models_that_it_names(real: RunningNode, place: int, tmp_path: Path) -> None:
    run(real, EXAMPLES[place], tmp_path)
