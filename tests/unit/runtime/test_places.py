"""Places: one folder when asked, secrets that only their owner reads, sockets that fit."""

from __future__ import annotations

import os
import socket
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from aiplat.domain.errors import ConfigError
from aiplat.runtime.places import MAX_SOCKET_BYTES, Places, find_places
from aiplat.runtime.private import (
    check_private,
    local_token,
    make_private_folder,
    read_private,
    write_private,
)


def places_in(folder: Path, **environ: str) -> Places:
    return find_places(str(folder), environ)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder with a path short enough for sockets, which pytest's is not everywhere."""
    with tempfile.TemporaryDirectory(prefix="aip", dir="/tmp") as folder:
        yield Path(folder)


def test_a_home_holds_everything_but_the_cache(tmp_path: Path, short: Path) -> None:
    places = places_in(short / "h", AIPLAT_CACHE=str(tmp_path / "c"))
    places.prepare()
    socket_path = places.place_control()
    for path in (places.config_file, places.identity, places.known_peers, places.token,
                 places.node_lock, places.start_lock, places.log, socket_path):  # fmt: skip
        assert path.is_relative_to(short / "h")
    assert places.models == tmp_path / "c" / "models"
    assert mode(places.data) == mode(places.state) == mode(places.logs) == 0o700


def test_the_option_wins_over_the_environment_and_is_made_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    environ = {"AIPLAT_HOME": "from-env"}
    assert find_places("g", environ).home == tmp_path / "g"
    assert find_places("../x", environ).home == tmp_path.parent / "x"
    assert find_places(None, environ).home == tmp_path / "from-env"


def test_without_a_home_the_platform_chooses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("CONFIG", "DATA", "STATE", "CACHE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name.lower()))
    places = find_places(None, {})
    assert places.home is None
    assert places.config_file == tmp_path / "config" / "aiplat" / "config.toml"
    assert places.state == tmp_path / "state" / "aiplat"
    assert places.models == tmp_path / "cache" / "aiplat" / "models"


def test_a_long_home_falls_back_to_a_short_folder_and_notes_it(tmp_path: Path, short: Path) -> None:
    runtime = short
    places = places_in(tmp_path / ("x" * 120), XDG_RUNTIME_DIR=str(runtime))
    places.prepare()
    path = places.place_control()
    assert path.parent == runtime / "aiplat"
    assert mode(path.parent) == 0o700
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))  # it fits
    elsewhere = places_in(tmp_path / ("x" * 120))
    assert elsewhere.runtime != places.runtime
    assert elsewhere.control_socket() == path  # another log-in finds it by the note


def test_two_long_homes_have_two_sockets(tmp_path: Path) -> None:
    first, second = (places_in(tmp_path / (letter * 120)) for letter in "xy")
    assert first.control_socket() != second.control_socket()


def test_a_control_socket_of_ones_choice_is_found_by_the_faces(tmp_path: Path, short: Path) -> None:
    home = short / "h"
    places = places_in(home)
    places.prepare()
    chosen = short / "mine" / "c.sock"
    assert places.place_control(chosen) == chosen
    assert places_in(home).control_socket() == chosen
    places.place_control()
    assert places_in(home).control_socket() == places.state / "control.sock"


def test_a_control_socket_in_a_shared_folder_is_refused_without_bad_advice(tmp_path: Path) -> None:
    places = places_in(tmp_path / "h")
    places.prepare()
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    with pytest.raises(ConfigError, match="--control PATH") as caught:
        places.place_control(shared / "c.sock")
    assert "chmod" not in str(caught.value)
    with pytest.raises(ConfigError, match=f"at most {MAX_SOCKET_BYTES}"):
        places.place_control(tmp_path / ("y" * 120) / "c.sock")


@pytest.mark.parametrize("name", ["identity", "token"])
def test_a_secret_that_others_may_read_is_refused_with_the_mend(tmp_path: Path, name: str) -> None:
    places = places_in(tmp_path / "h")
    places.prepare()
    secret: Path = getattr(places, name)
    secret.write_text("x")
    secret.chmod(0o644)
    with pytest.raises(ConfigError, match=f"mode 0644.*chmod 600 {secret}"):
        places.prepare()
    secret.chmod(0o600)
    places.prepare()


def test_a_state_folder_that_others_may_enter_is_refused(tmp_path: Path) -> None:
    places = places_in(tmp_path / "h")
    places.state.mkdir(parents=True)
    places.state.chmod(0o755)
    with pytest.raises(ConfigError, match=f"chmod 700 {places.state}"):
        places.prepare()


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"cannot be made.*--home DIR"):
        make_private_folder(tmp_path / "file" / "x")


def test_what_stands_in_the_way_is_named(tmp_path: Path) -> None:
    places = places_in(tmp_path / "h")
    places.prepare()
    places.logs.rmdir()
    places.logs.write_text("a file")
    with pytest.raises(ConfigError, match=f"{places.logs} cannot be made: File exists"):
        places.prepare()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give a file away")
def test_a_file_or_link_of_another_account_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "k"
    write_private(path, "x")
    link = tmp_path / "link"
    link.symlink_to(path)
    check_private(link)
    os.chown(link, 1234, 1234, follow_symlinks=False)
    with pytest.raises(ConfigError, match="uid 1234"):
        check_private(link)
    os.chown(path, 1234, 1234)
    with pytest.raises(ConfigError, match="uid 1234"):
        read_private(path)


def test_private_files_are_whole_or_absent(tmp_path: Path) -> None:
    path = tmp_path / "k"
    write_private(path, "one")
    write_private(path, "two", replace=False)
    assert read_private(path) == "one"
    write_private(path, "three")
    assert read_private(path) == "three"
    assert mode(path) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["k"]
    with pytest.raises(ConfigError, match="cannot be written"):
        write_private(tmp_path / "none" / "k", "x")


def test_the_token_is_made_once_and_checked(tmp_path: Path) -> None:
    path = tmp_path / "token"
    token = local_token(path)
    assert token.startswith("sk-aip-local-")
    assert len(token) == 13 + 64
    assert local_token(path) == token
    assert mode(path) == 0o600
    path.write_text("")
    with pytest.raises(ConfigError, match="remove it"):
        local_token(path)
    path.chmod(0o640)
    with pytest.raises(ConfigError, match="chmod 600"):
        local_token(path)
