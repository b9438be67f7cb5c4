"""What OpenAI's published schema says of a node's answers.

The schema is OpenAI's and is not kept here: `AIPLAT_OPENAI_SCHEMA` names the file `openapi.json` of
its repository openai-openapi. Where it differs from what OpenAI itself sends, and from its own
examples, it is amended first (`_amended`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import jsonschema  # type: ignore[import-untyped]  # it has no types
import pytest

from tests.support.served import CHAT, PERSON, QUESTION, TOOLS, VECTORS, WEATHER, Served

SCHEMA = os.environ.get("AIPLAT_OPENAI_SCHEMA", "")
pytestmark = [
    pytest.mark.model,
    pytest.mark.slow,
    pytest.mark.skipif(not SCHEMA, reason="AIPLAT_OPENAI_SCHEMA names no openapi.json of OpenAI"),
]

Accepts = Callable[[str, Any], None]
TOOL = {"name": "weather", "description": "The weather.", "parameters": WEATHER, "strict": True}
CHATS: dict[str, dict[str, Any]] = {
    "plain": {},
    "labels": {"metadata": {"a": "b"}, "user": "me", "stop": ["x"], "seed": 1, "store": False},
    "logprobs": {"logprobs": True, "top_logprobs": 2},
    "several": {"n": 2, "temperature": 1, "seed": 3},
    "json": {"response_format": {"type": "json_object"}},
    "schema": {"response_format": {
        "type": "json_schema", "json_schema": {"name": "p", "schema": PERSON}}},
    "tools": {"model": TOOLS, "tools": [{"type": "function", "function": TOOL}],
              "tool_choice": "required", "max_tokens": 80},
}  # fmt: skip
COMPLETIONS: dict[str, dict[str, Any]] = {
    "plain": {}, "logprobs": {"logprobs": 2}, "echo": {"echo": True}, "several": {"n": 2},
}  # fmt: skip
FUNCTION = {"type": "function", **TOOL}
NAMED = {"type": "function", "name": "weather"}
RESPONSES: dict[str, dict[str, Any]] = {
    "plain": {},
    "labels": {"instructions": "Be brief.", "metadata": {"a": "b"}, "user": "me",
               "safety_identifier": "s", "prompt_cache_key": "k", "temperature": 0.5},
    "logprobs": {"include": ["message.output_text.logprobs"], "top_logprobs": 2},
    "json": {"text": {"format": {"type": "json_object"}}},
    "schema": {"text": {"format": {"type": "json_schema", "name": "p", "schema": PERSON}}},
    "described": {"text": {"format": {
        "type": "json_schema", "name": "p", "description": "One.", "schema": PERSON}}},
    "cut": {"input": "Tell a very long story.", "max_output_tokens": 16},
    "tools": {"model": TOOLS, "tools": [FUNCTION], "tool_choice": "required"},
    "a bare tool": {"model": TOOLS, "tools": [NAMED]},
    "one tool": {"model": TOOLS, "tools": [FUNCTION], "tool_choice": NAMED},
    "allowed tools": {"model": TOOLS, "tools": [FUNCTION], "tool_choice": {
        "type": "allowed_tools", "mode": "required", "tools": [NAMED]}},
    "items": {"model": TOOLS, "tools": [FUNCTION], "input": [
        {"role": "user", "content": [{"type": "input_text", "text": QUESTION}]},
        {"role": "assistant", "content": "I look."},
        {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "sunny"}]},
}  # fmt: skip


@pytest.fixture(scope="module")
def accepts() -> Accepts:
    """Assert that a schema of the published ones accepts a value."""
    published = json.loads(Path(SCHEMA).read_text())
    _amended(published["components"]["schemas"])
    components = {"components": published["components"]}
    validators: dict[str, jsonschema.Draft202012Validator] = {}

    def check(name: str, value: Any) -> None:
        if name not in validators:
            one = {"$ref": f"#/components/schemas/{name}", **components}
            validators[name] = jsonschema.Draft202012Validator(one)
        wrong = jsonschema.exceptions.best_match(validators[name].iter_errors(value))
        assert wrong is None, f"{name}, at {wrong.json_path}: {wrong.message}"

    return check


def _amended(schemas: dict[str, Any]) -> None:
    """Let be null what OpenAI's own examples show as null, and base64 what is asked in base64."""
    _with_nulls(schemas)
    chunk = schemas["CreateCompletionResponse"]["properties"]  # of a stream too
    reason = chunk["choices"]["items"]["properties"]
    reason["finish_reason"] = {"anyOf": [reason["finish_reason"], {"type": "null"}]}
    chunk["usage"] = {"anyOf": [chunk["usage"], {"type": "null"}]}
    for part in schemas["Response"]["allOf"]:  # begun, it has none yet
        if "usage" in part.get("properties", {}):
            properties = part["properties"]
            properties["usage"] = {"anyOf": [properties["usage"], {"type": "null"}]}
    vector = schemas["Embedding"]["properties"]
    vector["embedding"] = {"anyOf": [vector["embedding"], {"type": "string"}]}


def _with_nulls(schema: Any) -> None:
    """`nullable` is of OpenAPI 3.0; the document says that it is of 3.1."""
    if isinstance(schema, list):
        for one in schema:
            _with_nulls(one)
    elif isinstance(schema, dict):
        for one in list(schema.values()):
            _with_nulls(one)
        if schema.pop("nullable", None) is True:
            one = dict(schema)
            schema.clear()
            schema["anyOf"] = [one, {"type": "null"}]


@pytest.fixture(scope="module")
def client(node: Served) -> Iterator[httpx.Client]:
    bearer = {"authorization": f"Bearer {node.key}"}
    with httpx.Client(base_url=f"{node.v1}/", headers=bearer, timeout=300) as made:
        yield made


def asked(client: httpx.Client, path: str, body: dict[str, Any]) -> Any:
    answer = client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def streamed(client: httpx.Client, path: str, body: dict[str, Any]) -> list[Any]:
    text = client.post(path, json={**body, "stream": True}).text
    lines = [line.removeprefix("data: ") for line in text.split("\n") if line.startswith("data: ")]
    assert len(lines) > 2
    return [json.loads(line) for line in lines if line != "[DONE]"]


def test_models(client: httpx.Client, accepts: Accepts) -> None:
    accepts("ListModelsResponse", client.get("models").json())
    accepts("Model", client.get(f"models/{CHAT}").json())


@pytest.mark.parametrize("kind", CHATS)
def test_chat(client: httpx.Client, accepts: Accepts, kind: str) -> None:
    said = [{"role": "user", "content": QUESTION}]
    body = {"model": CHAT, "messages": said, "max_tokens": 30, **CHATS[kind]}
    accepts("CreateChatCompletionResponse", asked(client, "chat/completions", body))
    for options in ({}, {"stream_options": {"include_usage": True}}):
        for chunk in streamed(client, "chat/completions", body | options):
            accepts("CreateChatCompletionStreamResponse", chunk)


@pytest.mark.parametrize("kind", COMPLETIONS)
def test_completions(client: httpx.Client, accepts: Accepts, kind: str) -> None:
    body = {"model": CHAT, "prompt": "The capital", "max_tokens": 5, **COMPLETIONS[kind]}
    accepts("CreateCompletionResponse", asked(client, "completions", body))
    for chunk in streamed(
        client, "completions", body | {"stream_options": {"include_usage": True}}
    ):
        accepts("CreateCompletionResponse", chunk)


@pytest.mark.parametrize("kind", RESPONSES)
def test_responses(client: httpx.Client, accepts: Accepts, kind: str) -> None:
    body = {"model": CHAT, "input": QUESTION, "max_output_tokens": 60, **RESPONSES[kind]}
    answer = asked(client, "responses", body)
    accepts("Response", answer)
    accepts("Response", client.get(f"responses/{answer['id']}").json())
    accepts("ResponseItemList", client.get(f"responses/{answer['id']}/input_items").json())
    for event in streamed(client, "responses", body):
        accepts("ResponseStreamEvent", event)


def test_embeddings(client: httpx.Client, accepts: Accepts) -> None:
    body = {"model": VECTORS, "input": ["a", "b"]}
    accepts("CreateEmbeddingResponse", asked(client, "embeddings", body))
    accepts(
        "CreateEmbeddingResponse", asked(client, "embeddings", body | {"encoding_format": "base64"})
    )


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "chat/completions", {"model": "nobody-has-it", "messages": []}),
        ("POST", "chat/completions", {}),
        ("POST", "embeddings", {"model": CHAT, "input": "x"}),
        ("GET", "models/nobody-has-it", None),
        ("GET", "responses/resp_none", None),
        ("GET", "nope", None),
    ],
)
def test_errors(client: httpx.Client, accepts: Accepts, method: str, path: str, body: Any) -> None:
    answer = client.request(method, path, json=body)
    assert answer.status_code in (400, 404)
    accepts("ErrorResponse", answer.json())
