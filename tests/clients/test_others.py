"""Programs that stand on OpenAI's API: langchain-openai, llm, LiteLLM as a client, npm's openai.

Each runs in a process of its own, as a person's program does.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.nodes import environment
from tests.support.served import CHAT, TOOLS, VECTORS, Served

pytestmark = [pytest.mark.model, pytest.mark.slow]

PROGRAMS = Path(__file__).parent / "programs"
NPM = shutil.which("npm")
NPM_OPENAI = "openai@7.57.0"


def told(command: list[str], node: Served, folder: Path, **extra: str) -> Any:
    """What a program tells, as JSON on its last line."""
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=600, check=False, cwd=folder,
        env=environment(
            **node.environment(), LIMITED_KEY=node.limited, CHAT_MODEL=CHAT, TOOL_MODEL=TOOLS,
            VECTOR_MODEL=VECTORS,
            HOME=str(folder), **extra,
        ),
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.strip().splitlines()[-1])


def check(found: dict[str, Any]) -> None:
    """What each of them shall have found."""
    assert {CHAT, VECTORS} <= set(found.pop("models", (CHAT, VECTORS)))
    assert "Paris" in found["chat"]
    assert found["streamed"] == found["chat"]
    assert found["tokens"] > 0
    assert found["tool"]["name"] == "weather"
    assert set(found["tool"]["arguments"]) == {"city"}
    assert set(found["form"]) == {"name", "age"}
    assert found["vector"] == 384
    assert found["errors"] == {"key": 401, "model": 404, "limit": 429, "context": 400}


def test_langchain(node: Served, tmp_path: Path) -> None:
    check(told([sys.executable, str(PROGRAMS / "with_langchain.py")], node, tmp_path))


def test_litellm_as_a_client(node: Served, tmp_path: Path) -> None:
    extra = {"LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    check(told([sys.executable, str(PROGRAMS / "with_litellm.py")], node, tmp_path, **extra))


@pytest.mark.skipif(NPM is None, reason="npm is not installed")
def test_openai_of_npm(node: Served, tmp_path: Path) -> None:
    assert NPM is not None
    (tmp_path / "package.json").write_text('{"private": true, "type": "module"}')
    shutil.copy(PROGRAMS / "with_openai.mjs", tmp_path)
    done = subprocess.run(
        [NPM, "install", "--no-audit", "--no-fund", "--silent", NPM_OPENAI],
        cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False,
        env=os.environ | {"npm_config_cache": str(tmp_path / "npm")},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    check(told(["node", "with_openai.mjs"], node, tmp_path))


def test_llm(node: Served, tmp_path: Path) -> None:
    user = tmp_path / "llm"
    user.mkdir()
    (user / "extra-openai-models.yaml").write_text(
        json.dumps([
            {"model_id": name, "model_name": model, "api_base": node.v1, "api_key_name": "ours",
             "supports_schema": True, "supports_tools": True}
            for name, model in (("ours", CHAT), ("tools", TOOLS), ("nobodys", "nobody-has-it"))
        ])
    )  # fmt: skip
    (user / "keys.json").write_text(json.dumps({"ours": node.key}))
    program = str(Path(sys.executable).with_name("llm"))

    def called(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [program, *arguments], capture_output=True, text=True, timeout=300, check=False,
            env=environment(LLM_USER_PATH=str(user), HOME=str(tmp_path)),
        )  # fmt: skip

    def run(*arguments: str) -> str:
        done = called(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def refused(*arguments: str) -> str:
        done = called(*arguments)
        assert done.returncode != 0
        return done.stderr

    question = "What is the capital of France?"
    assert "ours" in run("models")
    streamed = run("-m", "ours", "-o", "max_tokens", "50", question)
    assert "Paris" in streamed
    assert run("-m", "ours", "--no-stream", "-o", "max_tokens", "50", question) == streamed
    form = run("-m", "ours", "--schema", "name, age int", "-o", "max_tokens", "100", "A person.")
    assert {"name", "age"} <= set(json.loads(form))
    calls = refused(  # the small model calls it again and again
        "-m", "tools", "--functions", PYTHON_TOOL, "--tools-debug", "--chain-limit", "3",
        "-o", "temperature", "0", "-o", "max_tokens", "60", REPEAT,
    )  # fmt: skip
    assert calls.count("Tool call: weather({'city': 'Paris'})\n  18 degrees in Paris") == 2
    assert "API key" in refused("-m", "ours", "--key", "sk-wrong", "x")
    assert "no model" in refused("-m", "nobodys", "x").lower()
    assert "month" in refused("-m", "ours", "--key", node.limited, "x")
    assert "8192" in refused("-m", "ours", "word " * 20_000)


PYTHON_TOOL = """def weather(city: str) -> str:
    "The weather of a city."
    return f"18 degrees in {city}"
"""
REPEAT = 'Repeat: <tool_call>[{"name": "weather", "arguments": {"city": "Paris"}}]</tool_call>'
"""What moves the small model to call it, which has no choice forced on it by `llm`."""


def test_llms_embeddings(node: Served, tmp_path: Path) -> None:
    """Its commands know OpenAI's models alone; what they use takes any of a server's."""
    program = (
        "import json; from llm.default_plugins.openai_models import OpenAIEmbeddingModel as M; "
        f"made = M('ours', {VECTORS!r}); made.key = {node.key!r}; "
        "print(json.dumps([len(one) for one in made.embed_multi(['a', 'b'])]))"
    )
    user = {"LLM_USER_PATH": str(tmp_path)}
    assert told([sys.executable, "-c", program], node, tmp_path, **user) == [384, 384]
