"""Locks: one node a home; what a crash leaves is no obstacle."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from aiplat.domain.errors import DeadlineExceeded
from aiplat.runtime.lock import (
    NodeInfo,
    NodeLock,
    NodeRuns,
    node_info,
    node_runs,
    start_lock,
    wait_for_end,
)

HOLDER = """
import sys, signal
from pathlib import Path
from aiplat.runtime.lock import NodeLock
with NodeLock(Path(sys.argv[1]), background=True) as lock:
    lock.tell("http://127.0.0.1:8777")
    print("held", flush=True)
    signal.pause()
"""


def test_a_second_node_is_told_which_runs(tmp_path: Path) -> None:
    path = tmp_path / "node.lock"
    with NodeLock(path, background=False) as lock:
        lock.tell("http://127.0.0.1:1")
        with pytest.raises(NodeRuns) as caught, NodeLock(path, background=True):
            pass
        assert caught.value.info == NodeInfo(pid=os.getpid(), http="http://127.0.0.1:1")
        assert f"(pid {os.getpid()}, http://127.0.0.1:1)" in str(caught.value)
    with NodeLock(path, background=True):
        assert node_info(path) == NodeInfo(pid=os.getpid(), background=True)


def test_nobody_holds_a_lock_that_is_free_or_absent(tmp_path: Path) -> None:
    path = tmp_path / "node.lock"
    assert not node_runs(path)
    assert not path.exists()  # asking leaves nothing behind
    with NodeLock(path, background=False):
        assert node_runs(path)
    assert not node_runs(path)
    assert node_info(path) is None


def test_a_killed_nodes_lock_is_free(tmp_path: Path) -> None:
    path = tmp_path / "node.lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        assert node_info(path) == NodeInfo(
            pid=process.pid, background=True, http="http://127.0.0.1:8777"
        )
        assert not wait_for_end(path, 0.05)
        process.send_signal(signal.SIGKILL)
    assert wait_for_end(path, 60)
    assert node_info(path) is None  # though its file still names it
    with NodeLock(path, background=False):
        pass


def test_a_probe_does_not_keep_a_node_from_its_lock(tmp_path: Path) -> None:
    path = tmp_path / "node.lock"
    path.touch()
    probe = os.open(path, os.O_RDONLY)
    fcntl.flock(probe, fcntl.LOCK_SH)  # as `node_runs` holds it, but longer
    timer = threading.Timer(0.1, os.close, (probe,))
    timer.start()
    with NodeLock(path, background=False):
        assert node_runs(path)
    timer.join()


def test_a_holder_that_has_not_written_yet_is_named_without_numbers(tmp_path: Path) -> None:
    path = tmp_path / "node.lock"
    with NodeLock(path, background=False):
        path.write_text("")
        assert node_runs(path)
        assert node_info(path) is None
        with (
            pytest.raises(NodeRuns, match=r"already runs\. End it"),
            NodeLock(path, background=True),
        ):
            pass


def test_one_face_starts_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "start.lock"
    with (
        start_lock(path, 1),
        pytest.raises(DeadlineExceeded, match=r"for 0\.05 s"),
        start_lock(path, 0.05),
    ):
        pass
    with start_lock(path, 1):
        pass


def test_a_lock_whose_file_was_removed_is_taken_anew(tmp_path: Path) -> None:
    """`reset` removes the file while a node that starts waits for it."""
    path = tmp_path / "node.lock"
    first, second = NodeLock(path, background=False), NodeLock(path, background=True)
    with first:
        waiting = threading.Thread(target=second.__enter__)
        waiting.start()
        while not _opened_twice(path):
            time.sleep(0.005)
        path.unlink()
    waiting.join()
    assert node_runs(path)
    second.__exit__(None, None, None)
    assert not node_runs(path)


def _opened_twice(path: Path) -> bool:
    links = (os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if _is(fd))
    return sum(link == str(path) for link in links) >= 2


def _is(fd: str) -> bool:
    return os.path.islink(f"/proc/self/fd/{fd}")
