"""Addresses as people give them: each fault has its own sentence."""

from __future__ import annotations

import pytest

from aiplat.domain.errors import ConfigError, InvalidRequest, NoPeer
from aiplat.node.addresses import parse_listen, parse_peer, parse_target
from aiplat.node.identity import Identity

PEER = Identity(b"\x07" * 32).peer_id


@pytest.mark.parametrize("where", ["/ip4/127.0.0.1/tcp/4001", "/ip6/::1/tcp/4001"])
def test_a_good_address(where: str) -> None:
    target = parse_target(f"  {where}/p2p/{PEER}\n")
    assert target.peer == PEER
    assert target.endpoint.port == 4001
    assert target.text == f"{where}/p2p/{PEER}"


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("", "is no multiaddr"),
        ("localhost:4001", "is no multiaddr"),
        ("http://127.0.0.1:8777", "is no multiaddr"),
        ("/ip4/300.0.0.1/tcp/1", "is no multiaddr"),
        ("/ip4/127.0.0.1/tcp/99999", "is no multiaddr"),
        ("/ip4/127.0.0.1/tcp/4001", "must end in /p2p/PEER-ID"),
        ("/ip4/127.0.0.1/tcp/4001/p2p/nonsense", "is no multiaddr"),
        (f"/p2p/{PEER}", "cannot be dialed"),
        (f"/ip4/127.0.0.1/udp/4001/quic-v1/p2p/{PEER}", "cannot be dialed"),
        (f"/dns4/localhost/tcp/4001/p2p/{PEER}", "cannot be dialed"),
        (f"/ip4/127.0.0.1/tcp/4001/ws/p2p/{PEER}", "cannot be dialed"),
        (f"/ip4/192.168.1.5/tcp/4001/p2p/{PEER}", "in no network"),
        (f"/ip4/0.0.0.0/tcp/4001/p2p/{PEER}", "in no network"),
        ("\x1b[31m" + "x" * 900, "is no multiaddr"),
    ],
)
def test_a_bad_address_is_refused_in_words(address: str, says: str) -> None:
    with pytest.raises(NoPeer) as refusal:
        parse_target(address)
    assert says in str(refusal.value)
    assert "\x1b" not in str(refusal.value)
    assert len(str(refusal.value)) < 400
    mistyped = "in no network" not in says
    assert isinstance(refusal.value, InvalidRequest) is mistyped
    assert refusal.value.code == ("invalid_request" if mistyped else "no_peer")


def test_a_peer_id_is_read_whole_or_not_at_all() -> None:
    assert parse_peer(f" {PEER}\n") == PEER
    for text in ("", PEER[-8:], PEER[:20], f"{PEER}/p2p/{PEER}", f"x/{PEER}", "../" + PEER):
        with pytest.raises(InvalidRequest, match="is no peer id"):
            parse_peer(text)


@pytest.mark.parametrize(
    "address", ["/ip4/127.0.0.1/tcp/0", "/ip6/::1/tcp/9", "/ip4/127.8.8.8/tcp/1"]
)
def test_loopback_may_be_listened_on(address: str) -> None:
    assert str(parse_listen(address)) == address


@pytest.mark.parametrize(
    "address", ["/ip4/0.0.0.0/tcp/0", "/ip4/10.0.0.1/tcp/4001", "/ip6/::/tcp/0"]
)
def test_listening_beyond_loopback_waits_for_networks(address: str) -> None:
    with pytest.raises(ConfigError, match=r"in no network.*loopback only"):
        parse_listen(address)


@pytest.mark.parametrize("address", ["8777", "/ip4/127.0.0.1", "/ip4/127.0.0.1/udp/1/quic-v1"])
def test_what_cannot_be_listened_on_is_said(address: str) -> None:
    with pytest.raises(ConfigError, match="give an ip and a TCP port"):
        parse_listen(address)
