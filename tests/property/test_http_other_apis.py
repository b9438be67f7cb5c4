"""Any JSON at all, at Anthropic's and Ollama's routes: an answer or an error of their shape."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from aiplat.domain.answers import Delta, Finished, Submission
from aiplat.domain.chat import Embed
from aiplat.domain.usage import Usage
from aiplat.http.app import make_public_app
from aiplat.http.settings import HttpSettings
from aiplat.telemetry.metrics import Metrics
from tests.support.fake_node import TOKEN, FakeNode, Step, started
from tests.unit.http.asgi_client import JSON, Answer, call

ANTHROPICS = ("/v1/messages", "/v1/messages/count_tokens")
OLLAMAS = ("/api/chat", "/api/generate", "/api/embed", "/api/embeddings", "/api/show")

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
KINDS = ["text", "tool_use", "tool_result", "thinking", "image", "custom", "auto", "any", "tool", 1]
SENSIBLE = st.sampled_from(
    [0, 1, 2, 0.5, -1, True, False, "", "a", "echo", ["a"], {"type": "text"}]
)
PARTS = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(KINDS),
        **dict.fromkeys(
            ("text", "id", "name", "input", "tool_use_id", "content", "is_error", "input_schema",
             "function", "arguments", "cache_control", "user_id", "temperature", "stop"),
            SENSIBLE | VALUES,
        ),
    },
)  # fmt: skip
MESSAGES = st.fixed_dictionaries(
    {},
    optional={
        "role": st.sampled_from(["user", "assistant", "system", "tool", "x", None, 1]),
        "content": st.text(max_size=8) | st.lists(PARTS, max_size=2) | VALUES,
        "tool_calls": st.lists(PARTS, max_size=2) | VALUES,
        "images": VALUES,
        "tool_name": VALUES,
    },
)
NAMES = [
    "model", "name", "max_tokens", "system", "temperature", "top_p", "top_k", "stop_sequences",
    "stream", "thinking", "metadata", "service_tier", "container", "output_config", "options",
    "format", "keep_alive", "think", "raw", "template", "prompt", "suffix", "input", "truncate",
    "dimensions", "logprobs", "top_logprobs", "tool_choice",
]  # fmt: skip
REQUESTS = st.builds(
    lambda fields, more: {"model": "echo", "max_tokens": 5, **fields, **more},
    st.dictionaries(st.sampled_from(NAMES), SENSIBLE | PARTS | VALUES, max_size=5),
    st.fixed_dictionaries(
        {},
        optional={
            "messages": st.lists(MESSAGES | VALUES, max_size=3) | VALUES,
            "tools": st.lists(PARTS | VALUES, max_size=2) | VALUES,
        },
    ),
)


def answers(submission: Submission) -> list[Step]:
    """A word, or a vector for each text."""
    work = submission.work
    if isinstance(work, Embed):
        return [started(), Delta(vectors=(b"\0\0\0\0",) * len(work.inputs)),
                Finished("stop", Usage(5, 0))]  # fmt: skip
    return [started(), Delta((1,), "x"), Finished("stop", Usage(5, 1))]


def asked(path: str, body: bytes) -> Answer:
    """The answer of a fresh door."""
    app = make_public_app(FakeNode(answers), HttpSettings(), TOKEN, Metrics())

    async def ask() -> Answer:
        return await call(app, "POST", path, JSON, body)

    return trio.run(ask)


def check(path: str, answer: Answer) -> None:
    """Its status is one that a stranger can bring about, and its shape is the API's."""
    assert answer.status in (200, 400, 404)
    if answer.status != 200 and path in ANTHROPICS:
        assert sorted(answer.json) == ["error", "request_id", "type"]
        assert answer.json["error"]["type"] in ("invalid_request_error", "not_found_error")
    elif answer.status != 200:
        assert list(answer.json) == ["error"]
        assert isinstance(answer.json["error"], str)
    elif answer.headers["content-type"].startswith("text/event-stream"):
        assert answer.body.endswith(b'event: message_stop\ndata: {"type":"message_stop"}\n\n')
    elif answer.headers["content-type"] == "application/x-ndjson":
        assert msgspec.json.decode(answer.body.splitlines()[-1])["done"] is True
    else:
        assert isinstance(answer.json, dict)


@pytest.mark.parametrize("path", [*ANTHROPICS, *OLLAMAS])
@given(value=REQUESTS | VALUES)
def test_any_json_gets_a_well_formed_answer_or_error(path: str, value: Any) -> None:
    check(path, asked(path, msgspec.json.encode(value)))


@pytest.mark.parametrize("path", [ANTHROPICS[0], OLLAMAS[0]])
@given(body=st.binary(max_size=60))
def test_any_bytes_get_a_well_formed_error(path: str, body: bytes) -> None:
    answer = asked(path, body)
    assert answer.status == 400
    check(path, answer)


@pytest.mark.parametrize("path", [*ANTHROPICS, "/api/chat"])
def test_json_that_is_nested_as_deeply_as_can_be(path: str) -> None:
    for depth in (100, 500, 900, 990, 1000, 1100, 5000):
        deep = b'{"a":' * depth + b"1" + b"}" * depth
        call_of = (
            b'{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"b","input":'
            + deep + b'}],"tool_calls":[{"function":{"name":"b","arguments":' + deep + b"}}]}"
        )  # fmt: skip
        if path == "/api/chat":
            call_of = call_of.replace(b'"content":[', b'"content":"","x":[')
        body = (
            b'{"model":"echo","max_tokens":5,"messages":[{"role":"user","content":"x"},' + call_of
            + b',{"role":"user","content":"y"}],"tools":[{"name":"b","input_schema":' + deep
            + b',"type":"function","function":{"name":"b","parameters":' + deep + b"}}]}"
        )  # fmt: skip
        check(path, asked(path, body))
