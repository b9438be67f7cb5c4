"""Who starts a node: a face that finds none, so that exactly one starts when two race.

The node is a process of its own, detached: a face that crashes or quits takes no node with it.
What it writes while it starts goes to a file that the face reads along, so that a person sees
the steps and, when the start fails, the node's own reason.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import msgspec

from aiplat.control.client import NodeLost, NodeSilent
from aiplat.control.messages import Status
from aiplat.domain.errors import AiplatError, ConfigError, DeadlineExceeded, NotReady, from_code
from aiplat.runtime.credential import VARIABLE
from aiplat.runtime.lock import node_runs, start_lock
from aiplat.runtime.options import ServeOptions
from aiplat.runtime.places import Places
from aiplat.runtime.reach import Connect, NodeClient, connect, status_of

_PAUSE = 0.03
_MAX_LOG = 256 * 1024
_PROBE = 64 * 1024
"""Bytes that a folder with room takes."""

Say = Callable[[str], None]


class Child(Protocol):
    """A node process that was started. `poll` gives its exit code once it ended."""

    def poll(self) -> int | None:
        """Tell its exit code, None while it runs."""


class Launch(Protocol):
    """Starts the process of a background node."""

    def __call__(self, places: Places, options: ServeOptions) -> Child:
        """Start it, and return at once."""


_left_running: list[subprocess.Popen[bytes]] = []  # kept, or Popen warns of what it leaves


def launch(places: Places, options: ServeOptions) -> Child:
    """Start ``aiplat serve --background``, detached from this process and its terminal."""
    home = [] if places.home is None else ["--home", str(places.home)]
    options = replace(options, background=True, json=True)
    # -P: what lies in a person's current folder is not ours to import.
    command = [sys.executable, "-P", "-m", "aiplat", *home, "serve", *options.arguments()]
    try:
        handle = os.open(places.start_log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    except OSError as error:
        raise ConfigError(f"{places.start_log} cannot be written: {error.strerror}.") from None
    try:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=handle,
            stderr=handle,
            cwd=places.state,
            env=_environment(os.environ),
            start_new_session=True,
        )
    finally:
        os.close(handle)
    _left_running.append(child)
    return child


def _environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Make the paths absolute that the current folder gave their meaning; leave out the face's key.

    Others ask this node too, later and elsewhere: each face's key goes with its own calls.
    """
    made = dict(environ)
    made.pop(VARIABLE, None)
    for name in ("AIPLAT_HOME", "AIPLAT_CACHE", "HF_HOME"):
        if made.get(name):
            made[name] = os.path.abspath(Path(made[name]).expanduser())
    if made.get("PYTHONPATH"):
        paths = made["PYTHONPATH"].split(os.pathsep)
        made["PYTHONPATH"] = os.pathsep.join(os.path.abspath(path) for path in paths)
    return made


def ensure_node(
    places: Places,
    options: ServeOptions,
    seconds: float,
    say: Say,
    *,
    connect: Connect = connect,
    launch: Launch = launch,
) -> NodeClient:
    """Give the client of the node that runs here, and start one when there is none.

    Arguments:
        places: the node's folders, prepared.
        options: for the node, if it must be started.
        seconds: how long to wait for it.
        say: hears the steps of the start, a line each.
        connect: makes the client.
        launch: starts the process.

    Raises:
        DeadlineExceeded: it was not ready in time.
        AiplatError: it could not start: its own reason.
    """
    start = _Start(places, options, seconds, say, connect, launch)
    if (found := start.ready()) is not None:
        return found
    deadline = time.monotonic() + seconds
    with start_lock(places.start_lock, seconds):
        while (found := start.look()) is None:
            if time.monotonic() >= deadline:
                raise DeadlineExceeded(
                    f"The node was not ready within {seconds:g} s. Its log is {places.log}; "
                    "AIPLAT_RUNTIME_START_SECONDS sets another limit."
                )
            time.sleep(_PAUSE)
        return found


class _Start:
    """One start under way: looked at again and again until a node is ready."""

    def __init__(
        self,
        places: Places,
        options: ServeOptions,
        seconds: float,
        say: Say,
        connect: Connect,
        launch: Launch,
    ) -> None:
        self._places = places
        self._options = options
        self._seconds = seconds
        self._told_to_wait = False
        self._say = say
        self._connect = connect
        self._launch = launch
        self._child: Child | None = None
        self._read = 0
        self._lost = False

    def ready(self) -> NodeClient | None:
        """Give the client of a node that is ready now, if there is one."""
        client, status = self._ask()
        return client if status is not None and status.state == "ready" else None

    def _ask(self) -> tuple[NodeClient, Status | None]:
        """Look for a node; one that says nothing is frozen, not ending."""
        client = self._connect(self._places)  # anew: its socket may lie elsewhere now
        try:
            status = status_of(client)
        except NodeLost as lost:
            if (self._lost or isinstance(lost, NodeSilent)) and node_runs(self._places.node_lock):
                raise
            self._lost = True
            return client, None
        self._lost = False
        return client, status

    def look(self) -> NodeClient | None:
        """Take the next step; gives the client once a node is ready."""
        client, status = self._ask()
        if self._child is not None:
            self._follow()
        if status is not None and status.state == "ready":
            return client
        if status is not None and status.drained:
            raise NotReady(
                f"The node of this home (pid {status.pid}) was drained: it takes no new requests "
                "until `aiplat drain --off`, or its next start."
            )
        if status is not None and status.state == "draining":
            self._wait_for_end()
        if self._child is not None:
            self._check_end(self._child)
        elif status is None and not node_runs(self._places.node_lock):
            self._child = self._launch(self._places, self._options)
        return None  # it starts, or another ends: its lock says so

    def _wait_for_end(self) -> None:
        if not self._told_to_wait:
            self._told_to_wait = True
            self._say(
                f"A node of this home is stopping; waiting for it (up to {self._seconds:g} s) …"
            )

    def _check_end(self, child: Child) -> None:
        code = child.poll()
        if code is None:
            return
        self._follow()
        if node_runs(self._places.node_lock):  # it lost against one that `serve` started
            return
        raise _reason(_text(self._places.start_log), code, self._places.start_log)

    def _follow(self) -> None:
        """Say the lines that came since the last look; JSON is for programs."""
        text = _text(self._places.start_log)
        complete = text.rfind("\n") + 1
        for line in text[self._read : complete].splitlines():
            # An error is held back: when the start fails it is the reason, and said as that.
            if line.strip() and not line.startswith(("{", "error: ")):
                self._say(line)
        self._read = max(complete, self._read)


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_MAX_LOG).decode("utf-8", "replace")
    except OSError:
        return ""


class _Told(msgspec.Struct):
    code: str
    message: str


class _Reply(msgspec.Struct):
    error: _Told


def _reason(text: str, code: int, log: Path) -> AiplatError:
    """Find why a node did not start, in what it wrote."""
    lines = [line for line in text.splitlines() if line.strip()]
    for line in reversed(lines):
        try:
            told = msgspec.json.decode(line, type=_Reply).error
        except msgspec.MsgspecError:
            continue
        return from_code(told.code, told.message)
    if not lines:
        return _why_silent(code, log.parent)
    return AiplatError(
        f"The node ended while it started (exit code {code}): {lines[-1].strip()} (see {log})"
    )


def _why_silent(code: int, folder: Path) -> AiplatError:
    """Find why a node could not even write its reason: its disk may be full."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(_PROBE))
    except OSError as error:
        return ConfigError(
            f"The node ended while it started: {folder} cannot be written: {error.strerror}. "
            "Make room or mend its rights, or choose another home with --home."
        )
    return AiplatError(
        f"The node ended while it started (exit code {code}), and said nothing. `aiplat serve` "
        "runs it in this terminal and shows why."
    )
