"""Where a node's control API is reached: a Unix socket, or a port of loopback that a file tells.

The file is written and removed by the node, for its owner alone, and a lock beside it is held for
as long as that node lives. So a file that a dead node left is known for one: nothing, neither a
prompt nor a key, is sent to whatever got its port since.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from pathlib import Path

import msgspec

LOOPBACK = "127.0.0.1"
TOKEN_HEADER = "x-aiplat-control-token"
"""What the token comes in: `Authorization` is the face's own key, for the accounts of a gateway."""

_MAX_BYTES = 4096


class ControlPort(msgspec.Struct, frozen=True):
    """A port of loopback, and the token that each request there needs. Its repr has no token."""

    port: int
    token: str

    def __repr__(self) -> str:
        """Name the port alone."""
        return f"ControlPort(port={self.port})"

    @property
    def headers(self) -> dict[str, str]:
        """What goes with each request."""
        return {TOKEN_HEADER: self.token}

    @property
    def host(self) -> str:
        """What its `Host` is."""
        return f"{LOOPBACK}:{self.port}"


def lock_of(path: Path) -> Path:
    """The lock that the node of a control socket, or of such a file, holds for its life."""
    return path.with_name(f"{path.name}.lock")


def told_port(path: Path) -> ControlPort | None:
    """Read the file at `path`; None when what is there is a socket, or else no file.

    Raises:
        FileNotFoundError: nothing is there.
        ConnectionRefusedError: the node that wrote it is dead.
        OSError: others may read or write it, or it does not hold what a node writes there.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.ENXIO, errno.EOPNOTSUPP):  # a socket cannot be opened (open(2))
            return None
        raise
    try:
        info = os.fstat(handle)
        if not stat.S_ISREG(info.st_mode):
            return None
        if info.st_uid != os.geteuid() or info.st_mode & 0o077:
            raise PermissionError(errno.EPERM, "it is not its owner's alone (mode 0600)")
        text = os.read(handle, _MAX_BYTES)
    finally:
        os.close(handle)
    if not _is_held(lock_of(path)):
        raise ConnectionRefusedError(errno.ECONNREFUSED, "its node is dead")
    try:
        return msgspec.json.decode(text, type=ControlPort)
    except msgspec.MsgspecError:
        raise OSError(errno.EINVAL, "it does not hold what a node writes there") from None


def _is_held(lock: Path) -> bool:
    try:
        handle = os.open(lock, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False
