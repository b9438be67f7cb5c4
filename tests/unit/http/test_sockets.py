"""What the doors listen on."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from aiplat.domain.errors import ConfigError
from aiplat.http.sockets import NodeRuns, PortInUse, UnixDoor, listen_tcp, parse_bind


@pytest.mark.parametrize(
    ("bind", "address"),
    [
        ("127.0.0.1:8777", ("127.0.0.1", 8777)),
        ("localhost:0", ("127.0.0.1", 0)),
        ("[::1]:5", ("::1", 5)),
        ("127.1.2.3:65535", ("127.1.2.3", 65535)),
    ],
)
def test_addresses_that_are_taken(bind: str, address: tuple[str, int]) -> None:
    assert parse_bind(bind) == address


@pytest.mark.parametrize(
    ("bind", "words"),
    [
        ("", "HOST:PORT"),
        ("8777", "HOST:PORT"),
        (":8777", "HOST:PORT"),
        ("127.0.0.1:", "HOST:PORT"),
        ("127.0.0.1:x", "HOST:PORT"),
        ("a:-1", "HOST:PORT"),
        ("a:65536", "from 0 to 65535, but is 65536"),
        ("example.org:80", "an address of this machine, .* but is 'example.org'"),
        ("127.0.0.1.evil:80", "an address of this machine"),
        ("224.0.0.1:80", "the address of no one machine"),
        ("[ff02::1]:80", "the address of no one machine"),
        ("255.255.255.255:80", "the address of no one machine"),
    ],
)
@pytest.mark.parametrize("beyond", [False, True])
def test_what_is_no_address(bind: str, words: str, beyond: bool) -> None:
    with pytest.raises(ConfigError, match=words):
        parse_bind(bind, beyond=beyond)


BEYOND = ["0.0.0.0:8777", "[::]:8777", "192.168.1.2:8777", "[2001:db8::1]:8777"]


@pytest.mark.parametrize("bind", BEYOND)
def test_beyond_loopback_there_are_three_ways(bind: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_bind(bind)
    assert str(caught.value) == (
        f"http.bind is {bind!r}, beyond loopback, where every prompt and key would cross the "
        "network in the clear. Use 127.0.0.1:8777 (and a tunnel, ssh -L, from elsewhere); or give "
        "a certificate, --tls-certificate FILE --tls-key FILE; or say --plain-http-beyond-loopback."
    )


@pytest.mark.parametrize("bind", BEYOND)
def test_any_address_when_it_may(bind: str) -> None:
    host, port = parse_bind(bind, beyond=True)
    assert (host, port) == (bind.rpartition(":")[0].strip("[]"), 8777)


def test_two_colons_take_ipv4_too_and_one_address_does_not() -> None:
    for bind, takes in (("[::]:0", True), ("[::1]:0", False)):
        with listen_tcp(bind, beyond=True) as door, socket.socket() as client:
            found = client.connect_ex(("127.0.0.1", door.getsockname()[1]))
            assert (found == 0) is takes


def test_an_address_of_another_machine_is_refused_by_the_system() -> None:
    with pytest.raises(ConfigError, match=r"cannot listen on 198\.51\.100\.1:0: Cannot assign"):
        listen_tcp("198.51.100.1:0", beyond=True)


def test_a_port_in_use_is_named() -> None:
    with listen_tcp("127.0.0.1:0") as first:
        host, port = first.getsockname()
        with pytest.raises(PortInUse, match=f"{host}:{port} is in use.*--http"):
            listen_tcp(f"{host}:{port}")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "control.sock"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_only_the_owner_gets_at_the_control_socket_and_it_goes(path: Path) -> None:
    door = UnixDoor(path)
    assert (mode(path), mode(path.parent)) == (0o600, 0o700)
    door.close()
    assert not path.exists()
    door.close()  # once more does nothing


def test_a_socket_that_a_dead_node_left_is_replaced(path: Path) -> None:
    path.parent.mkdir(mode=0o700)
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(os.fspath(path))
    dead.close()
    door = UnixDoor(path)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(os.fspath(path))
    door.close()


def test_a_live_node_is_refused_and_left_alone(path: Path) -> None:
    door = UnixDoor(path)
    with pytest.raises(NodeRuns, match="already runs at"):
        UnixDoor(path)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(os.fspath(path))
    door.close()


@pytest.mark.parametrize("backlog", [0, 5])
def test_one_that_listens_without_our_lock_lives_too(path: Path, backlog: int) -> None:
    path.parent.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as other, socket.socket(socket.AF_UNIX) as client:
        other.bind(os.fspath(path))
        other.listen(backlog)
        client.connect(os.fspath(path))  # fills a queue of none
        with pytest.raises(NodeRuns):
            UnixDoor(path)
    assert path.exists()


def test_what_is_no_socket_is_not_removed(path: Path) -> None:
    path.parent.mkdir(mode=0o700)
    path.write_text("mine")
    with pytest.raises(ConfigError, match="no socket"):
        UnixDoor(path)
    assert path.read_text() == "mine"


def test_a_folder_that_others_may_enter_is_refused(path: Path) -> None:
    path.parent.mkdir()
    path.parent.chmod(0o755)
    with pytest.raises(ConfigError, match="chmod 700"):
        UnixDoor(path)


def test_a_path_that_no_socket_can_have(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"has \d+ bytes, .* at most 107"):
        UnixDoor(tmp_path / ("x" * 120))


def test_a_socket_of_another_is_not_removed_at_the_end(path: Path) -> None:
    door = UnixDoor(path)
    path.unlink()
    path.write_text("another's")
    door.close()
    assert path.exists()
