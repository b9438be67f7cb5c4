"""Where a node's files lie. Makes the folders and checks who may read them.

By default platformdirs chooses; ``--home DIR`` or ``AIPLAT_HOME`` puts all under one folder,
except the model cache, which several nodes share and ``AIPLAT_CACHE`` moves.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from platformdirs import PlatformDirs

from aiplat.domain.errors import ConfigError
from aiplat.runtime.private import check_private, make_private_folder, read_private, write_private

MAX_SOCKET_BYTES = 100
"""A Unix socket's path may have 107 bytes on Linux and 103 elsewhere."""


@dataclass(frozen=True)
class Places:
    """The folders of one node, absolute.

    Arguments:
        home: the one folder of all, when one was chosen; None with the platform's own.
        config: of ``config.toml``.
        data: of the identity and the known peers: what cannot be made again.
        state: of the socket, locks, logs and the local token.
        cache: of the models.
        runtime: for the socket when `state` has too long a path.
    """

    home: Path | None
    config: Path
    data: Path
    state: Path
    cache: Path
    runtime: Path

    @property
    def config_file(self) -> Path:
        """The settings that a person writes."""
        return self.config / "config.toml"

    @property
    def identity(self) -> Path:
        """The node's private key: owner-only."""
        return self.data / "identity.key"

    @property
    def known_peers(self) -> Path:
        """Addresses that worked, kept for next time."""
        return self.data / "peers.json"

    @property
    def network(self) -> Path:
        """The folder of the network that the node is in."""
        return self.data / "network"

    @property
    def share(self) -> Path:
        """The terms on which its owner shares the machine."""
        return self.data / "share.json"

    @property
    def changes(self) -> Path:
        """The settings that operators changed while a node ran."""
        return self.data / "settings.json"

    @property
    def chosen(self) -> Path:
        """The models that a person chose to have offered."""
        return self.data / "models.json"

    @property
    def accounts(self) -> Path:
        """The database of the users, keys and usage of a gateway: owner-only."""
        return self.data / "accounts.db"

    @property
    def series(self) -> Path:
        """The database of what the graphs show."""
        return self.data / "series.db"

    @property
    def history(self) -> Path:
        """The database of the conversations that a person keeps: owner-only."""
        return self.data / "history.db"

    @property
    def stored(self) -> Path:
        """The database of the answers that the Responses API stores: owner-only."""
        return self.data / "stored.db"

    @property
    def port(self) -> Path:
        """The port that the node got, kept for its next start."""
        return self.data / "port"

    @property
    def incarnation(self) -> Path:
        """The count of the node's lives, which outlasts a clock that steps back."""
        return self.data / "incarnation"

    @property
    def token(self) -> Path:
        """The local token of the HTTP door: owner-only."""
        return self.state / "token"

    @property
    def node_lock(self) -> Path:
        """Held by the node for its life; holds who that is."""
        return self.state / "node.lock"

    @property
    def start_lock(self) -> Path:
        """Held by the face that starts a node."""
        return self.state / "start.lock"

    @property
    def logs(self) -> Path:
        """The folder of the log files."""
        return self.state / "logs"

    @property
    def log(self) -> Path:
        """The node's log: JSON lines."""
        return self.logs / "node.jsonl"

    @property
    def start_log(self) -> Path:
        """What a background node wrote on stdout and stderr: why it did not start."""
        return self.logs / "start.log"

    @property
    def models(self) -> Path:
        """The models, by name, that were pulled."""
        return self.cache / "models"

    def prepare(self) -> None:
        """Make the folders, and refuse secrets that others may read.

        Raises:
            ConfigError: names the path and the mend.
        """
        for folder in (self.data, self.state, self.logs):
            make_private_folder(folder)
        for secret in (self.identity, self.token):
            check_private(secret)

    def control_socket(self) -> Path:
        """Tell where this node's control socket is, or will be; or the file that tells its port.

        Raises:
            ConfigError: the note in the state folder may be read by others.
        """
        noted = read_private(self._note)
        return Path(noted.strip()) if noted and noted.strip() else self._usual_socket()

    def place_control(self, given: Path | None = None, *, by_port: bool = False) -> Path:
        """Choose the control socket's path for a node that starts, make its folder, note it.

        Arguments:
            given: what ``--control`` said; its folder must be the owner's alone.
            by_port: whether it is a port instead, and the path that of the file which tells it.

        Raises:
            ConfigError: the path is too long, or others may enter its folder.
        """
        usual = self.state / "control.port" if by_port else self._usual_socket()
        path = given.absolute() if given is not None else usual
        if not by_port and len(os.fsencode(path)) > MAX_SOCKET_BYTES:
            raise ConfigError(
                f"The control socket's path {path} has {len(os.fsencode(path))} bytes, but at "
                f"most {MAX_SOCKET_BYTES} work: choose a shorter one with --control PATH."
            )
        if given is not None:
            _check_socket_folder(path)
        make_private_folder(path.parent)
        if path == self.state / "control.sock":
            self._note.unlink(missing_ok=True)
        else:
            write_private(self._note, f"{path}\n")
        return path

    @property
    def _note(self) -> Path:
        return self.state / "control.path"

    def _usual_socket(self) -> Path:
        path = self.state / "control.sock"
        if len(os.fsencode(path)) <= MAX_SOCKET_BYTES:
            return path
        name = hashlib.sha256(os.fsencode(self.state)).hexdigest()[:16]
        return self.runtime / f"{name}.sock"


def find_places(home: str | None, environ: Mapping[str, str]) -> Places:
    """Tell where the files lie; makes and reads nothing.

    Arguments:
        home: what ``--home`` said, or None; relative to the current folder.
        environ: the process's environment: ``AIPLAT_HOME``, ``AIPLAT_CACHE``.
    """
    dirs = PlatformDirs("aiplat", appauthor=False)
    moved = environ.get("AIPLAT_CACHE")
    cache = _absolute(moved) if moved else dirs.user_cache_path
    runtime = _runtime_folder(environ)
    chosen = home or environ.get("AIPLAT_HOME")
    if chosen:
        root = _absolute(chosen)
        return Places(root, root, root / "data", root / "state", cache, runtime)
    config, data, state = dirs.user_config_path, dirs.user_data_path, dirs.user_state_path
    if state == data:  # where a platform has no folder for state
        state = data / "state"
    return Places(None, config, data, state, cache, runtime)


def _check_socket_folder(path: Path) -> None:
    """Refuse a shared folder, without the advice to close it to the others."""
    try:
        check_private(path.parent)
    except ConfigError:
        raise ConfigError(
            f"The control socket {path} would lie in a folder that others may enter: choose one "
            "that is yours alone (mode 0700) with --control PATH."
        ) from None


def _absolute(path: str) -> Path:
    return Path(os.path.abspath(Path(path).expanduser()))


def _runtime_folder(environ: Mapping[str, str]) -> Path:
    """Find a short folder of this account's; `make_private_folder` checks it when it is used."""
    user = os.geteuid()
    for folder in (environ.get("XDG_RUNTIME_DIR"), f"/run/user/{user}"):
        if folder and _is_ours(Path(folder)) and len(folder) < MAX_SOCKET_BYTES // 2:
            return Path(folder) / "aiplat"
    return Path(tempfile.gettempdir()) / f"aiplat-{user}"


def _is_ours(folder: Path) -> bool:
    try:
        return folder.stat().st_uid == os.geteuid() and os.access(folder, os.W_OK)
    except OSError:
        return False
