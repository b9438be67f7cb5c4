"""Files that only their owner may read, one writer at a time: whole or not at all.

They follow no link, wait for no pipe, and read no more than `MAX_FILE` bytes.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from aiplat.domain.errors import ConfigError, DeadlineExceeded

MAX_FILE = 4 * 1024 * 1024
_LOOK_SECONDS = 0.02
_FLAGS = os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


def read_private(path: Path) -> bytes | None:
    """Read a file that only its owner may read; None when there is none.

    Raises:
        ConfigError: others may read it, it is too large, no file, or cannot be read; what to do.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | _FLAGS)
    except FileNotFoundError:
        return None
    except OSError as fault:
        raise ConfigError(f"{path} cannot be read: {fault.strerror}.") from None
    try:
        _check(path, os.fstat(descriptor))
    except ConfigError:
        os.close(descriptor)
        raise
    with os.fdopen(descriptor, "rb") as file:
        data = file.read(MAX_FILE + 1)
    if len(data) > MAX_FILE:
        raise _too_large(path, "has more")
    return data


def write_private(path: Path, data: bytes) -> None:
    """Write a file of mode 0600 in place of the one that is there; its folder must exist.

    Raises:
        ConfigError: it cannot be written, or is too large; what was there is there still.
    """
    if len(data) > MAX_FILE:
        raise _too_large(path, "would have more")
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        try:
            _write_new(draft, data)
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
        _sync_folder(path.parent)
    except OSError as fault:
        raise ConfigError(f"{path} cannot be written: {fault.strerror}.") from None


def remove(path: Path) -> None:
    """Remove a file; one that is not there is fine.

    Raises:
        ConfigError: it cannot be removed.
    """
    try:
        path.unlink(missing_ok=True)
    except OSError as fault:
        raise ConfigError(f"{path} cannot be removed: {fault.strerror}.") from None


@contextlib.contextmanager
def locked(path: Path, seconds: float) -> Iterator[None]:
    """Hold the lock on `path` against other processes and threads; it and its folder are made.

    Arguments:
        seconds: how long to wait at most for another holder.

    Raises:
        DeadlineExceeded: it was not free in time.
        ConfigError: the file cannot be made.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = os.open(path, os.O_RDWR | os.O_CREAT | _FLAGS, 0o600)
    except OSError as fault:
        raise ConfigError(f"{path} cannot be made: {fault.strerror}.") from None
    try:
        _acquire(file, path, seconds)
        yield
    finally:
        os.close(file)  # releases it


def _acquire(file: int, path: Path, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            pass
        except OSError as fault:
            raise ConfigError(f"{path} cannot be locked: {fault.strerror}.") from None
        if time.monotonic() >= deadline:
            raise DeadlineExceeded(
                f"Another process has held {path} for {seconds:g} s: try again when it is done."
            )
        time.sleep(_LOOK_SECONDS)


def _check(path: Path, info: os.stat_result) -> None:
    if not stat.S_ISREG(info.st_mode):
        raise ConfigError(f"{path} is no file: move it away.")
    if info.st_uid != os.geteuid():
        raise ConfigError(
            f"{path} belongs to another account (uid {info.st_uid}): run `chown {os.geteuid()} "
            f"{path}`, or move it away."
        )
    if info.st_mode & 0o077:
        raise ConfigError(
            f"{path} may be read by others (mode {stat.S_IMODE(info.st_mode):04o}): "
            f"run `chmod 600 {path}`."
        )


def _too_large(path: Path, has: str) -> ConfigError:
    return ConfigError(
        f"{path} {has} than {MAX_FILE} bytes, which is its bound: forget credentials that are no "
        "longer used, or move the file away."
    )


def _write_new(path: Path, data: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(handle)


def _sync_folder(folder: Path) -> None:
    """Make the new name in `folder` outlive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):  # some file systems cannot
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
