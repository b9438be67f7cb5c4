"""Where connections come from."""

from __future__ import annotations

import ipaddress

import pytest

from aiplat.http.sources import Sources, never_left, plain_ip, source_of


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("fe80::1%eth0", "fe80::1"),
        ("2001:DB8::1", "2001:db8::1"),
    ],
)
def test_addresses_as_they_count(text: str, address: str) -> None:
    assert plain_ip(text) == ipaddress.ip_address(address)


@pytest.mark.parametrize("text", ["", "localhost", "127.0.0.1%lo", "1.2.3", "[::1]"])
def test_what_is_no_address(text: str) -> None:
    assert plain_ip(text) is None


@pytest.mark.parametrize(
    ("peer", "here", "stayed"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "192.0.2.1", True),
        ("::1", "::1", True),
        ("::ffff:127.0.0.1", "::ffff:127.0.0.1", True),
        ("192.0.2.1", "192.0.2.1", True),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("192.0.2.2", "192.0.2.1", False),
        ("192.0.2.2", "127.0.0.1", False),
        ("2001:db8::1", "::1", False),
        ("", "", False),
        ("", "127.0.0.1", False),
    ],
)
def test_what_never_left_this_machine(peer: str, here: str, stayed: bool) -> None:
    assert never_left(peer, here) is stayed


@pytest.mark.parametrize(
    ("address", "source"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("127.9.9.9", ""),
        ("::1", ""),
        ("", ""),
    ],
)
def test_whom_an_address_stands_for(address: str, source: str) -> None:
    assert source_of(address) == source


def test_each_source_has_its_own_bound_and_loopback_none() -> None:
    sources = Sources(2)
    with sources.one_more("2001:db8::1"), sources.one_more("2001:db8::2"):
        assert sources.is_full("2001:db8::3")
        assert not sources.is_full("2001:db8:0:1::3")
        assert not sources.is_full("192.0.2.1")
        with sources.one_more("127.0.0.1"), sources.one_more("127.0.0.1"):
            assert not sources.is_full("127.0.0.1")
    assert not sources.is_full("2001:db8::3")


def test_a_source_without_connections_is_forgotten() -> None:
    sources = Sources(2)
    for n in range(1000):
        address = f"192.0.{n // 250}.{n % 250}"
        sources.is_full(address)
        with sources.one_more(address):
            assert len(sources) == 1
    with pytest.raises(ZeroDivisionError), sources.one_more("192.0.2.1"):
        raise ZeroDivisionError
    assert len(sources) == 0
