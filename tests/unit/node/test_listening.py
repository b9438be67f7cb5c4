"""Where a node listens, what it tells of that, and the port that it keeps."""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace

import ifaddr
import pytest

from aiplat.domain.errors import ConfigError
from aiplat.node.addresses import Endpoint
from aiplat.node.identity import Identity
from aiplat.node.listening import (
    EVERYWHERE,
    LOOPBACK,
    MAX_ANNOUNCED,
    PortMemory,
    announced,
    own_ips,
    where_to_listen,
)

PEER = Identity(b"\x07" * 32).peer_id


def interfaces(monkeypatch: pytest.MonkeyPatch, *ips: str) -> None:
    """Let the machine have these addresses, as ifaddr tells them."""
    found = [
        SimpleNamespace(ip=(ip, 0, 0) if ":" in ip else ip, is_IPv4=":" not in ip) for ip in ips
    ]
    monkeypatch.setattr(ifaddr, "get_adapters", lambda: [SimpleNamespace(ips=found)])


@pytest.mark.parametrize(
    ("listen", "in_network", "port", "places"),
    [
        ((), False, 0, [LOOPBACK]),
        ((), True, 0, [EVERYWHERE]),
        ((), True, 4007, ["/ip4/0.0.0.0/tcp/4007"]),
        (("/ip4/127.0.0.1/tcp/0",), True, 4007, ["/ip4/127.0.0.1/tcp/4007"]),
        (("/ip4/127.0.0.1/tcp/9",), True, 4007, ["/ip4/127.0.0.1/tcp/9"]),
        (
            ("/ip4/127.0.0.1/tcp/0", "/ip6/::1/tcp/0"),
            False,
            4007,
            ["/ip4/127.0.0.1/tcp/4007", "/ip6/::1/tcp/0"],
        ),
    ],
)
def test_where_it_listens(
    listen: tuple[str, ...], in_network: bool, port: int, places: list[str]
) -> None:
    found = where_to_listen(listen, in_network=in_network, port=port)
    assert [str(place) for place in found] == places


@pytest.mark.parametrize("listen", ["/ip4/0.0.0.0/tcp/0", "/ip4/192.0.2.1/tcp/4001"])
def test_beyond_loopback_only_in_a_network(listen: str) -> None:
    assert where_to_listen([listen], in_network=True, port=0)
    with pytest.raises(ConfigError, match="in no network"):
        where_to_listen([listen], in_network=False, port=0)


@pytest.mark.parametrize("listen", ["localhost:4001", "/ip4/127.0.0.1/udp/1", ""])
def test_what_cannot_be_listened_on_is_named(listen: str) -> None:
    with pytest.raises(ConfigError, match="Cannot listen on"):
        where_to_listen([listen], in_network=True, port=0)


def test_a_wildcard_is_told_as_what_it_stands_for_the_farthest_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    interfaces(monkeypatch, "127.0.0.1", "::1", "192.168.1.5", "fe80::1", "169.254.3.3",
               "8.8.4.4", "2001:4860::5")  # fmt: skip
    assert announced([Endpoint("0.0.0.0", 4001)], PEER) == (
        f"/ip4/8.8.4.4/tcp/4001/p2p/{PEER}",
        f"/ip4/192.168.1.5/tcp/4001/p2p/{PEER}",
        f"/ip4/127.0.0.1/tcp/4001/p2p/{PEER}",
    )
    assert announced([Endpoint("::", 4001)], PEER) == (
        f"/ip6/2001:4860::5/tcp/4001/p2p/{PEER}",
        f"/ip6/::1/tcp/4001/p2p/{PEER}",
    )


def test_a_concrete_place_is_told_as_it_is_and_once() -> None:
    place = Endpoint("127.0.0.1", 4001)
    assert announced([place, place], PEER) == (f"/ip4/127.0.0.1/tcp/4001/p2p/{PEER}",)


def test_what_is_told_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    interfaces(monkeypatch, *(f"10.0.0.{n}" for n in range(1, 60)))
    assert len(announced([Endpoint("0.0.0.0", 4001)], PEER)) == MAX_ANNOUNCED


def test_the_machine_has_loopback_and_nothing_link_local() -> None:
    """With the real interfaces."""
    found = own_ips()
    assert "127.0.0.1" in found
    assert not any(ip.startswith(("169.254.", "fe80:")) for ip in found)


# -- the port ------------------------------------------------------------------------------------


def test_the_port_is_there_next_time_until_it_is_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "state" / "port"
    memory = PortMemory(path)
    assert memory.port == 0
    memory.keep(4711)
    assert path.stat().st_mode & 0o077 == 0
    assert PortMemory(path).port == 4711
    memory.forget()
    assert not path.exists()
    assert memory.port == PortMemory(path).port == 0


def test_the_same_port_is_not_written_again(tmp_path: Path) -> None:
    memory = PortMemory(tmp_path / "port")
    memory.keep(4711)
    (tmp_path / "port").unlink()
    memory.keep(4711)
    assert not (tmp_path / "port").exists()


@pytest.mark.parametrize("content", ["", "x", "0", "-1", "65536", "9" * 5000, "47 11"])
def test_what_is_no_port_is_passed_over(tmp_path: Path, content: str) -> None:
    (tmp_path / "port").write_text(content)
    assert PortMemory(tmp_path / "port").port == 0


def test_one_that_keeps_nothing_remembers_for_its_life() -> None:
    memory = PortMemory(None)
    memory.keep(4711)
    assert memory.port == 4711
    memory.forget()
    assert memory.port == 0


def test_a_folder_that_cannot_be_written_is_only_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    memory = PortMemory(tmp_path / "file" / "port")
    with caplog.at_level(logging.WARNING, "aiplat.node"):
        memory.keep(4711)
        memory.forget()
    assert "not kept" in caplog.text
