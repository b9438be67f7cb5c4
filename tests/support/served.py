"""A node with real models that programs use: what every client of `tests/clients` is pointed at."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from aiplat.engine.catalogue import SMOLLM2
from tests.support.nodes import RunningNode, aiplat, wait_for_model
from tests.support.tool_model import make_tool_model

CHAT = SMOLLM2.name
TOOLS = "smollm2-tools"
"""The same, with a template that has tools."""
VECTORS = "all-minilm-l6-v2"
WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 20}},
    "required": ["city"],
    "additionalProperties": False,
}
"""A tool's parameters."""
PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 20},
        "age": {"type": "integer", "minimum": 0, "maximum": 150},
    },
    "required": ["name", "age"],
    "additionalProperties": False,
}
"""A form that an answer shall have."""
QUESTION = "What is the capital of France?"


@dataclass
class Served:
    """The node, and keys for it.

    Attributes:
        url: of the door, without a path.
        key: that may ask.
        limited: a key whose tokens of this month are used up.
    """

    node: RunningNode
    url: str
    key: str
    limited: str

    @property
    def v1(self) -> str:
        """What OpenAI's clients call the base URL."""
        return f"{self.url}/v1"

    def environment(self) -> dict[str, str]:
        """What a program reads that knows OpenAI's variables."""
        return {"OPENAI_BASE_URL": self.v1, "OPENAI_API_KEY": self.key}

    def is_idle(self) -> bool:
        """Whether the node gives no answer now."""
        models = self.node.now()["models"]
        return all(model["running"] == 0 and model["waiting"] == 0 for model in models)


@contextmanager
def served(folder: Path, cache: Path) -> Iterator[Served]:
    """Have both models served, the one that makes vectors pulled first if it is not there.

    Arguments:
        folder: an empty one, for the node and the model with its template.
        cache: has the embedded model.
    """
    home = folder / "node"
    pulled = aiplat(home, "models", "pull", VECTORS, AIPLAT_CACHE=str(cache), timeout=1800)
    assert pulled.returncode == 0, pulled.stderr
    tools = make_tool_model(cache / "models" / SMOLLM2.name, folder / TOOLS)
    node = RunningNode(
        home, "--model", CHAT, "--model", str(tools), "--model", VECTORS,
        environ={"AIPLAT_CACHE": str(cache)},
    )  # fmt: skip
    try:
        wait_for_model(node, CHAT, 300)
        key = _key(node, "program")
        limited = _key(node, "limited", "--tokens-per-month", "40")
        one = {"model": CHAT, "max_tokens": 1, "messages": [{"role": "user", "content": "x"}]}
        assert node.request("POST", "/v1/chat/completions", one, limited)[0] == 200
        yield Served(node, str(node.status["http"]), key, limited)
    finally:
        node.close()


def _key(node: RunningNode, name: str, *limits: str) -> str:
    done = aiplat(node.home, "keys", "create", "--name", name, "--json", *limits)
    assert done.returncode == 0, done.stderr
    return str(json.loads(done.stdout)["key"])
