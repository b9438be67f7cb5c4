"""A lock between processes that ends with its holder, waited for with a deadline. Blocking."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_LOOK_SECONDS = 0.1


@contextmanager
def locked(path: Path, seconds: float, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold the lock on `path`; the file is made when it is not there, and stays.

    Arguments:
        seconds: how long to wait at most for another holder.
        waiting: called at each look at one, a few times a second; what it raises ends the wait.

    Raises:
        TimeoutError: it was not free in time.
    """
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _acquire(file, time.monotonic() + seconds, waiting)
        yield
    finally:
        os.close(file)  # releases it


def _acquire(file: int, deadline: float, waiting: Callable[[], None]) -> None:
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise TimeoutError from None
        waiting()
        time.sleep(_LOOK_SECONDS)


@contextmanager
def shared(path: Path) -> Iterator[None]:
    """Share the lock on `path`, such as a use that others may have too.

    Where nothing can be written, as in an image that holds its models, nothing is removed: there it
    is held if it is there.

    Raises:
        TimeoutError: somebody holds it alone.
        OSError: it cannot be made.
    """
    file = _open_shared(path)
    if file is None:
        yield
        return
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TimeoutError from None
        yield
    finally:
        os.close(file)


def _open_shared(path: Path) -> int | None:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno not in (errno.EROFS, errno.EACCES, errno.EPERM):
            raise
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
