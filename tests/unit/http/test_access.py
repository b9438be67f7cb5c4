"""Who may come in."""

from __future__ import annotations

import pytest
import trio

from aiplat.domain.errors import InvalidApiKey, PermissionDenied
from aiplat.http.access import Doorkeeper
from aiplat.http.asgi import Message, Request
from aiplat.telemetry.metrics import Metrics
from tests.support.fake_node import TOKEN
from tests.unit.http.asgi_client import scope


class Guard:
    def __init__(self) -> None:
        self.metrics = Metrics()
        self.keeper = Doorkeeper(TOKEN, ("Node.Example.", "::7"), self.metrics)

    def refused(self, reason: str) -> float:
        value = self.metrics.registry.get_sample_value(
            "aiplat_auth_failures_total", {"reason": reason}
        )
        return value or 0.0


@pytest.fixture
def guard() -> Guard:
    return Guard()


async def request(**headers: str) -> Request:
    async def send(message: Message) -> None:
        raise AssertionError

    async def receive() -> Message:
        await trio.sleep_forever()
        raise AssertionError

    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Request(scope("GET", "/", named), receive, send)


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:1", "localhost.", "127.0.0.1", "127.0.0.1:8777", "127.8.9.1:5",
     "[::1]", "[::1]:8777", "node.example:80", "[::7]:1"],
)  # fmt: skip
async def test_our_names(guard: Guard, host: str) -> None:
    guard.keeper.check_origin(await request(host=host))


@pytest.mark.parametrize(
    "host",
    ["", "evil.example", "evil.example:8777", "localhost.evil.example", "127.0.0.1.evil.example",
     "192.168.1.5:8777", "127.0.0.1:80@evil.example", "[::1", "[::1]evil", "localhost:x", "[]",
     "0.0.0.0", "localhost\xff"],
)  # fmt: skip
async def test_names_that_are_not_ours(guard: Guard, host: str) -> None:
    asked = await request(host=host)
    with pytest.raises(PermissionDenied, match=r"http\.allowed_hosts"):
        guard.keeper.check_origin(asked)
    assert guard.refused("host") == 1


async def test_our_own_pages_may_ask(guard: Guard) -> None:
    guard.keeper.check_origin(await request(host="localhost:8777", origin="http://LOCALHOST:8777"))


@pytest.mark.parametrize(
    "origin",
    ["null", "", "http://evil.example", "http://localhost:3000", "https://localhost:8777",
     "http://localhost:8777.evil.example"],
)  # fmt: skip
async def test_foreign_pages_may_not(guard: Guard, origin: str) -> None:
    asked = await request(host="localhost:8777", origin=origin)
    with pytest.raises(PermissionDenied):
        guard.keeper.check_origin(asked)
    assert guard.refused("origin") == 1


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": f"Bearer {TOKEN}"},
        {"authorization": f"bearer  {TOKEN}"},
        {"x_api_key": TOKEN},
        {"authorization": "Basic eDp5", "x_api_key": TOKEN},
    ],
)
async def test_the_token_lets_in(guard: Guard, headers: dict[str, str]) -> None:
    guard.keeper.check_token(await request(**headers))


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({}, "missing"),
        ({"authorization": "Bearer "}, "missing"),
        ({"authorization": f"Basic {TOKEN}"}, "missing"),
        ({"authorization": f"Bearer {TOKEN}x"}, "wrong"),
        ({"authorization": f"Bearer {TOKEN[:-1]}"}, "wrong"),
        ({"x_api_key": "\xff\xfe"}, "wrong"),
    ],
)
async def test_nothing_else_does(guard: Guard, headers: dict[str, str], reason: str) -> None:
    asked = await request(**headers)
    with pytest.raises(InvalidApiKey, match="aiplat env"):
        guard.keeper.check_token(asked)
    assert guard.refused(reason) == 1
