"""Starting a node: exactly one when faces race; the node's own reason when it fails."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from aiplat.control.client import NodeLost, NodeSilent, NoNode
from aiplat.control.messages import PeerStatus, Status, Stop, Stopping
from aiplat.domain.errors import AiplatError, ConfigError, DeadlineExceeded, NotReady
from aiplat.runtime import start
from aiplat.runtime.lock import NodeLock, NodeRuns
from aiplat.runtime.options import ServeOptions
from aiplat.runtime.places import Places, find_places
from aiplat.runtime.reach import running_node
from aiplat.runtime.start import ensure_node
from aiplat.runtime.takeover import (
    end_stranded,
    is_stranded,
    refuse_foreground_node,
    take_place,
)


def status(state: str = "ready") -> Status:
    return Status(
        peer_id="12D3", addresses=(), http="", control="", roles=("client",), models=(), peers=(),
        version="0", background=True, state=state,  # type: ignore[arg-type]  # one of them
    )  # fmt: skip


class World:
    """One home: whether a node answers there, and how a start goes."""

    def __init__(self, places: Places) -> None:
        self.places = places
        self.state = ""  # of the node that answers; none when empty
        self.launched = 0
        self.asked = 0
        self.code: int | None = None
        self.writes = ""
        self.looks_until_ready = 2
        self.stops: list[Stop] = []
        self.on_stop = Stopping(stopping=True, pid=1)
        self.lock: NodeLock | None = None
        self.silent: NodeLost | None = None

    # the client
    def connect(self, places: Places) -> World:
        assert places is self.places
        return self

    def status(self) -> Status:
        self.asked += 1
        if self.launched and self.code is None and not self.state:
            self.looks_until_ready -= 1
            if self.looks_until_ready <= 0:
                self.state = "ready"
        if not self.state:
            raise self.silent or NoNode("No node.")
        return status(self.state)

    def stop(self, stop: Stop) -> Stopping:
        self.stops.append(stop)
        if self.lock is not None and self.on_stop.stopping:
            self.release()
        return self.on_stop

    # the process
    def launch(self, places: Places, options: ServeOptions) -> World:
        self.launched += 1
        places.start_log.write_text(self.writes)
        return self

    def poll(self) -> int | None:
        return self.code

    # the lock of a node that runs
    def hold(self, *, background: bool) -> None:
        self.lock = NodeLock(self.places.node_lock, background=background).__enter__()

    def release(self) -> None:
        if self.lock is not None:
            self.lock.__exit__(None, None, None)
            self.lock = None


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    places = find_places(str(tmp_path / "h"), {})
    places.prepare()
    made = World(places)
    yield made
    made.release()


def ensure(world: World, said: list[str] | None = None, seconds: float = 5) -> None:
    say = (said if said is not None else []).append
    client = ensure_node(
        world.places, ServeOptions(), seconds, say,
        connect=world.connect, launch=world.launch,  # type: ignore[arg-type]  # a fake
    )  # fmt: skip
    assert client is world  # type: ignore[comparison-overlap]  # a fake


def test_a_node_that_is_ready_is_taken_as_it_is(world: World) -> None:
    world.state = "ready"
    ensure(world)
    assert world.launched == 0
    assert not world.places.start_lock.exists()


def test_none_is_found_so_one_is_started_and_its_steps_are_said(world: World) -> None:
    world.writes = 'Loading.\n{"peer_id": "x"}\nReady.\nhalf a li'
    said: list[str] = []
    world.looks_until_ready = 4
    ensure(world, said)
    assert world.launched == 1
    assert said == ["Loading.", "Ready."]


def test_many_faces_that_race_start_one(world: World) -> None:
    world.looks_until_ready = 10
    threads = [threading.Thread(target=ensure, args=(world,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert world.launched == 1


def test_a_node_that_starts_already_is_waited_for(world: World) -> None:
    world.hold(background=True)
    timer = threading.Timer(0.1, lambda: setattr(world, "state", "ready"))
    timer.start()
    ensure(world)
    timer.join()
    assert world.launched == 0


def test_a_node_that_says_nothing_may_lack_room(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.code = 1
    with pytest.raises(AiplatError, match=r"said nothing\. `aiplat serve` runs it"):
        ensure(world)

    def full(dir: Path) -> None:  # the library's own name
        raise OSError(errno.ENOSPC, "No space left on device", dir)

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    with pytest.raises(ConfigError, match="cannot be written: No space left on device"):
        ensure(world)


def test_one_that_ends_is_waited_for_and_then_followed(world: World) -> None:
    world.state = "draining"
    world.hold(background=True)

    def end() -> None:
        world.state = ""
        world.release()

    timer = threading.Timer(0.1, end)
    timer.start()
    said: list[str] = []
    ensure(world, said)
    timer.join()
    assert world.launched == 1
    assert said == ["A node of this home is stopping; waiting for it (up to 5 s) …"]


def test_a_failed_start_gives_the_nodes_own_reason(world: World) -> None:
    world.code = 1
    told = {"error": {"code": "config_error", "message": "The port 1 is in use.", "param": None}}
    world.writes = f"❌ Something.\n{json.dumps(told)}\n"
    with pytest.raises(ConfigError, match=r"^The port 1 is in use\.$"):
        ensure(world)
    assert world.launched == 1


def test_a_crash_while_starting_shows_the_last_line_and_the_log(world: World) -> None:
    world.code = -9
    world.writes = "Traceback\nMemoryError: too little\n\n"
    with pytest.raises(AiplatError, match=r"exit code -9\): MemoryError: too little") as caught:
        ensure(world)
    assert str(world.places.start_log) in str(caught.value)


def test_a_start_that_lost_against_another_takes_that_one(world: World) -> None:
    world.code = 1  # our child ended, because `serve` took the home between
    world.writes = '{"error": {"code": "config_error", "message": "A node already runs."}}\n'
    launch = world.launch

    def lose(places: Places, options: ServeOptions) -> World:
        world.hold(background=False)
        threading.Timer(0.1, lambda: setattr(world, "state", "ready")).start()
        return launch(places, options)

    world.launch = lose  # type: ignore[method-assign]  # in place of its own
    ensure(world)
    assert world.launched == 1


def test_a_frozen_node_is_named_and_no_second_is_started(world: World) -> None:
    world.silent = NodeSilent("It has not answered for 4 seconds.")
    world.hold(background=True)
    with pytest.raises(NodeSilent, match="4 seconds"):
        ensure(world)
    assert world.asked == 1  # each look takes these seconds
    with pytest.raises(NotReady, match="4 seconds"):
        running_node(world.places, world.connect)  # type: ignore[arg-type]  # a fake
    assert world.launched == 0


def test_a_start_has_a_deadline(world: World) -> None:
    world.looks_until_ready = 10**9
    with pytest.raises(DeadlineExceeded, match=r"within 0\.1 s.*AIPLAT_RUNTIME_START_SECONDS"):
        ensure(world, seconds=0.1)


def test_a_real_process_that_fails_tells_why(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # A module named aiplat of the current folder must not be what runs, and a relative
    # PYTHONPATH must still mean what it meant.
    source = Path(start.__file__).parents[2]
    monkeypatch.setenv("PYTHONPATH", os.path.relpath(source, tmp_path))
    (tmp_path / "aiplat.py").write_text("raise SystemExit('not me')")
    monkeypatch.chdir(tmp_path)
    world.places.config_file.write_text("[runtime]\nidle_minutes = -1\n")
    with pytest.raises(ConfigError, match=r"config\.toml, line 2: idle_minutes must be"):
        ensure_node(
            world.places, ServeOptions(roles=("client",)), 60, lambda line: None,
            connect=world.connect,  # type: ignore[arg-type]  # a fake
        )  # fmt: skip


def test_the_started_process_is_detached(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}

    class Fake:
        def __init__(self, command: list[str], **how: object) -> None:
            seen.update(how, command=command)

    monkeypatch.setattr(subprocess, "Popen", Fake)
    monkeypatch.setattr(start, "_left_running", [])
    monkeypatch.setenv("AIPLAT_CACHE", "some/cache")
    start.launch(world.places, ServeOptions(models=("echo",), roles=("client", "gateway")))
    home = str(world.places.home)
    assert seen["command"] == [
        sys.executable, "-P", "-m", "aiplat", "--home", home, "serve", "--role", "client",
        "--role", "gateway", "--model", "echo", "--background", "--json",
    ]  # fmt: skip
    assert seen["start_new_session"] is True
    assert seen["stdin"] == subprocess.DEVNULL
    assert seen["env"]["AIPLAT_CACHE"] == str(Path.cwd() / "some/cache")


# -- who only looks ---------------------------------------------------------------------------


def test_who_only_looks_starts_nothing(world: World) -> None:
    with pytest.raises(NotReady, match="No node runs here"):
        running_node(world.places, world.connect)  # type: ignore[arg-type]  # a fake
    world.hold(background=True)
    with pytest.raises(NotReady, match=rf"pid {os.getpid()}\), but it does not answer"):
        running_node(world.places, world.connect)  # type: ignore[arg-type]  # a fake
    assert world.launched == 0


# -- serve takes a place ------------------------------------------------------------------------


@contextmanager
def held(world: World, *, background: bool) -> Iterator[None]:
    world.hold(background=background)
    try:
        yield
    finally:
        world.release()


def take(world: World, seconds: float = 5) -> bool:
    return take_place(world.places, seconds, world.connect)  # type: ignore[arg-type]  # a fake


def test_nothing_runs_so_nothing_is_taken(world: World) -> None:
    assert not take(world)
    refuse_foreground_node(world.places)


def test_an_idle_background_node_gives_way(world: World) -> None:
    with held(world, background=True):
        refuse_foreground_node(world.places)
        assert take(world)
        assert world.stops == [Stop(if_idle=True)]


def test_a_busy_background_node_stays(world: World) -> None:
    world.on_stop = Stopping(stopping=False, pid=1, active=3)
    with held(world, background=True), pytest.raises(ConfigError, match="answers 3 requests"):
        take(world)


def test_a_node_in_the_foreground_is_named(world: World) -> None:
    with held(world, background=False):
        for call in (lambda: refuse_foreground_node(world.places), lambda: take(world)):
            with pytest.raises(NodeRuns, match=f"pid {os.getpid()}"):
                call()
    assert world.stops == []


def test_a_background_node_that_does_not_end_is_named(world: World) -> None:
    with held(world, background=True):
        keep, world.lock = world.lock, None  # it says that it stops, but goes on
        with pytest.raises(ConfigError, match="`aiplat stop --now`"):
            take(world, 0.05)
        world.lock = keep


# -- a plain ask takes the place of a client that has nobody to ask ----------------------------


def peer(state: str, *roles: str) -> PeerStatus:
    return PeerStatus(peer_id="12D3G", roles=roles, state=state)  # type: ignore[arg-type]  # one of them


@pytest.mark.parametrize(
    ("change", "stranded"),
    [
        ({}, True),
        ({"peers": (peer("connecting"), peer("connected", "processor"))}, True),
        ({"peers": (peer("connected", "gateway"),)}, False),
        ({"roles": ("client", "gateway")}, False),
        ({"background": False}, False),
        ({"active": 1}, False),
    ],
)
def test_which_node_is_stranded(change: dict[str, Any], stranded: bool) -> None:
    assert is_stranded(msgspec.structs.replace(status(), **change)) is stranded


def test_a_stranded_node_ends_and_its_successor_does_not(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.state = "ready"
    with held(world, background=True):
        end_stranded(world.places, 5, world.connect)  # type: ignore[arg-type]  # a fake
        assert world.stops == [Stop(if_idle=True)]
    monkeypatch.setattr(
        "aiplat.runtime.takeover.is_stranded", lambda status: False
    )  # another face was quicker: all roles now
    with held(world, background=True):
        end_stranded(world.places, 5, world.connect)  # type: ignore[arg-type]  # a fake
        assert len(world.stops) == 1
