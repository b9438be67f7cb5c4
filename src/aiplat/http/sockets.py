"""The sockets that the doors listen on: made, checked and removed here. Knows no HTTP."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import ipaddress
import os
import socket
import stat
import time
from pathlib import Path

from aiplat.control.ways import lock_of
from aiplat.domain.errors import ConfigError, clip

BACKLOG = 256
_SUN_PATH = 107  # bytes of a Unix socket's path that Linux takes (unix(7)), less the final zero
_PROBES = 0.3
"""Seconds that taking a lock goes on: a face's look at it holds it for microseconds."""
_PAUSE = 0.02


class PortInUse(ConfigError):
    """Another program, or another node, listens at the door's address already."""


class NodeRuns(ConfigError):
    """A live node answers at the control socket already."""


def parse_bind(bind: str, *, beyond: bool = False) -> tuple[str, int]:
    """Split ``HOST:PORT``; ``localhost`` becomes its address.

    Arguments:
        bind: the two; the host is an address, of IPv6 in brackets.
        beyond: whether it may be one beyond loopback.

    Raises:
        ConfigError: it is not of that form, or where it may not be.
    """
    host, colon, port = bind.rpartition(":")
    host = host.strip("[]")
    if not colon or not host or not (port.isascii() and port.isdigit()):
        raise ConfigError(
            f"http.bind must be HOST:PORT, such as 127.0.0.1:8777, but is {clip(bind)!r}."
        )
    if int(port[:6]) > 65_535:
        raise ConfigError(f"The port of http.bind must be from 0 to 65535, but is {clip(port)}.")
    try:
        address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError:
        raise ConfigError(
            f"The host of http.bind must be an address of this machine, such as 127.0.0.1 or "
            f"0.0.0.0 for every one, or localhost, but is {clip(host)!r}."
        ) from None
    if address.is_multicast or str(address) == "255.255.255.255":
        raise ConfigError(f"http.bind is {clip(bind)!r}, which is the address of no one machine.")
    if not (address.is_loopback or beyond):
        raise ConfigError(
            f"http.bind is {clip(bind)!r}, beyond loopback, where every prompt and key would cross "
            f"the network in the clear. Use 127.0.0.1:{int(port)} (and a tunnel, ssh -L, from "
            "elsewhere); or give a certificate, --tls-certificate FILE --tls-key FILE; or say "
            "--plain-http-beyond-loopback."
        )
    return str(address), int(port)


def listen_tcp(bind: str, *, beyond: bool = False) -> socket.socket:
    """Listen at ``HOST:PORT``; port 0 picks a free one, and ``[::]`` takes IPv4 too.

    Raises:
        PortInUse: somebody else does.
        ConfigError: the address does not fit (`parse_bind`), or the system refuses it.
    """
    host, port = parse_bind(bind, beyond=beyond)
    sock: socket.socket | None = None
    try:
        sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, host != "::")
        sock.bind((host, port))
        sock.listen(BACKLOG)  # here, as two may bind one address and only one can listen
    except OSError as error:
        if sock is not None:
            sock.close()
        if error.errno == errno.EADDRINUSE:
            raise PortInUse(
                f"{bind} is in use already. End what listens there, or choose another port with "
                "--http HOST:PORT (port 0 picks a free one)."
            ) from None
        raise ConfigError(
            f"The HTTP door cannot listen on {bind}: {error.strerror}. Choose another with "
            "--http HOST:PORT."
        ) from None
    sock.setblocking(False)
    return sock


class UnixDoor:
    """A listening Unix socket that only its owner can reach, and that goes when it is closed.

    A lock beside the path is held while it is open. It tells a live node, even one that is
    frozen, from a dead one whose socket may be replaced, and two nodes that start at once
    cannot both replace it.

    Raises:
        NodeRuns: another one is open at `path`.
        ConfigError: the path is too long, no socket, or others may reach it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        size = len(os.fsencode(path))
        if size > _SUN_PATH:
            raise ConfigError(
                f"The control socket's path has {size} bytes, but a socket's may have at most "
                f"{_SUN_PATH}: {path}. Choose a shorter one with --control."
            )
        check_folder(path.parent)
        self._lock = take_lock(path)
        self.socket: socket.socket | None = None
        try:
            self.socket = self._listen()
        except BaseException:
            os.close(self._lock)
            raise

    def _listen(self) -> socket.socket:
        with contextlib.suppress(FileNotFoundError):
            if not stat.S_ISSOCK(self.path.lstat().st_mode):
                raise ConfigError(
                    f"{self.path} is there and is no socket. Move it away, or choose another "
                    "with --control."
                )
            _check_dead(self.path)
            self.path.unlink()
        sock = socket.socket(socket.AF_UNIX)
        try:
            sock.bind(os.fspath(self.path))
            # bind makes it 0755; until this line the folder alone keeps others out
            os.chmod(self.path, 0o600)
            self._inode = self.path.lstat().st_ino
            sock.listen(BACKLOG)
        except OSError as error:
            sock.close()
            raise ConfigError(
                f"The control socket {self.path} cannot be made: {error.strerror}."
            ) from None
        sock.setblocking(False)
        return sock

    def close(self) -> None:
        """Remove the socket, if it is still this one, and let go of the lock."""
        if self.socket is None:
            return
        self.socket.close()
        self.socket = None
        with contextlib.suppress(OSError):
            if self.path.lstat().st_ino == self._inode:
                self.path.unlink()
        os.close(self._lock)


def take_lock(path: Path) -> int:
    """Hold the lock beside `path`, until what is returned is closed; blocks for a moment.

    Raises:
        NodeRuns: another node holds it.
        ConfigError: it cannot be opened.
    """
    beside = lock_of(path)
    try:
        lock = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigError(f"The lock {beside} cannot be opened: {error.strerror}.") from None
    end = time.monotonic() + _PROBES
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if time.monotonic() < end:
                time.sleep(_PAUSE)
                continue
            os.close(lock)
            raise NodeRuns(f"A node already runs at {path}. `aiplat stop` ends it.") from None
        return lock


def check_folder(folder: Path) -> None:
    """Make the control socket's folder for its owner alone, or see that it is so.

    Raises:
        ConfigError: it cannot be made, or others may enter it.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        info = folder.stat()
    except OSError as error:
        raise ConfigError(
            f"The control socket's folder {folder} cannot be made: {error.strerror}."
        ) from None
    if not stat.S_ISDIR(info.st_mode):
        raise ConfigError(f"{folder} is no folder: the control socket cannot be in it.")
    if info.st_uid != os.geteuid() or info.st_mode & 0o077:
        raise ConfigError(
            f"The control socket's folder {folder} must be yours alone (it has mode "
            f"{stat.S_IMODE(info.st_mode):04o}, owner {info.st_uid}): run `chmod 700 {folder}`, or "
            "choose another with --control."
        )


def _check_dead(path: Path) -> None:
    """Raise `NodeRuns` if somebody listens, without our lock, at a socket that is there."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            probe.connect(os.fspath(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return
        except BlockingIOError:
            pass  # its queue is full: it lives
        except OSError as error:
            raise ConfigError(f"{path} cannot be looked at: {error.strerror}.") from None
    raise NodeRuns(f"A node already runs at {path}. `aiplat stop` ends it.")
