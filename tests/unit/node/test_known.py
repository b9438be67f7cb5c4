"""The addresses kept for next time: bounded, whole, and no reason not to start."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

import pytest
import trio

from aiplat.domain.ids import PeerId
from aiplat.node import known as known_module
from aiplat.node.identity import Identity
from aiplat.node.known import KnownPeers


def peer_of(peer: int) -> PeerId:
    return Identity(bytes([peer + 1]) * 32).peer_id


def address(peer: int, port: int = 4001) -> str:
    return f"/ip4/127.0.0.1/tcp/{port}/p2p/{peer_of(peer)}"


def test_they_are_there_next_time_and_what_worked_comes_first(tmp_path: Path) -> None:
    path = tmp_path / "state" / "peers.json"
    known = KnownPeers(path, 10)
    known.add(address(1))
    known.add(address(2))
    known.worked(address(2))
    known.save()
    assert KnownPeers(path, 10).addresses == (address(2), address(1))
    known.forget(address(2))
    known.save()
    assert KnownPeers(path, 10).addresses == (address(1),)
    assert [p.name for p in path.parent.iterdir()] == ["peers.json"]


def test_an_address_that_works_replaces_the_peers_older_ones(tmp_path: Path) -> None:
    known = KnownPeers(None, 10)
    known.add(address(1, 1111))
    known.add(address(2))
    known.worked(address(1, 2222))
    assert known.addresses == (address(1, 2222), address(2))


def test_they_are_bounded_and_the_newest_finds_room(tmp_path: Path) -> None:
    known = KnownPeers(tmp_path / "peers.json", 3)
    for peer in range(5):
        known.add(address(peer))
    assert known.addresses == (address(0), address(1), address(4))


@pytest.mark.parametrize("content", [b"", b"{", b'{"peers": 7}', b"\xff\xfe", b"[" * 100_000])
def test_a_broken_file_is_set_aside_with_a_warning(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "peers.json"
    path.write_bytes(content)
    with caplog.at_level(logging.WARNING, "aiplat.node"):
        assert KnownPeers(path, 10).addresses == ()
    assert "broken" in caplog.text
    assert (tmp_path / "peers.json.broken").read_bytes() == content
    assert not path.exists()


def test_what_is_no_address_in_it_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "peers.json"
    path.write_text(f'{{"peers": ["nonsense", "{address(1)}", "{address(1)}"], "more": 1}}')
    assert KnownPeers(path, 10).addresses == (address(1),)


def test_a_folder_that_cannot_be_written_is_only_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    known = KnownPeers(tmp_path / "file" / "peers.json", 10)
    with caplog.at_level(logging.WARNING, "aiplat.node"):
        known.add(address(1))
        known.save()
    assert known.addresses == (address(1),)
    assert "not saved" in caplog.text


class Disk:
    """Takes its time with each write, until told; keeps what was written."""

    def __init__(self) -> None:
        self.began = threading.Event()
        self.goes_on = threading.Event()
        self.writes: list[bytes] = []
        self.at_once = 0

    def write(self, path: Path, data: bytes) -> None:
        self.at_once += 1
        assert self.at_once == 1
        self.began.set()
        assert self.goes_on.wait(10)
        self.writes.append(data)
        self.at_once -= 1


@pytest.mark.trio
async def test_a_slow_disk_holds_nobody_up_and_the_last_change_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk()
    monkeypatch.setattr(known_module, "write_private", disk.write)
    known = KnownPeers(tmp_path / "peers.json", 10)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(known.run)
        known.add(address(1))
        assert await trio.to_thread.run_sync(disk.began.wait, 10)
        known.add(address(2))  # on the loop, while the disk is at the first
        known.add(address(3))
        threading.Timer(0.1, disk.goes_on.set).start()
        nursery.cancel_scope.cancel()  # and the node stops: one writes, one waits for it
    assert address(3).encode() in disk.writes[-1]
    assert len(disk.writes) == 2


def test_what_members_told_is_kept_apart_the_latest_first(tmp_path: Path) -> None:
    path = tmp_path / "peers.json"
    known = KnownPeers(path, 3)
    known.add(address(9))
    for peer in range(3):
        known.hear(peer_of(peer), [address(peer)])
    known.hear(peer_of(0), [address(0, 4002), address(0, 4003)])
    known.save()
    again = KnownPeers(path, 3)
    assert again.heard == (address(0, 4002), address(0, 4003), address(2)), "bounded"
    assert again.addresses == (address(9),)
    again.clear()
    again.save()
    assert KnownPeers(path, 3).addresses == KnownPeers(path, 3).heard == ()


def test_what_is_told_again_is_not_written_again(tmp_path: Path) -> None:
    known = KnownPeers(tmp_path / "peers.json", 3)
    known.hear(peer_of(1), [address(1)])
    known.save()
    saved = known._both
    known.hear(peer_of(1), [address(1)])
    assert all(a is b for a, b in zip(known._both, saved, strict=True))


def test_what_was_heard_is_not_read_again_at_each_message(monkeypatch: pytest.MonkeyPatch) -> None:
    known = KnownPeers(None, 64)
    for peer in range(64):
        known.hear(peer_of(peer), [address(peer)])
    read: list[str] = []
    monkeypatch.setattr(known_module, "parse_target", lambda text, **_: read.append(text))
    known.hear(peer_of(3), [address(3, 5001)])
    known.hear(peer_of(70), [address(70)])
    assert known.heard[:2] == (address(70), address(3, 5001))
    assert address(3) not in known.heard
    assert read == []
