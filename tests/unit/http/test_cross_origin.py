"""Pages of other origins: none by default, and those that are allowed only where programs ask."""

from __future__ import annotations

import pytest

from aiplat.domain.errors import ConfigError
from aiplat.http.app import make_public_app
from aiplat.http.asgi import App
from aiplat.http.cross_origin import CrossOrigin
from aiplat.http.settings import HttpSettings
from aiplat.telemetry.metrics import Metrics
from tests.support.fake_node import TOKEN, FakeNode
from tests.unit.http.asgi_client import GOOD, JSON, call

PAGE = "https://app.example"


def door(*origins: str) -> App:
    return make_public_app(FakeNode(), HttpSettings(allowed_origins=origins), TOKEN, Metrics())


def preflight(origin: str = PAGE, headers: str = "authorization", **more: str) -> dict[str, str]:
    return {
        "host": "localhost", "origin": origin, "access-control-request-method": "POST",
        "access-control-request-headers": headers, **more,
    }  # fmt: skip


async def test_none_may_by_default() -> None:
    for headers in (preflight(), {**GOOD, "origin": PAGE}):
        method = "OPTIONS" if "access-control-request-method" in headers else "GET"
        answer = await call(door(), method, "/v1/models", headers)
        assert (answer.status, answer.error["code"]) == (403, "permission_denied")
        assert "http.allowed_origins" in answer.error["message"]
        assert not [name for name in answer.headers if name.startswith("access-control")]
    assert "vary" not in (await call(door(), "GET", "/v1/models")).headers


async def test_a_browser_that_asks_before_needs_no_key() -> None:
    wanted = "authorization, content-type, x-api-key, anthropic-version, x-stainless-os, x-evil"
    answer = await call(
        door(PAGE), "OPTIONS", "/v1/chat/completions",
        preflight(headers=wanted, **{"access-control-request-private-network": "true"}),
    )  # fmt: skip
    assert answer.status == 204
    assert answer.headers["access-control-allow-origin"] == PAGE
    allowed = answer.headers["access-control-allow-headers"].split(", ")
    assert allowed == wanted.split(", ")[:-1]
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert answer.headers["access-control-allow-private-network"] == "true"
    assert answer.headers["vary"] == "Origin"
    assert "access-control-allow-credentials" not in answer.headers
    assert "content-length" not in answer.headers  # RFC 9110, 8.6


@pytest.mark.parametrize("path", ["/v1/models", "/healthz", "/readyz", "/v1/none"])
async def test_an_allowed_page_gets_answers_and_errors_it_can_read(path: str) -> None:
    answer = await call(door(PAGE), "GET", path, {**GOOD, "origin": PAGE.upper()})
    assert answer.status in (200, 404)
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert "x-request-id" in answer.headers["access-control-expose-headers"]
    assert "x-ratelimit-remaining-tokens" in answer.headers["access-control-expose-headers"]
    keyless = await call(door(PAGE), "GET", "/v1/models", {"host": "localhost", "origin": PAGE})
    assert (keyless.status, keyless.headers["access-control-allow-origin"]) == (401, PAGE)


@pytest.mark.parametrize("path", ["/", "/keys", "/metrics", "/control/status", "/docs"])
async def test_it_may_use_nothing_else(path: str) -> None:
    for method, headers in (("GET", {**JSON, "origin": PAGE}), ("OPTIONS", preflight())):
        answer = await call(door(PAGE), method, path, headers)
        assert answer.status == 403
        assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    "origin",
    ["https://app.example:444", "http://app.example", "https://app.example.evil.example", "null",
     "https://sub.app.example", "*", ""],
)  # fmt: skip
async def test_no_other_page_may(origin: str) -> None:
    answer = await call(door(PAGE), "GET", "/v1/models", {**GOOD, "origin": origin})
    assert answer.status == 403
    assert "access-control-allow-origin" not in answer.headers


async def test_answers_differ_by_origin_and_say_so() -> None:
    assert (await call(door(PAGE), "GET", "/v1/models")).headers["vary"] == "Origin"
    assert "vary" not in (await call(door(PAGE), "GET", "/metrics")).headers


@pytest.mark.parametrize(
    "origin",
    ["*", "https://*.example", "app.example", "https://app.example/", "https://app.example/x",
     "ftp://app.example", "null", "", "https://u@app.example", "https://app.example:x", "https://",
     "https://ä.example"],
)  # fmt: skip
def test_what_is_no_origin_is_refused_in_words(origin: str) -> None:
    with pytest.raises(ConfigError, match=r"http\.allowed_origins must be a scheme and a host"):
        CrossOrigin([origin])


@pytest.mark.parametrize(
    "origin", ["http://localhost:3000", "https://[::1]:8", "HTTPS://A.EXAMPLE"]
)
def test_what_is_one(origin: str) -> None:
    CrossOrigin([origin])
