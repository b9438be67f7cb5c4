"""Errors have the shape of the API whose path it is, also before the path's route is asked."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from aiplat.domain.answers import Delta, Failed
from aiplat.domain.errors import ProcessorLost
from aiplat.http.app import make_public_app
from aiplat.http.asgi import App
from aiplat.http.settings import HttpSettings
from aiplat.telemetry.metrics import Metrics
from tests.support.fake_node import TOKEN, FakeNode, started
from tests.unit.http.asgi_client import GOOD, JSON, Answer, call

VERSION = {"anthropic-version": "2023-06-01"}
OPENAIS, ANTHROPICS, OLLAMAS = "openai", "anthropic", "ollama"


class House:
    def __init__(self) -> None:
        self.node = FakeNode()
        self.app: App = make_public_app(self.node, HttpSettings(), TOKEN, Metrics())


@pytest.fixture
async def house() -> House:
    return House()


def shape_of(answer: Answer) -> str:
    """The API whose shape of an error it is; nothing else is in it."""
    fields: dict[str, Any] = answer.json
    if sorted(fields) == ["error", "request_id", "type"]:
        assert fields["type"] == "error"
        assert sorted(fields["error"]) == ["message", "type"]
        assert fields["request_id"] == answer.headers["x-request-id"]
        return ANTHROPICS
    assert list(fields) == ["error"]
    if isinstance(fields["error"], str):
        return OLLAMAS
    assert sorted(fields["error"]) == ["code", "message", "param", "type"]
    return OPENAIS


PATHS = [
    ("/v1/messages", {}, ANTHROPICS),
    ("/v1/messages/count_tokens", {}, ANTHROPICS),
    ("/v1/messages/batches", VERSION, ANTHROPICS),
    ("/v1/models/none", VERSION, ANTHROPICS),
    ("/v1/models/none", {}, OPENAIS),
    ("/v1/nothing", {}, OPENAIS),
    ("/v1/chat/completions", {}, OPENAIS),
    ("/api/chat", {}, OLLAMAS),
    ("/api/nothing", {}, OLLAMAS),
    ("/api/blobs/sha256:00", {}, OLLAMAS),
]


@pytest.mark.parametrize(("path", "more", "shape"), PATHS)
async def test_each_path_has_the_errors_of_its_api(
    house: House, path: str, more: dict[str, str], shape: str
) -> None:
    foreign = await call(house.app, "GET", path, {**more, "host": "evil.example"})
    without = await call(house.app, "GET", path, {**more, "host": "localhost"})
    wrong = await call(house.app, "GET", path, {**GOOD, **more})
    assert (foreign.status, without.status) == (403, 401)
    assert wrong.status in (404, 405)
    assert [shape_of(answer) for answer in (foreign, without, wrong)] == [shape] * 3
    assert "www-authenticate" in without.headers
    if shape == ANTHROPICS:
        assert without.json["error"]["type"] == "authentication_error"
        assert without.headers["request-id"] == without.headers["x-request-id"]


async def test_a_body_that_is_too_large(house: House) -> None:
    body = b" " * 900_001
    answer = await call(house.app, "POST", "/v1/messages", JSON, body)
    assert (answer.status, answer.json["error"]["type"]) == (413, "request_too_large")
    answer = await call(house.app, "POST", "/api/chat", JSON, body)
    assert answer.status == 413
    assert "900001" in answer.json["error"]


async def test_what_may_be_said_in_any_media_type_is_still_never_packed(house: House) -> None:
    body = b'{"model":"echo","prompt":"hi","stream":false}'
    for headers in (GOOD, {**GOOD, "content-type": "text/plain"}):
        answer = await call(house.app, "POST", "/api/generate", headers, body)
        assert (answer.status, answer.json["response"]) == (200, "hi ")
    packed = {**GOOD, "content-encoding": "gzip"}
    assert (await call(house.app, "POST", "/api/generate", packed, body)).status == 415
    assert (await call(house.app, "POST", "/v1/messages", GOOD, body)).status == 415


async def test_what_nobody_foresaw_has_no_words(house: House) -> None:
    def broken(peer: str = "") -> None:
        raise RuntimeError("the prompt")

    house.node.inference = broken  # type: ignore[method-assign, assignment]  # in place of its own
    wish = {"model": "echo", "max_tokens": 1, "messages": [{"role": "user", "content": "hi"}]}
    for path in ("/v1/messages", "/api/chat"):
        answer = await call(house.app, "POST", path, JSON, msgspec.json.encode(wish))
        assert answer.status == 500
        assert b"prompt" not in answer.body


async def test_how_a_stream_that_was_begun_ends_in_an_error(house: House) -> None:
    lost = ProcessorLost("Gone.")
    house.node.answers.script = lambda submission: [started(), Delta((1,), "x"), Failed.of(lost)]
    wish = {
        "model": "echo", "max_tokens": 1, "messages": [{"role": "user", "content": "hi"}],
        "stream": True,
    }  # fmt: skip
    body = msgspec.json.encode(wish)
    answer = await call(house.app, "POST", "/v1/messages", JSON, body)
    last = answer.body.removesuffix(b"\n\n").rpartition(b"\n\n")[2]
    name, data = last.split(b"\n")
    assert name == b"event: error"
    assert msgspec.json.decode(data.removeprefix(b"data: ")) == {
        "type": "error", "error": {"type": "api_error", "message": "Gone."},
        "request_id": answer.headers["x-request-id"],
    }  # fmt: skip
    answer = await call(house.app, "POST", "/api/chat", JSON, body)
    assert answer.body.splitlines()[-1] == b'{"error":"Gone."}'
    assert answer.body.endswith(b"\n")


async def test_a_key_sees_its_models_alone_in_every_api(house: House) -> None:
    key = "sk-aip-0123"
    house.node.keys[key], house.node.key_models[key] = ("inference",), ("org/large",)
    theirs = {**GOOD, "authorization": f"Bearer {key}"}
    listed = await call(house.app, "GET", "/v1/models", {**theirs, **VERSION})
    assert [one["id"] for one in listed.json["data"]] == ["org/large"]
    assert (await call(house.app, "GET", "/v1/models/echo", {**theirs, **VERSION})).status == 404
    tags = await call(house.app, "GET", "/api/tags", theirs)
    assert [one["name"] for one in tags.json["models"]] == ["org/large"]
    assert (await call(house.app, "GET", "/api/ps", theirs)).json == {"models": []}
    shown = await call(house.app, "POST", "/api/show", theirs, b'{"model":"echo"}')
    assert shown.status == 404
