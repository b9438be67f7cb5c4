"""What members' answers come to."""

from __future__ import annotations

from aiplat.domain.ids import PeerId
from aiplat.node.nat.reach import DialedBack, Seen, judge, relayed

RELAY = PeerId("12D3KooWRelayRelayRelayRelay")
OUTSIDE = DialedBack("198.51.100.11", ())
LAN = DialedBack("10.77.1.2", (4001,))


def test_nobody_asked_is_unknown() -> None:
    seen = judge([], (4001,))
    assert seen.direct is None
    assert relayed(seen, ()).state == "unknown"


def test_who_cannot_tell_does_not_count() -> None:
    assert judge([DialedBack(relays=True)], (4001,)).direct is None


def test_all_that_reached_it_make_it_direct() -> None:
    seen = judge([LAN, DialedBack("203.0.113.5", (4001,))], (4001,))
    assert seen.direct is True
    assert seen.places == (("10.77.1.2", 4001), ("203.0.113.5", 4001))
    reach = relayed(seen, (RELAY,))
    assert (reach.state, reach.via) == ("direct", ())
    assert "2 members" in reach.why


def test_a_neighbour_on_the_lan_is_no_proof() -> None:
    seen = judge([LAN, OUTSIDE], (4001,))
    assert seen.direct is False
    assert seen.places == (("10.77.1.2", 4001),)
    assert "198.51.100.11" in seen.why
    assert "4001" in seen.why


def test_loopback_is_said() -> None:
    seen = judge([DialedBack("127.0.0.1", (4001,))], (4001,))
    assert seen.direct is True
    assert "on this machine" in seen.why


def test_a_port_that_was_not_asked_for_is_not_believed() -> None:
    assert judge([DialedBack("10.0.0.1", (22, 4001))], (4001,)).places == (("10.0.0.1", 4001),)


def test_an_ip_that_is_none_is_not_believed() -> None:
    assert judge([DialedBack("example.com", (4001,))], (4001,)).direct is None


def test_hidden_is_relayed_or_unreachable() -> None:
    seen = judge([OUTSIDE], (4001,))
    there = relayed(seen, (RELAY,))
    assert (there.state, there.via) == ("relayed", (RELAY,))
    assert "Relayed by" in there.why
    alone = relayed(seen, ())
    assert alone.state == "unreachable"
    assert "No member" in alone.why


def test_who_lost_everyone_but_a_relay_is_relayed() -> None:
    assert relayed(Seen(None, (), "Nobody could tell."), (RELAY,)).state == "relayed"
