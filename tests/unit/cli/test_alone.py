"""`aiplat` without a word, and `scripts/run` without one, open the full screen in a terminal."""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from bench.tui.terminal import spawn
from tests.support.nodes import COMMAND, environment

ROOT = Path(__file__).parents[3]
NAMES = ("Chat", "Peers", "Keys", "Usage", "Logs")
_STAMP = 'root=$1; . "$root/scripts/env.sh"; write_stamp run'
_SECONDS = 60.0


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home whose settings are wrong: the screen opens, and no node can be started behind it."""
    made = tmp_path / "h"
    made.mkdir(mode=0o700)
    (made / "config.toml").write_text("[runtime]\ngrace_second = 3\n")
    return made


def names_come(command: Sequence[str], home: Path) -> None:
    """Start it in a terminal of its own, wait until the five names are shown, and end it."""
    env = environment(TERM="xterm-256color", LANG="C.UTF-8", AIPLAT_HOME=str(home))
    pid, terminal = spawn(command, env, 100, 30)
    shown, end = b"", time.monotonic() + _SECONDS
    try:
        while not all(name.encode() in shown for name in NAMES):
            left = end - time.monotonic()
            assert left > 0, f"not all of {NAMES} within {_SECONDS:g} s: {shown!r}"
            if select.select([terminal], [], [], left)[0]:
                shown += os.read(terminal, 65536)
    except OSError:  # it ended, and the terminal hung up
        raise AssertionError(f"it ended before all of {NAMES} were shown: {shown!r}") from None
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(terminal)


def test_aiplat_alone_opens_the_screen(home: Path) -> None:
    names_come(COMMAND, home)


def test_the_script_alone_opens_it_too(home: Path, tmp_path: Path) -> None:
    names_come([str(checkout(tmp_path / "checkout") / "scripts" / "run")], home)


def checkout(folder: Path) -> Path:
    """What the script reads, with an environment in place: nothing is installed, then."""
    commands = ROOT / ".venv" / "bin"
    if not (commands / "aiplat").exists():
        pytest.skip("the environment of this checkout was not made yet")
    for name in ("scripts/run", "scripts/env.sh", "requirements/run.txt", "pyproject.toml"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    (folder / ".venv" / "bin").mkdir(parents=True)
    for name in ("aiplat", "python"):
        (folder / ".venv" / "bin" / name).symlink_to(commands / name)
    subprocess.run(["bash", "-c", _STAMP, "-", str(folder)], check=True)
    return folder
