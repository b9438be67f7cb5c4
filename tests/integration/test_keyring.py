"""Credentials in a real Secret Service: Debian's gnome-keyring, on a session bus of the test's."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

_PACKAGES = {"dbus-run-session": "dbus", "gnome-keyring-daemon": "gnome-keyring"}
_missing = [package for program, package in _PACKAGES.items() if shutil.which(program) is None]
if _missing:
    pytest.skip(f"Debian's {' and '.join(_missing)} are not here", allow_module_level=True)

SECRET_A, SECRET_B = "sk-aip-nodeA-s3cr3t", "sk-aip-nodeB-s3cr3t"
UNLOCKED = "printf pw | gnome-keyring-daemon --unlock --components=secrets >&2"
LOCKED = "gnome-keyring-daemon --start --components=secrets >&2"
PLENTY = 60.0
"""Seconds for a call that is to succeed, on a machine with much else to do."""

CHILD = """
import json, os, signal, sys, time
from pathlib import Path
from aiplat.credentials.credentials import Credentials
from aiplat.credentials.errors import NoKeyring
from aiplat.credentials.held import Held

node, folder, seconds = sys.argv[1], Path(sys.argv[2]), float(sys.argv[3])
ours = Credentials(node, folder, seconds=seconds)
key = Held(kind="key", id="abc", gateways=("g",), name="laptop")

def stop_the_daemon():
    from contextlib import closing
    import secretstorage
    from jeepney import DBusAddress, new_method_call
    bus = DBusAddress("/org/freedesktop/DBus", "org.freedesktop.DBus", "org.freedesktop.DBus")
    name = "org.freedesktop.secrets"
    with closing(secretstorage.dbus_init()) as connection:
        ask = new_method_call(bus, "GetConnectionUnixProcessID", "s", (name,))
        (pid,) = connection.send_and_get_reply(ask).body
    os.kill(pid, signal.SIGSTOP)
    return pid

def told(work):
    started = time.monotonic()
    try:
        given = work()
    except NoKeyring as fault:
        given = str(fault)
    print(json.dumps([given, time.monotonic() - started]))
"""

KEEP = "told(lambda: ours.keep(key, f'sk-aip-{node}-s3cr3t').where)"
READ = "told(lambda: ours.for_gateway('g', 'key')[1])"
FORGET = "told(lambda: ours.forget('key', 'abc'))"
EMPTY = "told(lambda: ours.empty_keyring())"
SECRET_OF = "told(lambda: ours.secret_of(key))"
CHECK = "told(lambda: ours.check())"
REPORT = "r = ours.report(); told(lambda: [r.usable, r.backend, r.reason, r.mend, r.left])"
HELD = "told(lambda: len(ours.held()))"
LEFT_IN_KEYRING = """
import keyring
told(lambda: keyring.get_password("aiplat:" + node, "key:abc"))
"""
HANG = """
told(lambda: ours.secret_of(key))
pid = stop_the_daemon()
calls = ours._vault._calls
calls._seconds = 1.0  # from here on: before, the machine's pace was not to matter
try:
    told(lambda: ours.secret_of(key))
    told(lambda: ours.secret_of(key))
finally:
    os.kill(pid, signal.SIGCONT)
    calls._seconds = seconds
deadline = time.monotonic() + 60
while True:  # the late call ends by itself, and then there is no rest
    try:
        ours.secret_of(key)
        break
    except NoKeyring:
        assert time.monotonic() < deadline
        time.sleep(0.05)
told(lambda: ours.secret_of(key))
"""

LATER = """
import subprocess
told(lambda: ours.check())
daemon = subprocess.Popen(
    ["gnome-keyring-daemon", "--foreground", "--unlock", "--components=secrets"],
    stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
)
try:
    daemon.stdin.write(b"pw")
    daemon.stdin.close()
    deadline = time.monotonic() + 60
    while not ours.report().usable and time.monotonic() < deadline:
        time.sleep(0.05)  # it takes its name on the bus in a moment
    told(lambda: ours.check())
finally:
    daemon.kill()
    daemon.wait()
"""
BARE_BUS = """
<busconfig>
  <type>session</type><listen>unix:tmpdir=/tmp</listen><auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/>
  </policy>
</busconfig>
"""
"""A session bus that starts no service by itself."""


class Desk:
    """A person's home with a keyring. Each session is a log-in, each step a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        runtime = folder / "run"
        runtime.mkdir(mode=0o700)
        gone = ("DBUS_", "DISPLAY", "WAYLAND_", "GNOME_", "PYTHON_KEYRING", "KEYRING_", "XDG_")
        self.environ = {n: v for n, v in os.environ.items() if not n.startswith(gone)} | {
            "HOME": str(folder),
            "XDG_DATA_HOME": str(folder / "share"),
            "XDG_CONFIG_HOME": str(folder / "config"),
            "XDG_RUNTIME_DIR": str(runtime),
        }

    def session(
        self,
        daemon: str,
        *steps: str,
        nodes: str = "A",
        seconds: float = PLENTY,
        bus: tuple[str, ...] | None = (),
    ) -> list[Any]:
        """Run `steps` on a bus with that daemon; gives what they told. `nodes`: a letter a step."""
        script = f"{daemon}\n"
        names = nodes * len(steps) if len(nodes) == 1 else nodes
        for number, (node, step) in enumerate(zip(names, steps, strict=True)):
            path = self.folder / f"step{number}.py"
            path.write_text(CHILD + step)
            data = self.folder / f"data{node}"
            script += f"'{sys.executable}' '{path}' node{node} '{data}' {seconds} || exit 1\n"
        command = ["bash", "-c", script]
        if bus is not None:
            command = ["dbus-run-session", *bus, "--", *command]
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=self.environ, text=True, start_new_session=True,
        ) as process:  # fmt: skip
            try:
                out, err = process.communicate(timeout=240)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)  # the bus too, and with it the daemon
                raise
        assert process.returncode == 0, err
        return [json.loads(line) for line in out.splitlines()]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def words(told: list[Any]) -> list[Any]:
    return [given for given, _ in told]


def test_a_secret_is_kept_read_by_another_process_and_forgotten(desk: Desk) -> None:
    steps = (KEEP, READ, LEFT_IN_KEYRING, REPORT)
    told = words(desk.session(UNLOCKED, *steps))
    backend = "keyring.backends.SecretService.Keyring"
    assert told == ["keyring", SECRET_A, SECRET_A, [True, backend, "", "", 0]]
    for path in (desk.folder / "dataA").iterdir():
        assert "s3cr3t" not in path.read_text()
    # It is there at the next log-in, too.
    told = words(desk.session(UNLOCKED, READ, FORGET, LEFT_IN_KEYRING, HELD, FORGET))
    assert told == [SECRET_A, True, None, 0, False]


@pytest.mark.slow
def test_two_nodes_do_not_meet_in_one_keyring(desk: Desk) -> None:
    steps = (KEEP, KEEP, READ, READ, FORGET, READ, LEFT_IN_KEYRING)
    told = desk.session(UNLOCKED, *steps, nodes="ABABABA")
    assert words(told) == ["keyring", "keyring", SECRET_A, SECRET_B, True, SECRET_B, None]


@pytest.mark.slow
def test_a_locked_keyring_ends_in_time_with_the_words(desk: Desk) -> None:
    desk.session(UNLOCKED, KEEP)
    told = desk.session(LOCKED, SECRET_OF, CHECK, KEEP, REPORT, HELD, seconds=3)
    for given, took in told[:3]:
        assert "locked" in given and "Unlock it" in given and "--insecure-storage" in given
        assert took < 3 * 3 + 3  # to look for it, to try it, and the machine's own pace
    usable, backend, reason, *_ = told[3][0]
    assert not usable and backend.endswith("SecretService.Keyring") and "locked" in reason
    assert told[4][0] == 1
    assert words(desk.session(UNLOCKED, READ)) == [SECRET_A]  # nothing was lost


@pytest.mark.slow
def test_what_is_forgotten_while_it_is_locked_is_deleted_later(desk: Desk) -> None:
    desk.session(UNLOCKED, KEEP)
    forgotten, held, (_, _, _, _, left) = words(desk.session(LOCKED, FORGET, HELD, REPORT))
    assert (forgotten, held, left) == (True, 0, 1)
    told = words(desk.session(UNLOCKED, LEFT_IN_KEYRING, FORGET, LEFT_IN_KEYRING, REPORT))
    assert told[:3] == [SECRET_A, False, None]
    assert told[3][-1] == 0


@pytest.mark.slow
def test_all_that_is_a_nodes_is_deleted_before_its_identity_goes(desk: Desk) -> None:
    desk.session(UNLOCKED, KEEP, KEEP, nodes="AB")
    (locked,) = words(desk.session(LOCKED, EMPTY))
    assert "locked" in locked
    steps = (LEFT_IN_KEYRING, EMPTY, LEFT_IN_KEYRING, REPORT, READ)
    told = words(desk.session(UNLOCKED, *steps, nodes="AAAAB"))
    assert told[:3] == [SECRET_A, None, None]
    assert (told[3][-1], told[4]) == (0, SECRET_B), "another home's stays"


def test_a_keyring_that_hangs_ends_in_time_and_comes_back(desk: Desk) -> None:
    desk.session(UNLOCKED, KEEP)
    before, first, second, after = desk.session(UNLOCKED, HANG)
    assert before[0] == after[0] == SECRET_A
    assert "did not answer within 1 s: it is locked, or it hangs" in first[0]
    assert 1 <= first[1] < 10
    assert "did not answer" in second[0] and second[1] < 1  # it is not waited for again


def test_a_new_home_whose_keyring_nobody_makes_is_refused(desk: Desk) -> None:
    """No password was ever given: the daemon wants to ask for one, and nobody is there."""
    ((told, _),) = desk.session(LOCKED, CHECK)
    assert "keyring is locked" in told or "did not answer" in told


def test_without_a_session_bus_the_words_say_so(desk: Desk) -> None:
    told = desk.session("", CHECK, KEEP, REPORT, bus=None)
    for given, took in told[:2]:
        assert given.startswith("The node reaches no keyring: it has no D-Bus session")
        assert took < 10
    assert told[2][0][:2] == [False, "keyring.backends.fail.Keyring"]
    assert not (desk.folder / "dataA" / "credentials.json").exists()


def test_a_keyring_that_comes_later_is_seen_by_the_same_process(desk: Desk) -> None:
    settings = desk.folder / "bus.conf"
    settings.write_text(BARE_BUS)
    (first, _), (second, _) = desk.session("", LATER, bus=(f"--config-file={settings}",))
    assert first.startswith("This machine has no keyring: nothing offers a Secret Service")
    assert second is None
