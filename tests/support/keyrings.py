"""A real Secret Service for tests: Debian's gnome-keyring on a session bus of the test's own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PROGRAMS = ("dbus-run-session", "gnome-keyring-daemon")
_SCRIPT = (
    "printf pw | gnome-keyring-daemon --unlock --components=secrets >&2 || exit 1; "
    'printf "%s\\n" "$DBUS_SESSION_BUS_ADDRESS"; cat'
)


@contextmanager
def secret_service(folder: Path) -> Iterator[dict[str, str]]:
    """An unlocked keyring; gives the environment in which a process finds it."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        pytest.skip(f"{' and '.join(missing)} of Debian's dbus and gnome-keyring are not here")
    runtime = folder / "run"
    runtime.mkdir(mode=0o700, parents=True)
    found = {"HOME": str(folder), "XDG_DATA_HOME": str(folder / "share"),
             "XDG_RUNTIME_DIR": str(runtime)}  # fmt: skip
    with subprocess.Popen(
        ["dbus-run-session", "--", "bash", "-c", _SCRIPT],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        env=os.environ | found, text=True, start_new_session=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None and process.stdin is not None
        try:
            address = process.stdout.readline().strip()
            assert address, "the session bus did not start"
            yield found | {"DBUS_SESSION_BUS_ADDRESS": address}
        finally:
            process.stdin.close()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
