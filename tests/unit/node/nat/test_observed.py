"""Which of the places that a peer names may be connected to."""

from __future__ import annotations

import pytest

from aiplat.domain.ids import PeerId
from aiplat.node.addresses import Endpoint
from aiplat.node.nat.observed import Observed, own_places

RELAY, PEER, OTHER = (PeerId(name) for name in ("relay", "peer", "other"))
WORLD, MINE = "93.184.216.1", "93.184.216.34"


def test_what_a_relay_says_holds_while_a_circuit_stands() -> None:
    observed = Observed()
    with observed.during(RELAY, PEER, MINE):
        with observed.during(RELAY, PEER, MINE):
            assert observed.ips(RELAY, PEER) == {MINE}
        assert observed.ips(RELAY, PEER) == {MINE}
        assert observed.ips(OTHER, PEER) == observed.ips(RELAY, OTHER) == frozenset()
        with observed.during(RELAY, PEER, ""), observed.during(RELAY, PEER, "x"):
            assert observed.ips(RELAY, PEER) == {MINE}
    assert observed.ips(RELAY, PEER) == frozenset()


def test_only_what_is_seen_is_its_own() -> None:
    named = [("93.184.216.35", 22), (MINE, 4001), ("x", 1), (MINE, 0), (MINE, 70_000)]
    assert own_places(named, frozenset({MINE}), WORLD) == [Endpoint(MINE, 4001)]
    assert own_places(named, frozenset(), WORLD) == []


def test_at_most_four_are_taken() -> None:
    named = [(MINE, port) for port in range(1, 9)]
    assert len(own_places(named, frozenset({MINE}), WORLD)) == 4


@pytest.mark.parametrize(
    "ip", ["127.0.0.1", "::1", "224.0.0.1", "0.0.0.0", "169.254.169.254", "fe80::1", "240.0.0.1"]
)
def test_none_on_this_machine_or_of_many_is_connected_to(ip: str) -> None:
    assert own_places([(ip, 22)], frozenset({ip}), "192.168.1.2") == []


def test_an_ip_written_in_another_way_is_the_same() -> None:
    assert own_places([("::ffff:127.0.0.1", 22)], frozenset({"127.0.0.1"}), "127.0.0.1") == []
    mapped = own_places([(f"::ffff:{MINE}", 22)], frozenset({MINE}), WORLD)
    assert mapped == [Endpoint(MINE, 22)]
    [found] = own_places([("2001:4860:0::8", 22)], frozenset({"2001:4860::8"}), WORLD)
    assert found == Endpoint("2001:4860::8", 22)


def test_a_private_ip_is_the_same_machine_only_to_a_relay_in_the_same_net() -> None:
    named, seen = [("192.168.1.7", 4001)], frozenset({"192.168.1.7"})
    assert own_places(named, seen, WORLD) == []
    assert own_places(named, seen, "") == []
    assert own_places(named, seen, "192.168.1.2") == [Endpoint("192.168.1.7", 4001)]
