"""The control API on a port of loopback, where there are no Unix sockets.

A port has no folder that keeps others out, so each request there shows a token, which lies in a
file that only its owner may read (`aiplat.control.ways`).
"""

from __future__ import annotations

import contextlib
import hmac
import os
import secrets
import socket
from pathlib import Path

import msgspec

from aiplat.control.ways import LOOPBACK, TOKEN_HEADER, ControlPort
from aiplat.domain.errors import ConfigError, InvalidApiKey, PermissionDenied, clip
from aiplat.http.access import name_of
from aiplat.http.asgi import Request
from aiplat.http.reading import check_media
from aiplat.http.sockets import check_folder, listen_tcp, take_lock
from aiplat.http.sources import plain_ip
from aiplat.telemetry.metrics import Metrics

_TOKEN_BYTES = 32
_HEADER = TOKEN_HEADER.encode()


def new_token() -> str:
    """A token of 256 random bits, for one life of a node."""
    return secrets.token_hex(_TOKEN_BYTES)


class PortKeeper:
    """Who may ask at the port.

    Arguments:
        token: what each request has to show.
        metrics: where refusals are counted.
    """

    def __init__(self, token: str, metrics: Metrics) -> None:
        self._token = token.encode()
        self._failures = metrics.auth_failures

    def check(self, request: Request) -> None:
        """Let in the faces of this account alone.

        Raises:
            PermissionDenied: a web page asks, of whatever origin, or by a name that may be its own.
            InvalidApiKey: the token is missing or wrong.
            WrongMediaType: what it sends is no JSON.
        """
        host = request.header(b"host")
        if not _is_loopback(host):
            self._failures.labels("host").inc()
            raise PermissionDenied(
                f"The control API is asked as {LOOPBACK}, but the Host is {clip(host)!r}."
            )
        if b"origin" in request.headers:
            self._failures.labels("origin").inc()
            raise PermissionDenied("No page of a browser may use the control API.")
        shown = request.header(_HEADER).encode("latin-1")
        if not hmac.compare_digest(shown, self._token):
            fault = "wrong" if shown else "missing"
            self._failures.labels(fault).inc()
            raise InvalidApiKey(
                f"{TOKEN_HEADER} is {fault}: it is in the file that tells this port, which its "
                "owner alone may read."
            )
        if request.method == "POST":
            check_media(request)


def _is_loopback(host: str) -> bool:
    name = name_of(host)
    ip = plain_ip(name)
    return name == "localhost" or (ip is not None and ip.is_loopback)


class PortDoor:
    """A port of loopback that listens, and the file that tells it while it is open.

    Arguments:
        path: of the file; its folder is its owner's alone.
        token: what goes into it.

    Raises:
        NodeRuns: another node has that file.
        ConfigError: the file cannot be written, or others may enter its folder.
    """

    def __init__(self, path: Path, token: str) -> None:
        self.path = path
        check_folder(path.parent)
        self._lock = take_lock(path)
        self.socket: socket.socket | None = None
        try:
            self.socket = listen_tcp(f"{LOOPBACK}:0")
            self._write(ControlPort(self.socket.getsockname()[1], token))
        except BaseException:
            if self.socket is not None:
                self.socket.close()
            os.close(self._lock)
            raise

    def _write(self, told: ControlPort) -> None:
        """Put the file there whole: a face reads the old one, of a dead node, or this one."""
        part = self.path.with_name(f"{self.path.name}.part")
        try:
            part.unlink(missing_ok=True)
            handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(msgspec.json.encode(told))
            part.replace(self.path)
        except OSError as error:
            raise ConfigError(f"{self.path} cannot be written: {error.strerror}.") from None

    def close(self) -> None:
        """Remove the file, and let go of the lock."""
        if self.socket is None:
            return
        self.socket.close()
        self.socket = None
        with contextlib.suppress(OSError):
            self.path.unlink()
        os.close(self._lock)
