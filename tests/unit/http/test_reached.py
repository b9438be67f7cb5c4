"""Where a door is said to be reached."""

from __future__ import annotations

import ssl

import pytest

from aiplat.http.pair import Pair
from aiplat.http.reached import Reached, reached
from aiplat.http.sockets import listen_tcp
from aiplat.http.sources import plain_ip
from tests.support.certificates import EVER, LATER


def at(bind: str, pair: Pair | None = None) -> tuple[str, str]:
    """The two URLs, their port left out."""
    with listen_tcp(f"{bind}:0", beyond=True) as sock:
        found: Reached = reached(sock, pair)
        end = f":{sock.getsockname()[1]}"
    assert found.url.endswith(end)
    assert found.here.endswith(end)
    return found.url.removesuffix(end), found.here.removesuffix(end)


def made_for(*names: str, ips: tuple[str, ...] = ()) -> Pair:
    found = tuple(ip for ip in map(plain_ip, ips) if ip is not None)
    return Pair(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), names, found, EVER, LATER)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    addresses = ["127.0.0.1", "10.0.0.7", "198.35.26.96", "::1", "2620:0:862::1"]
    monkeypatch.setattr("aiplat.node.listening.own_ips", lambda: addresses)


def test_at_one_address_it_is_that() -> None:
    assert at("127.0.0.1") == ("http://127.0.0.1", "http://127.0.0.1")
    assert at("[::1]") == ("http://[::1]", "http://[::1]")


@pytest.mark.parametrize("bind", ["0.0.0.0", "[::]"])
def test_at_every_address_people_are_told_the_one_that_reaches_farthest(
    machine: None, bind: str
) -> None:
    assert at(bind) == ("http://198.35.26.96", "http://127.0.0.1")


@pytest.mark.parametrize(
    ("addresses", "url"),
    [
        (["127.0.0.1", "10.0.0.7"], "http://10.0.0.7"),
        (["127.0.0.1"], "http://127.0.0.1"),
        ([], "http://127.0.0.1"),
        (["127.0.0.1", "2620:0:862::1", "::1"], "http://[2620:0:862::1]"),
    ],
)
def test_what_a_machine_may_have(
    monkeypatch: pytest.MonkeyPatch, addresses: list[str], url: str
) -> None:
    monkeypatch.setattr("aiplat.node.listening.own_ips", lambda: addresses)
    assert at("[::]") == (url, "http://127.0.0.1")


@pytest.mark.parametrize(
    ("pair", "url", "here"),
    [
        (made_for(ips=("198.35.26.96", "127.0.0.1")), "https://198.35.26.96", "https://127.0.0.1"),
        (made_for("gpu.example", "localhost"), "https://gpu.example", "https://localhost"),
        (made_for("*.a.example", "gpu.example"), "https://gpu.example", "https://gpu.example"),
        (made_for("*.a.example"), "https://198.35.26.96", "https://127.0.0.1"),
    ],
)
def test_through_tls_it_is_a_name_that_the_certificate_was_made_for(
    machine: None, pair: Pair, url: str, here: str
) -> None:
    assert at("0.0.0.0", pair) == (url, here)


def test_on_loopback_too() -> None:
    assert at("127.0.0.1", made_for("gpu.example"))[1] == "https://gpu.example"
    assert at("127.0.0.1", made_for("localhost"))[1] == "https://localhost"
    assert at("[::1]", made_for(ips=("::1",)))[1] == "https://[::1]"


def test_the_machine_is_really_asked() -> None:
    url, here = at("0.0.0.0")
    assert url.startswith("http://")
    assert "0.0.0.0" not in url
    assert here == "http://127.0.0.1"
