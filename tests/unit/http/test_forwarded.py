"""Whom a reverse proxy speaks for, and who is believed."""

from __future__ import annotations

from typing import Any

import pytest

from aiplat.domain.errors import ConfigError
from aiplat.http.asgi import Message, Receive, Scope, Send
from aiplat.http.forwarded import Forwarded

PROXIES = ("127.0.0.1", "10.0.0.0/8", "2001:db8::/32")


async def seen(
    *headers: tuple[str, str],
    client: str = "127.0.0.1",
    server: str = "127.0.0.1",
    proxies: tuple[str, ...] = PROXIES,
) -> tuple[str, str]:
    """The client's address and the scheme that the application sees."""
    got: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        got.append(scope)

    async def receive() -> Message:
        raise AssertionError("nothing is read")

    async def send(message: Message) -> None:
        raise AssertionError("nothing is written")

    scope: dict[str, Any] = {
        "type": "http", "scheme": "http", "client": (client, 5), "server": (server, 80),
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers],
    }  # fmt: skip
    await Forwarded(app, proxies)(scope, receive, send)
    return got[0]["client"][0], got[0]["scheme"]


FOR, PROTO = "x-forwarded-for", "x-forwarded-proto"


async def test_a_trusted_proxy_says_who_it_speaks_for() -> None:
    assert await seen((FOR, "198.51.100.7"), (PROTO, "https")) == ("198.51.100.7", "https")
    assert await seen((FOR, "198.51.100.7:1234")) == ("198.51.100.7", "http")
    assert await seen((FOR, "[2001:db9::1]:443"), (PROTO, "HTTPS")) == ("2001:db9::1", "https")


async def test_what_a_client_wrote_before_its_proxy_is_not_believed() -> None:
    assert (await seen((FOR, "127.0.0.1, 198.51.100.7")))[0] == "198.51.100.7"
    assert (await seen((FOR, "127.0.0.1"), (FOR, "198.51.100.7, 10.1.2.3")))[0] == "198.51.100.7"
    assert (await seen((PROTO, "https, http"), (FOR, "198.51.100.7")))[1] == "http"


@pytest.mark.parametrize("told", ["", "unknown", "_hidden", "10.1.2.3", "127.0.0.1, 10.0.0.9"])
async def test_who_comes_through_a_proxy_never_counts_as_this_machine(told: str) -> None:
    assert (await seen((FOR, told)))[0] == "0.0.0.0"
    assert (await seen())[0] == "0.0.0.0"


@pytest.mark.parametrize("told", ["127.0.0.1", "::1", "::ffff:127.0.0.1", "192.0.2.5"])
async def test_nor_by_the_loopback_of_the_proxys_machine_or_this_ones_own_address(
    told: str,
) -> None:
    through = {"client": "192.0.2.80", "server": "192.0.2.5", "proxies": ("192.0.2.80",)}
    assert (await seen((FOR, told), **through))[0] == "0.0.0.0"  # type: ignore[arg-type]  # mixed
    assert (await seen((FOR, "192.0.2.6"), **through))[0] == "192.0.2.6"  # type: ignore[arg-type]


async def test_others_are_not_believed() -> None:
    told = ((FOR, "127.0.0.1"), (PROTO, "https"))
    assert await seen(*told, client="198.51.100.9") == ("198.51.100.9", "http")
    assert (await seen(*told, client="::ffff:10.0.0.1"))[0] == "0.0.0.0"


def test_what_is_no_address_is_refused_by_name() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None: ...

    with pytest.raises(ConfigError, match=r"'proxy\.lan'.*neither an address nor a network"):
        Forwarded(app, ("proxy.lan",))
