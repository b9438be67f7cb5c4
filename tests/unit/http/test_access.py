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
        self.keeper = Doorkeeper(
            TOKEN, ("Node.Example.", "::7"), self.metrics, lambda name: name == "gpu.example"
        )

    def refused(self, reason: str) -> float:
        value = self.metrics.registry.get_sample_value(
            "aiplat_auth_failures_total", {"reason": reason}
        )
        return value or 0.0


@pytest.fixture
def guard() -> Guard:
    return Guard()


async def request(*, client: str = "127.0.0.1", server: str = "127.0.0.1", scheme: str = "http",
                  **headers: str) -> Request:  # fmt: skip
    async def send(message: Message) -> None:
        raise AssertionError

    async def receive() -> Message:
        await trio.sleep_forever()
        raise AssertionError

    named = {name.replace("_", "-"): value for name, value in headers.items()}
    came = {"client": (client, 50_000), "server": (server, 8777), "scheme": scheme}
    return Request(scope("GET", "/", named) | came, receive, send)


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


# -- beyond loopback ---------------------------------------------------------------------------

LAN = "192.0.2.7"


@pytest.mark.parametrize(
    ("host", "server"),
    [
        (LAN, LAN),
        (f"{LAN}:8777", LAN),
        (LAN, f"::ffff:{LAN}"),
        ("[2001:db8::7]:8777", "2001:db8::7"),
        ("[2001:DB8:0::7]", "2001:db8::7"),
        ("gpu.example", LAN),
        ("GPU.example.:8777", LAN),
        ("node.example", LAN),
        ("gpu.example", "127.0.0.1"),
    ],
)
async def test_our_names_from_elsewhere(guard: Guard, host: str, server: str) -> None:
    guard.keeper.check_origin(await request(host=host, client="192.0.2.9", server=server))


@pytest.mark.parametrize(
    "host",
    ["localhost", "127.0.0.1:8777", "[::1]", "192.0.2.8", "0.0.0.0", "", "evil.example",
     "a.gpu.example", f"{LAN}.evil.example", f"{LAN}%1"],
)  # fmt: skip
async def test_names_that_are_not_ours_from_elsewhere(guard: Guard, host: str) -> None:
    asked = await request(host=host, client="192.0.2.9", server=LAN)
    with pytest.raises(PermissionDenied, match=rf"Use {LAN}, or add the name"):
        guard.keeper.check_origin(asked)
    assert guard.refused("host") == 1


async def test_an_address_of_ours_is_no_name_on_loopback(guard: Guard) -> None:
    asked = await request(host=LAN)
    with pytest.raises(PermissionDenied, match=r"Use 127\.0\.0\.1 or localhost"):
        guard.keeper.check_origin(asked)


async def test_without_an_address_there_is_none_to_go_by(guard: Guard) -> None:
    asked = await request(host="localhost", server="")
    with pytest.raises(PermissionDenied):
        guard.keeper.check_origin(asked)


@pytest.mark.parametrize(
    ("scheme", "origin", "is_ours"),
    [
        ("https", "https://gpu.example:8777", True),
        ("https", "HTTPS://GPU.EXAMPLE:8777", True),
        ("https", "http://gpu.example:8777", False),
        ("https", "https://gpu.example", False),
        ("http", "https://gpu.example:8777", False),
    ],
)
async def test_origin_has_the_doors_own_scheme(
    guard: Guard, scheme: str, origin: str, is_ours: bool
) -> None:
    asked = await request(host="gpu.example:8777", origin=origin, scheme=scheme, server=LAN)
    if is_ours:
        guard.keeper.check_origin(asked)
        return
    with pytest.raises(PermissionDenied, match="may not use this node"):
        guard.keeper.check_origin(asked)


@pytest.mark.parametrize(
    ("client", "server"),
    [("127.0.0.1", "127.0.0.1"), ("::1", "::1"), ("::ffff:127.0.0.1", "::ffff:127.0.0.1"),
     (LAN, LAN)],
)  # fmt: skip
async def test_the_token_lets_in_from_this_machine(guard: Guard, client: str, server: str) -> None:
    asked = await request(x_api_key=TOKEN, client=client, server=server)
    assert asked.client == client
    assert asked.is_loopback
    guard.keeper.check_token(asked)


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_and_from_no_other(
    guard: Guard, scheme: str, caplog: pytest.LogCaptureFixture
) -> None:
    asked = await request(x_api_key=TOKEN, client="192.0.2.9", server=LAN, scheme=scheme)
    assert not asked.is_loopback
    with pytest.raises(PermissionDenied, match="works on its own machine alone"):
        guard.keeper.check_token(asked)
    assert guard.refused("elsewhere") == 1
    assert "came from another machine" in caplog.text
    assert TOKEN not in caplog.text


async def test_a_wrong_token_from_elsewhere_is_wrong(guard: Guard) -> None:
    asked = await request(x_api_key=f"{TOKEN}x", client="192.0.2.9", server=LAN)
    with pytest.raises(InvalidApiKey):
        guard.keeper.check_token(asked)
    assert guard.refused("wrong") == 1
