"""Files of their owner's alone: what is refused, what a crash leaves, and writers at once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from aiplat.credentials.credentials import Credentials
from aiplat.credentials.files import MAX_FILE, locked, read_private, write_private
from aiplat.domain.errors import ConfigError, DeadlineExceeded

from .fake_keyring import NODE

KEEPER = """
import sys
from pathlib import Path
from aiplat.credentials.credentials import Credentials
from aiplat.credentials.held import Held

def no_keyring():
    raise OSError

ours = Credentials("n", Path(sys.argv[1]), open_keyring=no_keyring, seconds=60)
print("ready", flush=True)
sys.stdin.readline()
for number in range(int(sys.argv[3])):
    name = f"{sys.argv[2]}{number}"
    ours.keep(Held(kind="key", id=name, gateways=("g",)), f"secret-{name}", insecure=True)
    if number % 2:
        ours.forget("key", name)
"""


def test_several_processes_at_once_lose_nothing(tmp_path: Path) -> None:
    keepers = [
        subprocess.Popen(
            [sys.executable, "-c", KEEPER, str(tmp_path), name, "20"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for name in "abc"
    ]  # fmt: skip
    for keeper in keepers:
        assert keeper.stdout is not None and keeper.stdout.readline() == "ready\n"
    for keeper in keepers:
        keeper.communicate("go\n", timeout=120)
        assert keeper.returncode == 0
    ours = Credentials(NODE, tmp_path)
    wanted = {f"{name}{number}" for name in "abc" for number in range(0, 20, 2)}
    assert {held.id: ours.secret_of(held) for held in ours.held()} == {
        name: f"secret-{name}" for name in wanted
    }
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "credentials-secrets.json", "credentials.json", "credentials.lock",
    ]  # fmt: skip


def test_who_has_the_lock_has_it_alone(tmp_path: Path) -> None:
    path = tmp_path / "made" / "lock"
    with (
        locked(path, 0),
        pytest.raises(DeadlineExceeded, match=r"has held .*lock for 0 s"),
        locked(path, 0),
    ):
        pass
    with locked(path, 0):
        pass
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_file_that_cannot_be_written_leaves_the_old_one_and_no_draft(tmp_path: Path) -> None:
    path = tmp_path / "f"
    write_private(path, b"old")
    with pytest.raises(ConfigError, match=f"{path} would have more than {MAX_FILE} bytes"):
        write_private(path, b"x" * (MAX_FILE + 1))
    (tmp_path / "folder").mkdir()
    with pytest.raises(ConfigError, match="folder cannot be written"):
        write_private(tmp_path / "folder", b"new")
    with pytest.raises(ConfigError, match="cannot be written: No such file or directory"):
        write_private(tmp_path / "nowhere" / "f", b"new")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["f", "folder"]
    assert read_private(path) == b"old"


def test_what_is_no_file_of_ones_own_is_refused(tmp_path: Path) -> None:
    real = tmp_path / "real"
    write_private(real, b"x")
    (tmp_path / "link").symlink_to(real)
    os.mkfifo(tmp_path / "pipe", 0o600)
    (tmp_path / "folder").mkdir(0o700)
    large = tmp_path / "large"
    large.touch(0o600)
    os.truncate(large, MAX_FILE + 1)
    for name, words in (
        ("link", "cannot be read: Too many levels of symbolic links"),
        ("pipe", "is no file: move it away"),
        ("folder", "is no file: move it away"),
        ("large", f"has more than {MAX_FILE} bytes"),
    ):
        with pytest.raises(ConfigError, match=f"{tmp_path / name} {words}"):
            read_private(tmp_path / name)
    assert read_private(tmp_path / "none") is None


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give a file away")
def test_a_file_of_another_account_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "f"
    write_private(path, b"x")
    os.chown(path, 12345, -1)
    with pytest.raises(ConfigError, match=r"another account \(uid 12345\): run `chown 0 "):
        read_private(path)
