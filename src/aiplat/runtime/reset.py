"""What ``reset`` removes: shown first, then removed. Knows nothing of how it is asked."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from aiplat.domain.errors import AiplatError, ConfigError
from aiplat.node.membership.files import RECORD, NetworkFiles
from aiplat.runtime.places import Places

if TYPE_CHECKING:
    from aiplat.credentials.credentials import Credentials


@dataclass(frozen=True)
class Removal:
    """One thing to remove. `size` is in bytes, links not followed."""

    path: Path
    what: str
    size: int


@dataclass(frozen=True)
class InKeyring:
    """The secrets of this node in the OS keyring, which nobody finds without its identity.

    Arguments:
        credentials: of this node.
        count: of the secrets there, at least 1.
    """

    credentials: Credentials
    count: int

    @property
    def where(self) -> str:
        """Where they lie, for people."""
        return f"the keyring, under {self.credentials.service}"

    def empty(self) -> str:
        """Delete them, as far as it goes. Blocks for some seconds at most.

        Returns:
            Why some stay there, and what to do; empty when none does.
        """
        try:
            self.credentials.empty_keyring()
        except AiplatError as fault:
            return (
                f"{getattr(fault, 'reason', fault)} So secrets stay in {self.where}, which no "
                "later node looks for: delete them with the keyring's own program."
            )
        return ""


def in_keyring(places: Places) -> InKeyring | None:
    """Tell what of this node's is in the keyring; None where there is nothing.

    Raises:
        ConfigError: the identity, or the list of what is kept, cannot be read.
    """
    from aiplat.credentials.credentials import INDEX, Credentials
    from aiplat.node.identity import load_or_create

    if not (places.identity.exists() and (places.data / INDEX).exists()):
        return None  # a home that never kept any
    credentials = Credentials(load_or_create(places.identity).peer_id, places.data)
    count = credentials.in_keyring()
    return InKeyring(credentials, count) if count else None


def plan(
    places: Places, *, models: bool, data: bool, everything: bool, identity: bool = False
) -> list[Removal]:
    """List what would be removed, of what is there.

    Arguments:
        places: the home; its lock file is left alone while it is held.
        models: the models that were pulled; other homes share them.
        data: logs, the local token, known peers, what the graphs show, conversations, answers that
            are stored: all but identity, network keys and settings.
        everything: both, and those three.
        identity: who this node is, and its membership, which is of that identity.

    Raises:
        ConfigError: the identity shall go alone, and is the owner's of a network.
    """
    wanted: list[tuple[Path, str]] = []
    if models or everything:
        wanted.append((places.models, "models, which every home of this account shares"))
    if data or everything:
        wanted += [(path, "state: logs, local token") for path in _inside(places.state, places)]
        wanted.append((places.known_peers, "known peers"))
        wanted += [(path, "what the graphs show") for path in _series(places)]
        wanted += [(path, "CONVERSATIONS that were kept") for path in _history(places)]
        wanted += [(path, "ANSWERS that were stored for their users") for path in _stored(places)]
    if identity and not everything:
        wanted += _identity(places)
    if everything:
        named = (places.known_peers, places.state, *_series(places), *_history(places),
                 *_stored(places))  # fmt: skip
        wanted += [
            (path, _kept_keys(path, places))
            for path in _inside(places.data, places)
            if path not in named
        ]
        wanted.append((places.config_file, "settings"))
    return [
        Removal(path, what, size_of(path))
        for path, what in wanted
        if path.is_symlink() or path.exists()
    ]


def _series(places: Places) -> list[Path]:
    """The series' file, the parts beside it, and what was moved aside when it was broken."""
    return sorted(places.data.glob(f"{places.series.name}*"))


def _history(places: Places) -> list[Path]:
    """The same of the conversations' file."""
    return sorted(places.data.glob(f"{places.history.name}*"))


def _stored(places: Places) -> list[Path]:
    """The same of the stored answers' file."""
    return sorted(places.data.glob(f"{places.stored.name}*"))


def _identity(places: Places) -> list[tuple[Path, str]]:
    files = NetworkFiles(places.network)
    if files.has_owner_key():
        raise ConfigError(
            "This home owns a network: with another identity its node could not be a member. "
            "`aiplat network leave` comes first."
        )
    return [
        (places.identity, "identity: the node gets another peer id"),
        (places.network / RECORD, "membership of a network"),
        (places.known_peers, "known peers"),
    ]


def _kept_keys(path: Path, places: Places) -> str:
    """Name what lies there; an owner's key and accounts cannot be made again."""
    if path == places.network and any(path.glob("owner*.key")):
        return "THE OWNER'S KEY of a network: without it nobody is invited, renewed or revoked"
    if path.name.startswith(places.accounts.name):
        return "ACCOUNTS: the users, keys and usage of this gateway"
    if path.name == "backups":
        return "copies of the accounts, made before updates"
    if path.name.startswith("credentials"):
        return "which API keys and sessions this home keeps"
    return "membership of a network" if path == places.network else "identity and network keys"


def _inside(folder: Path, places: Places) -> Iterable[Path]:
    keep = (places.node_lock, places.start_lock)
    return sorted(path for path in folder.iterdir() if path not in keep) if folder.is_dir() else ()


def size_of(path: Path) -> int:
    """Add up the bytes below `path`, links not followed."""
    if path.is_symlink() or not path.is_dir():
        return path.lstat().st_size
    total = 0
    for folder, _, files in os.walk(path):
        for name in files:
            try:
                total += (Path(folder) / name).lstat().st_size
            except OSError:
                continue  # it went meanwhile
    return total


def remove(removals: Iterable[Removal]) -> None:
    """Remove them.

    Raises:
        ConfigError: one cannot be removed; what came before it is gone.
    """
    for removal in removals:
        path = removal.path
        try:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        except OSError as error:
            raise ConfigError(
                f"{error.filename or path} cannot be removed: {error.strerror}. Remove it "
                "yourself, then run the command again."
            ) from None


def readable(size: int) -> str:
    """Write bytes for a person, as ``1.5 MB``."""
    value = float(size)
    for unit in ("bytes", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "bytes" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def leave(places: Places) -> None:
    """Remove what only holds the folders together, once everything in them is gone.

    The caller holds the node's lock, so that no node holds a file that is not there.
    """
    for path in (places.node_lock, places.start_lock):
        path.unlink(missing_ok=True)
    folders = [places.logs, places.state, places.data, places.models, places.config]
    for folder in folders if places.home is None else [*folders, places.home]:
        try:
            folder.rmdir()
        except OSError:
            continue  # something of somebody else's is in it, or it is gone
