"""The front door's application without a socket: its routes, and any JSON at all."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from aiplat.domain.answers import Delta, Submission
from aiplat.domain.errors import NoProcessor
from aiplat.http.app import make_public_app
from aiplat.http.asgi import App
from aiplat.http.settings import HttpSettings
from aiplat.telemetry.metrics import Metrics
from tests.support.fake_node import TOKEN, FakeNode, Step, finished, started
from tests.unit.http.asgi_client import GOOD, JSON, call

CHAT = "/v1/chat/completions"
HI = msgspec.json.encode({"messages": [{"role": "user", "content": "hi"}]})


class House:
    def __init__(self) -> None:
        self.node = FakeNode()
        self.metrics = Metrics()
        self.app: App = make_public_app(self.node, HttpSettings(), TOKEN, self.metrics)


@pytest.fixture
async def house() -> House:
    return House()


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/echo", "/v1/nothing", "/metrics", CHAT])
async def test_these_ask_for_the_token(house: House, path: str) -> None:
    answer = await call(house.app, "GET", path, {"host": "localhost"})
    assert answer.status == 401
    assert answer.error["code"] == "invalid_api_key"
    assert answer.error["type"] == "authentication_error"
    assert "aiplat env" in answer.error["message"]
    assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("path", ["/healthz", "/health", "/readyz"])
async def test_health_is_open_but_not_under_a_foreign_name(house: House, path: str) -> None:
    assert (await call(house.app, "GET", path, {"host": "localhost"})).status == 200
    answer = await call(house.app, "GET", path, {"host": "evil.example"})
    assert (answer.status, answer.error["type"]) == (403, "permission_error")


async def test_readiness_says_what_is_missing(house: House) -> None:
    house.node.lacking = ("no gateway is connected",)
    answer = await call(house.app, "GET", "/readyz")
    assert answer.status == 503
    assert answer.json["missing"] == ["no gateway is connected"]
    assert answer.headers["retry-after"] == "2"


async def test_models_are_listed_without_those_that_are_broken(house: House) -> None:
    answer = await call(house.app, "GET", "/v1/models")
    assert answer.json["object"] == "list"
    assert [(one["id"], one["state"]) for one in answer.json["data"]] == [
        ("echo", "ready"), ("org/large", "loading"),
    ]  # fmt: skip


async def test_a_key_that_may_ask_some_models_sees_those(house: House) -> None:
    key = "sk-aip-0123"
    house.node.keys[key], house.node.key_models[key] = ("inference",), ("org/large", "no/more")
    theirs = GOOD | {"authorization": f"Bearer {key}"}
    answer = await call(house.app, "GET", "/v1/models", theirs)
    assert [one["id"] for one in answer.json["data"]] == ["org/large"]
    assert (await call(house.app, "GET", "/v1/models/echo", theirs)).status == 404


async def test_one_model_whose_name_has_a_slash(house: House) -> None:
    assert (await call(house.app, "GET", "/v1/models/org/large")).json["id"] == "org/large"
    answer = await call(house.app, "GET", "/v1/models/ecko")
    assert (answer.status, answer.error["code"]) == (404, "model_not_found")
    assert "echo" in answer.error["message"]


async def test_no_gateway_to_ask_for_models(house: House) -> None:
    house.node.not_there = NoProcessor("No gateway.", retry_after=3)
    answer = await call(house.app, "GET", "/v1/models")
    assert (answer.status, answer.headers["retry-after"]) == (503, "3")


async def test_paths_and_methods_that_are_not(house: House) -> None:
    assert (await call(house.app, "GET", "/nothing")).status == 404
    assert (await call(house.app, "PATCH", "/v1/none")).error["code"] == "not_found"
    answer = await call(house.app, "GET", CHAT)
    assert (answer.status, answer.headers["allow"]) == (405, "OPTIONS, POST")
    assert answer.error["code"] == "method_not_allowed"


async def test_head_and_options(house: House) -> None:
    assert (await call(house.app, "HEAD", "/healthz")).status == 200
    answer = await call(house.app, "OPTIONS", "/v1/models")
    assert (answer.status, answer.headers["allow"]) == (204, "GET, HEAD, OPTIONS")
    assert answer.body == b""


async def test_metrics(house: House) -> None:
    await call(house.app, "GET", "/metrics", {"host": "localhost"})
    answer = await call(house.app, "GET", "/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert b'aiplat_auth_failures_total{reason="missing"} 1.0' in answer.body


@pytest.mark.parametrize(
    "headers",
    [
        GOOD,
        {**GOOD, "content-type": "text/plain"},
        {**GOOD, "content-type": "application/json; charset=latin-1"},
        {**JSON, "content-encoding": "gzip"},
    ],
)
async def test_only_plain_json_is_read(house: House, headers: dict[str, str]) -> None:
    answer = await call(house.app, "POST", CHAT, headers, HI)
    assert (answer.status, answer.error["code"]) == (415, "unsupported_media_type")


async def test_a_charset_that_json_has_is_fine(house: House) -> None:
    headers = {**GOOD, "content-type": 'Application/JSON; charset="UTF-8"'}
    assert (await call(house.app, "POST", CHAT, headers, HI)).status == 200


async def test_a_body_over_its_bound_is_refused_with_both_numbers(house: House) -> None:
    body = b" " * 900_001
    answer = await call(house.app, "POST", CHAT, JSON, body)
    assert (answer.status, answer.error["code"]) == (413, "request_too_large")
    assert "900001" in answer.error["message"]
    assert "900000" in answer.error["message"]
    hits = house.metrics.registry.get_sample_value(
        "aiplat_bound_hits_total", {"bound": "http_body"}
    )
    assert hits == 1


@pytest.mark.parametrize("value", ["0", "-1", "x", "1.5", "86400001", "9" * 30, "²"])
async def test_deadlines_that_are_none(house: House, value: str) -> None:
    answer = await call(house.app, "POST", CHAT, {**JSON, "x-aiplat-deadline-ms": value}, HI)
    assert (answer.status, answer.error["param"]) == (400, "x-aiplat-deadline-ms")
    assert not house.node.answers.asked


async def test_the_deadline_goes_with_the_request(house: House) -> None:
    await call(house.app, "POST", CHAT, {**JSON, "x-aiplat-deadline-ms": "4321"}, HI)
    await call(house.app, "POST", CHAT, JSON, HI)
    assert [one.submission.deadline_ms for one in house.node.answers.asked] == [4321, 600_000]


async def test_the_privacy_class_goes_with_the_request(house: House) -> None:
    for value in ("machine", "network", "any"):
        await call(house.app, "POST", CHAT, {**JSON, "x-aiplat-privacy": value}, HI)
    await call(house.app, "POST", CHAT, JSON, HI)
    asked = [one.submission.privacy for one in house.node.answers.asked]
    assert asked == ["machine", "network", "any", "any"]


async def test_a_privacy_class_that_is_none_is_refused_and_asks_nobody(house: House) -> None:
    answer = await call(house.app, "POST", CHAT, {**JSON, "x-aiplat-privacy": "Machine"}, HI)
    assert (answer.status, answer.error["param"]) == (400, "x-aiplat-privacy")
    assert "any, network or machine, but is 'Machine'" in answer.error["message"]
    body = msgspec.json.encode(msgspec.json.decode(HI) | {"privacy": "machine"})
    answer = await call(house.app, "POST", CHAT, JSON, body)
    assert (answer.status, answer.error["param"]) == (400, "privacy")
    assert not house.node.answers.asked


async def test_an_answer_names_its_request_and_its_measured_wait(house: House) -> None:
    answer = await call(house.app, "POST", CHAT, JSON, HI)
    (asking,) = house.node.answers.asked
    assert answer.headers["x-request-id"] == asking.submission.id
    assert answer.headers["x-aiplat-queue-ms"] == "1.5"
    assert answer.headers["x-aiplat-attempts"] == "1"
    assert asking.submission.credential == ""  # the local token stays here


async def test_a_stream_says_how_many_were_tried_before_its_first_byte(house: House) -> None:
    def twice(submission: Submission) -> list[Step]:
        return [replace(started(), attempts=2), Delta((1,), "hi"), finished(1)]

    house.node.answers.script = twice
    wish = {"messages": [{"role": "user", "content": "hi"}], "stream": True}
    answer = await call(house.app, "POST", CHAT, JSON, msgspec.json.encode(wish))
    assert (answer.status, answer.headers["x-aiplat-attempts"]) == (200, "2")


async def test_what_nobody_foresaw_is_a_500_without_words(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(peer: str = "") -> None:
        raise RuntimeError("the prompt")

    house.node.inference = broken  # type: ignore[method-assign, assignment]  # in place of its own
    answer = await call(house.app, "POST", CHAT, JSON, HI)
    assert (answer.status, answer.error["type"]) == (500, "api_error")
    assert "prompt" not in answer.error["message"]
    assert "a request failed" in caplog.text


# -- any JSON --------------------------------------------------------------------------------

JSON_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
PARTS = st.fixed_dictionaries(
    {}, optional={"type": st.sampled_from(["text", "image_url", 1]), "text": JSON_VALUES}
)
MESSAGES = st.fixed_dictionaries(
    {},
    optional={
        "role": st.sampled_from(["user", "system", "developer", "assistant", "tool", "x", None, 1]),
        "content": st.text(max_size=8) | st.lists(PARTS, max_size=2) | JSON_VALUES,
        "tool_calls": JSON_VALUES,
    },
)
NAMES = [
    "model", "temperature", "top_p", "max_tokens", "max_completion_tokens", "seed", "stop", "top_k",
    "min_p", "logit_bias", "repetition_penalty", "presence_penalty", "frequency_penalty",
    "logprobs", "top_logprobs", "n", "tools", "stream", "response_format", "stream_options", "user",
    "store", "audio", "modalities",
]  # fmt: skip
SENSIBLE = st.sampled_from(
    [0, 1, 2, 0.5, -1, True, False, "a", ["a"], {"include_usage": True}, {"type": "text"}, {"1": 2}]
)
REQUESTS = st.builds(
    lambda fields, messages: {**fields, **messages},
    st.dictionaries(st.sampled_from(NAMES), SENSIBLE | JSON_VALUES, max_size=5),
    st.fixed_dictionaries(
        {}, optional={"messages": st.lists(MESSAGES | JSON_VALUES, max_size=3) | JSON_VALUES}
    ),
)


@given(REQUESTS | JSON_VALUES)
def test_any_json_gets_a_well_formed_answer_or_error(value: Any) -> None:
    async def ask() -> None:
        answer = await call(House().app, "POST", CHAT, JSON, msgspec.json.encode(value))
        if answer.status == 200:
            assert answer.body.endswith(b"data: [DONE]\n\n") or answer.json["choices"]
        else:
            assert answer.status == 400
            assert answer.error["type"] == "invalid_request_error"

    trio.run(ask)


@given(st.binary(max_size=60))
def test_any_bytes_get_a_well_formed_error(body: bytes) -> None:
    async def ask() -> None:
        assert (await call(House().app, "POST", CHAT, JSON, body)).status == 400

    trio.run(ask)
