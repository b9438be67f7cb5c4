"""Places that are held, and how often a source came of late."""

from __future__ import annotations

import pytest

from aiplat.node.places import MAX_SOURCES, Places, Recent, source_of
from tests.support.networks import Clock


def test_each_holder_has_its_own_places() -> None:
    places = Places(2)
    with places.place("a") as first, places.place("a") as second, places.place("a") as third:
        assert (first, second, third) == (True, True, False)
        with places.place("b") as other:
            assert other
    with places.place("a") as again:
        assert again


def test_a_place_is_given_back_whatever_happened() -> None:
    places = Places(1)
    with pytest.raises(RuntimeError), places.place("a"):
        raise RuntimeError
    with places.place("a") as again:
        assert again
    assert not places._taken


def test_so_often_in_a_minute_and_no_more() -> None:
    clock = Clock(0.0)
    recent = Recent(3, clock)
    assert [recent.may("a") for _ in range(5)] == [True, True, True, False, False]
    assert recent.may("b")
    clock.now = 59.9
    assert not recent.may("a")
    clock.now = 60.0
    assert recent.may("a")


def test_what_is_forgiven_does_not_count() -> None:
    recent = Recent(1, Clock(0.0))
    recent.forgive("nobody")
    assert len(recent) == 0
    assert recent.may("a")
    recent.forgive("a")
    assert recent.may("a")
    assert not recent.may("a")


def test_the_memory_of_sources_is_bounded() -> None:
    recent = Recent(1, Clock(0.0))
    for number in range(MAX_SOURCES + 10):
        assert recent.may(number)
    assert len(recent) == MAX_SOURCES
    assert recent.may(0)  # it was forgotten
    assert not recent.may(MAX_SOURCES + 9)


@pytest.mark.parametrize(
    ("ip", "source"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2::7", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::9", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
    ],
)
def test_a_customer_of_ipv6_is_one_source(ip: str, source: str) -> None:
    assert source_of(ip) == source
