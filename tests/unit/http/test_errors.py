"""Every leaf has a status, a type and a code, in one shape."""

from __future__ import annotations

import msgspec
import pytest

from aiplat.domain.errors import LEAVES, AiplatError, Overloaded, RateLimited
from aiplat.http.errors import problem_of

TYPES = {
    "invalid_request_error", "authentication_error", "permission_error", "rate_limit_error",
    "insufficient_quota", "service_unavailable_error", "api_error",
}  # fmt: skip
STATUSES = {
    "invalid_request": 400, "unsupported_parameter": 400, "context_length_exceeded": 400,
    "invalid_api_key": 401, "permission_denied": 403, "not_a_member": 403,
    "user_disabled": 403, "insufficient_quota": 429,
    "model_not_found": 404,
    "request_too_large": 413, "rate_limit_exceeded": 429, "internal": 500, "config_error": 500,
    "no_peer": 502, "processor_lost": 502, "gateway_lost": 502, "engine_failed": 502,
    "overloaded": 503, "no_processor": 503, "shutting_down": 503, "not_ready": 503,
    "deadline_exceeded": 504,
}  # fmt: skip


@pytest.mark.parametrize("code", LEAVES)
def test_each_leaf_as_http_shows_it(code: str) -> None:
    problem = problem_of(LEAVES[code]("It is so.", param="model"))
    error = msgspec.json.decode(problem.body())["error"]
    assert problem.status == STATUSES[code]
    assert error["type"] in TYPES
    assert error["code"] == (None if code == "invalid_request" else code)
    assert (error["message"], error["param"]) == ("It is so.", "model")
    assert (b"retry-after" in dict(problem.headers)) == (problem.status in (429, 503))


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(None, b"1"), (0.0, b"1"), (1.2, b"2"), (7, b"7"), (float("inf"), b"3600")],
)
def test_when_to_come_back_is_in_whole_seconds_rounded_up(
    seconds: float | None, said: bytes
) -> None:
    assert dict(problem_of(RateLimited("Slow.", retry_after=seconds)).headers)[
        b"retry-after"
    ] == said  # fmt: skip


def test_what_nobody_foresaw_keeps_its_words_to_itself() -> None:
    problem = problem_of(RuntimeError("the prompt was: secret"))
    assert problem.status == 500
    assert "secret" not in problem.message


def test_a_strangers_bytes_do_not_break_the_answer() -> None:
    assert b"?" in problem_of(AiplatError("\ud800")).body()
    assert problem_of(Overloaded("x")).code == "overloaded"
