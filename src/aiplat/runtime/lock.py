"""Locks between processes: one node a home, one face that starts it.

They are `flock`s, which the kernel drops when their process dies, so that what a crash leaves
behind is no obstacle. The node's lock file tells who holds it.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from aiplat.domain.errors import ConfigError, DeadlineExceeded

_PAUSE = 0.02
_PROBES = 0.3
"""Seconds that taking the node's lock goes on: a probe holds it for microseconds."""


class NodeInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Who holds a home: what its lock file says. `http` is empty until the door is open."""

    pid: int
    background: bool = False
    http: str = ""


class NodeRuns(ConfigError):
    """Another node of this home runs; `info` says which, as far as that is known."""

    def __init__(self, info: NodeInfo | None) -> None:
        self.info = info
        super().__init__(f"{describe_node(info)}. End it with `aiplat stop`.")


def describe_node(info: NodeInfo | None) -> str:
    """Name a running node in a sentence without its full stop."""
    if info is None:
        return "A node of this home already runs"
    kind = "background node" if info.background else "node"
    door = f", {info.http}" if info.http else ""
    return f"A {kind} of this home already runs (pid {info.pid}{door})"


class NodeLock:
    """The node's hold on its home, for its life. Use it as a context.

    Arguments:
        path: the lock file; its folder must exist.
        background: whether a face started this node.

    Raises:
        NodeRuns: on entering, when another node holds it.
    """

    def __init__(self, path: Path, *, background: bool) -> None:
        self._path = path
        self._background = background
        self._handle = -1

    def __enter__(self) -> Self:
        while not self._held():
            continue  # `reset` removed the file while this waited for it: nobody would see it held
        return self

    def _held(self) -> bool:
        """Take the file; False when it is no more the one at its path."""
        self._handle = _open(self._path)
        try:
            if not _take(self._handle, fcntl.LOCK_EX, _PROBES):
                raise NodeRuns(_read(self._handle))
            if _lies_at(self._path, self._handle):
                self.tell()
                return True
        except BaseException:
            os.close(self._handle)
            raise
        os.close(self._handle)
        return False

    def tell(self, http: str = "") -> None:
        """Write who holds the lock, and the HTTP door's base URL once it is open."""
        info = NodeInfo(pid=os.getpid(), background=self._background, http=http)
        text = msgspec.json.encode(info) + b"\n"
        try:
            os.ftruncate(self._handle, 0)
            os.pwrite(self._handle, text, 0)
        except OSError as error:
            raise ConfigError(f"{self._path} cannot be written: {error.strerror}.") from None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.ftruncate(self._handle, 0)
        os.close(self._handle)


@contextmanager
def start_lock(path: Path, seconds: float) -> Iterator[None]:
    """Hold the lock of those who start a node.

    Arguments:
        path: the lock file; its folder must exist.
        seconds: how long to wait while another face holds it.

    Raises:
        DeadlineExceeded: it did not come free in time.
    """
    handle = _open(path)
    try:
        if not _take(handle, fcntl.LOCK_EX, seconds):
            raise DeadlineExceeded(
                f"Another command has been starting a node for {seconds:g} s. Try again, or see "
                "what runs with `aiplat status`."
            )
        yield
    finally:
        os.close(handle)


def node_runs(path: Path) -> bool:
    """Tell whether a node holds the lock file at `path`."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise ConfigError(f"{path} cannot be opened: {error.strerror}.") from None
    try:
        return not _take(handle, fcntl.LOCK_SH, 0)
    finally:
        os.close(handle)


def node_info(path: Path) -> NodeInfo | None:
    """Tell who holds the lock file at `path`; None when nobody does or it does not say."""
    if not node_runs(path):
        return None
    handle = _open(path)
    try:
        return _read(handle)
    finally:
        os.close(handle)


def wait_for_end(path: Path, seconds: float) -> bool:
    """Wait until no node holds the lock file at `path`; False when `seconds` were not enough."""
    deadline = time.monotonic() + seconds
    while node_runs(path):
        if time.monotonic() >= deadline:
            return False
        time.sleep(_PAUSE)
    return True


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise ConfigError(f"{path} cannot be opened: {error.strerror}.") from None


def _lies_at(path: Path, handle: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(handle))
    except FileNotFoundError:
        return False


def _take(handle: int, kind: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(handle, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(_PAUSE)
        else:
            return True


def _read(handle: int) -> NodeInfo | None:
    try:
        return msgspec.json.decode(os.pread(handle, 4096, 0), type=NodeInfo)
    except msgspec.DecodeError:
        return None  # the holder is about to write it
