"""The key file: private, whole, made once, and refused in words when it is not as it should be."""

from __future__ import annotations

import multiprocessing
import os
import stat
from pathlib import Path

import pytest

from aiplat.domain.errors import ConfigError
from aiplat.node.identity import Identity, load_or_create


def test_it_is_made_once_and_read_again(tmp_path: Path) -> None:
    path = tmp_path / "home" / "identity.key"
    first = load_or_create(path)
    assert load_or_create(path).peer_id == first.peer_id
    assert first.peer_id.startswith("12D3KooW")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [p.name for p in path.parent.iterdir()] == ["identity.key"]  # no temporary is left


def test_an_open_folder_is_closed(tmp_path: Path) -> None:
    folder = tmp_path / "home"
    folder.mkdir(mode=0o755)
    load_or_create(folder / "identity.key")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660, 0o620])
def test_a_key_that_others_may_reach_is_refused_with_the_mend(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "identity.key"
    load_or_create(path)
    path.chmod(mode)
    with pytest.raises(ConfigError) as refusal:
        load_or_create(path)
    text = str(refusal.value)
    assert str(path) in text
    assert f"{mode:04o}" in text
    assert f"chmod 600 {path}" in text


@pytest.mark.parametrize("content", [b"", b"short", b"x" * 33, bytes(32)])
def test_what_is_no_key_is_refused_and_stays(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "identity.key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="is no key") as refusal:
        load_or_create(path)
    assert str(path) in str(refusal.value)
    assert path.read_bytes() == content


def test_a_link_is_refused(tmp_path: Path) -> None:
    load_or_create(tmp_path / "real.key")
    (tmp_path / "identity.key").symlink_to(tmp_path / "real.key")
    with pytest.raises(ConfigError):
        load_or_create(tmp_path / "identity.key")


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be read or made"):
        load_or_create(tmp_path / "file" / "identity.key")


def _race(path: Path, start: float, out: multiprocessing.Queue[str]) -> None:
    while os.times().elapsed < start:  # all at the same moment
        pass
    out.put(load_or_create(path).peer_id)


def test_processes_that_race_get_one_key(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    out: multiprocessing.Queue[str] = context.Queue()
    start = os.times().elapsed + 0.3
    path = tmp_path / "home" / "identity.key"
    racers = [context.Process(target=_race, args=(path, start, out)) for _ in range(6)]
    for racer in racers:
        racer.start()
    found = {out.get(timeout=20) for _ in racers}
    for racer in racers:
        racer.join(20)
    assert len(found) == 1
    assert [p.name for p in path.parent.iterdir()] == ["identity.key"]


def test_its_repr_holds_no_key() -> None:
    identity = Identity(b"\x01" * 32)
    assert "01010101" not in repr(identity)
    assert identity.peer_id in repr(identity)
