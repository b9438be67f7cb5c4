"""A request's line in the log: which it was, and nothing that is a secret."""

from __future__ import annotations

import logging

import msgspec
import pytest

from aiplat.domain.answers import Submission
from aiplat.domain.errors import NoProcessor
from aiplat.http.access_log import Which
from aiplat.http.app import make_public_app
from aiplat.http.settings import HttpSettings
from aiplat.telemetry.metrics import Metrics
from tests.support.fake_node import TOKEN, FakeNode, Step
from tests.unit.http.asgi_client import GOOD, JSON, call

CHAT = "/v1/chat/completions"
SECRET = "sk-aip-abcdefghijkl234567abcdef-" + "S" * 43
LOGGER = "aiplat.http.access"


async def lines(
    caplog: pytest.LogCaptureFixture, which: Which, path: str = CHAT, *, key: str = "",
    level: int = logging.INFO, node: FakeNode | None = None,
) -> list[logging.LogRecord]:  # fmt: skip
    node = node or FakeNode()
    node.keys[SECRET] = ("inference",)
    app = make_public_app(node, HttpSettings(access_log=which), TOKEN, Metrics())
    body = msgspec.json.encode({"messages": [{"role": "user", "content": "PROMPT"}]})
    headers = {**JSON, **({"authorization": f"Bearer {key}"} if key else {})}
    caplog.clear()
    with caplog.at_level(level, logger=LOGGER):
        await call(app, "POST", path, headers, body)
    return [record for record in caplog.records if record.name == LOGGER]


async def test_all_of_them_with_what_each_was(caplog: pytest.LogCaptureFixture) -> None:
    (line,) = await lines(caplog, "all", key=SECRET)
    told = vars(line)
    assert line.levelno == logging.INFO
    assert line.getMessage().startswith(f"POST {CHAT} 200 in ")
    assert (told["method"], told["route"], told["status"]) == ("POST", CHAT, 200)
    assert told["request"].startswith("req-")
    assert told["key"] == "abcdefghijkl234567abcdef"
    assert told["bytes"] > 100
    assert told["ms"] >= 0
    assert "SSSS" not in str(told)
    assert "PROMPT" not in str(told)


async def test_the_nodes_own_account_and_nobodys(caplog: pytest.LogCaptureFixture) -> None:
    (line,) = await lines(caplog, "all")
    assert vars(line)["key"] == "local"
    (line,) = await lines(caplog, "all", key="sk-aip-wrong-wrong")
    assert (vars(line)["key"], vars(line)["status"]) == ("", 401)


async def test_a_path_is_told_by_its_route_alone(caplog: pytest.LogCaptureFixture) -> None:
    (line,) = await lines(caplog, "all", "/v1/models/SECRET-NAME")
    assert (vars(line)["route"], vars(line)["status"]) == ("/v1/models/", 405)
    assert "SECRET-NAME" not in str(vars(line))
    (line,) = await lines(caplog, "all", "/open/SECRET-LINK")
    assert line.getMessage().startswith("POST (no route) 404")
    assert "SECRET-LINK" not in str(vars(line))


def refusing() -> FakeNode:
    def fail(submission: Submission) -> list[Step]:
        raise NoProcessor("nobody")

    return FakeNode(fail)


async def test_failures_alone(caplog: pytest.LogCaptureFixture) -> None:
    assert await lines(caplog, "failures") == []
    (line,) = await lines(caplog, "failures", level=logging.DEBUG)
    assert line.levelno == logging.DEBUG
    (line,) = await lines(caplog, "failures", node=refusing())
    assert (line.levelno, vars(line)["status"]) == (logging.WARNING, 503)


async def test_none_at_all(caplog: pytest.LogCaptureFixture) -> None:
    assert await lines(caplog, "off", level=logging.DEBUG) == []
    assert await lines(caplog, "off", node=refusing()) == []


async def test_health_is_told_too(caplog: pytest.LogCaptureFixture) -> None:
    app = make_public_app(FakeNode(), HttpSettings(access_log="all"), TOKEN, Metrics())
    with caplog.at_level(logging.INFO, logger=LOGGER):
        await call(app, "GET", "/healthz", GOOD)
    assert "GET /healthz 200" in caplog.text
