"""The rate-limit headers, as OpenAI writes them: on every answer to a key that has limits."""

from __future__ import annotations

import re
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiplat.domain.accounts import RateState
from aiplat.domain.errors import RateLimited
from aiplat.http.app import make_public_app
from aiplat.http.asgi import JSON, Request
from aiplat.http.limits import LimitHeaders, duration, headers_of
from aiplat.http.settings import HttpSettings
from aiplat.telemetry.metrics import Metrics
from tests.support.fake_node import TOKEN, FakeNode
from tests.unit.http.asgi_client import Answer, call


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"), (-5, "0s"), (1e-9, "1ms"), (0.0171, "18ms"), (0.25, "250ms"), (0.999, "999ms"),
        (0.9991, "1s"), (0.99999, "1s"), (1, "1s"), (1.0001, "2s"), (59, "59s"), (59.1, "1m0s"),
        (60, "1m0s"), (61, "1m1s"), (360, "6m0s"), (3599.5, "1h0m0s"), (3600, "1h0m0s"),
        (3661, "1h1m1s"), (90_061, "25h1m1s"),
    ],
)  # fmt: skip
def test_a_time_as_openai_writes_it(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@given(st.floats(0, 10**7))
def test_a_time_is_never_shorter_than_it_is(seconds: float) -> None:
    text = duration(seconds)
    found = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?|(\d+)ms", text)
    assert found is not None, text
    hours, minutes, whole, milliseconds = (int(part or 0) for part in found.groups())
    told = 3600 * hours + 60 * minutes + whole + milliseconds / 1000
    assert seconds <= told + 1e-9
    assert told - seconds < 1.001
    assert milliseconds < 1000 and whole < 60 and minutes < 60


def test_each_limit_has_three() -> None:
    state = RateState(
        requests_limit=60, requests_remaining=59, requests_reset=0.9,
        tokens_limit=20_000, tokens_remaining=19_500, tokens_reset=360.0,
    )  # fmt: skip
    assert headers_of(state) == (
        (b"x-ratelimit-limit-requests", b"60"), (b"x-ratelimit-remaining-requests", b"59"),
        (b"x-ratelimit-reset-requests", b"900ms"), (b"x-ratelimit-limit-tokens", b"20000"),
        (b"x-ratelimit-remaining-tokens", b"19500"), (b"x-ratelimit-reset-tokens", b"6m0s"),
    )  # fmt: skip


def test_without_a_limit_there_is_none() -> None:
    assert headers_of(RateState()) == ()
    only = headers_of(RateState(tokens_limit=5, tokens_remaining=5))
    assert {name.rsplit(b"-", 1)[1] for name, _ in only} == {b"tokens"}
    assert headers_of(RateState(requests_limit=5)) == ()


def test_what_remains_is_never_less_than_nothing() -> None:
    state = RateState(requests_limit=1, requests_remaining=-3, tokens_limit=9, tokens_remaining=-1)
    told = dict(headers_of(state))
    assert told[b"x-ratelimit-remaining-requests"] == told[b"x-ratelimit-remaining-tokens"] == b"0"


async def request() -> Request:
    async def nothing(*_: Any) -> Any:
        raise AssertionError

    scope = {"method": "GET", "path": "/", "headers": []}
    return Request(scope, nothing, nothing)


async def test_they_are_told_at_the_moment_that_the_answer_begins() -> None:
    states = {"key": RateState(requests_limit=5, requests_remaining=5), "": None}
    asked: list[str] = []

    def rate(credential: str) -> RateState | None:
        asked.append(credential)
        return states[credential]

    one = await request()
    LimitHeaders(rate).promise(one)
    assert one.more_headers(one) == (), "whoever it is, is not known yet"
    assert asked == []
    one.credential, one.is_known = "key", True
    states["key"] = RateState(requests_limit=5, requests_remaining=3)
    assert dict(one.more_headers(one))[b"x-ratelimit-remaining-requests"] == b"3"
    one.credential = ""
    assert one.more_headers(one) == ()
    assert asked == ["key", ""]


# -- on answers ------------------------------------------------------------------------------------

KEY = "sk-aip-abc-def"
HI = b'{"messages": [{"role": "user", "content": "hi"}]}'


def of(answer: Answer) -> dict[str, str]:
    return {name: text for name, text in answer.headers.items() if name.startswith("x-ratelimit")}


@pytest.fixture
def node() -> FakeNode:
    node = FakeNode()
    node.keys = {KEY: ("inference",), f"{KEY}2": ("usage",)}
    node.rates = {KEY: RateState(requests_limit=5, requests_remaining=2, requests_reset=3.0)}
    return node


async def test_every_answer_to_a_known_key_has_them(node: FakeNode) -> None:
    app = make_public_app(cast(Any, node), HttpSettings(), TOKEN, Metrics())
    bearer = {"host": "localhost", "authorization": f"Bearer {KEY}", "content-type": JSON.decode()}
    expected = {
        "x-ratelimit-limit-requests": "5", "x-ratelimit-remaining-requests": "2",
        "x-ratelimit-reset-requests": "3s",
    }  # fmt: skip
    for method, path, body, status in (
        ("GET", "/v1/models", b"", 200), ("GET", "/v1/nothing", b"", 404),
        ("POST", "/v1/chat/completions", b"{", 400), ("DELETE", "/v1/models", b"", 405),
    ):  # fmt: skip
        answer = await call(app, method, path, bearer, body)
        assert (answer.status, of(answer)) == (status, expected), path
    node.not_there = RateLimited("too many", retry_after=7)
    answer = await call(app, "POST", "/v1/chat/completions", bearer, HI)
    assert (answer.status, of(answer), answer.headers["retry-after"]) == (429, expected, "7")
    by_key = {"host": "localhost", "x-api-key": KEY}
    assert of(await call(app, "GET", "/v1/nothing", by_key)) == expected


async def test_who_is_not_known_is_told_nothing(node: FakeNode) -> None:
    app = make_public_app(cast(Any, node), HttpSettings(), TOKEN, Metrics())
    for key, path, status in (
        (f"{KEY}x", "/v1/models", 401), (f"{KEY}2", "/v1/models", 403), (KEY, "/healthz", 200),
        (KEY, "/metrics", 403), ("", "/v1/models", 401),
    ):  # fmt: skip
        headers = {"host": "localhost"} | ({"authorization": f"Bearer {key}"} if key else {})
        answer = await call(app, "GET", path, headers)
        assert (answer.status, of(answer)) == (status, {}), path
