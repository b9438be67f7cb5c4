"""What a node keeps of its network, in a folder that its owner alone can read.

`network.json` makes a member; `owner.key` and `ledger.json` make the owner; `blocked.json` is this
node's own list. Each is written whole or not at all.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path
from typing import TypeVar

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from aiplat.domain.errors import ConfigError
from aiplat.domain.ids import PeerId, Role
from aiplat.node.files import write_private

RECORD, OWNER_KEY, LEDGER = "network.json", "owner.key", "ledger.json"
MAX_FILE = 16 * 1024 * 1024
SEED_BYTES = 32


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The network that a node is in. `certificate` and `revocations` are sealed."""

    name: str
    network: bytes
    psk: str = ""
    certificate: bytes = b""
    revocations: bytes = b""
    addresses: tuple[str, ...] = ()
    version: int = 1

    def __repr__(self) -> str:
        """Name it without its secrets."""
        return f"Record({self.name!r})"


class Use(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A voucher that the owner gave out. `used_by` may come again with it, and takes no use."""

    expires: int
    uses: int
    used_by: list[PeerId] = []


class Member(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Whom the owner gave a certificate; times in seconds since 1970 (UTC)."""

    roles: tuple[Role, ...]
    joined: int
    expires: int
    serial: int
    revoked: bool = False


class Least(msgspec.Struct, kw_only=True):
    """The least serial of a peer's certificates that holds; `until` then all others are over."""

    serial: int
    until: int


class Ledger(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What the owner must remember."""

    serial: int = 0
    revision: int = 0
    vouchers: dict[str, Use] = {}
    members: dict[PeerId, Member] = {}
    least: dict[PeerId, Least] = {}
    version: int = 1


class _Blocked(msgspec.Struct, omit_defaults=True):
    peers: list[PeerId] = []
    version: int = 1


T = TypeVar("T", bound=msgspec.Struct)


class NetworkFiles:
    """The folder.

    Arguments:
        folder: made with mode 0700 when something is first written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    # -- a member's ------------------------------------------------------------------------------

    def record(self) -> Record | None:
        """The network; None for a node that is in none.

        Raises:
            ConfigError: the file is broken, or others may read it. So do all readers here.
        """
        return self._read(RECORD, Record)

    def keep_record(self, record: Record) -> None:
        """Write it down.

        Raises:
            ConfigError: it cannot be written. So do all writers here.
        """
        self._write(RECORD, msgspec.json.encode(record))

    def blocked(self) -> set[PeerId]:
        """Whom this node shuts out."""
        found = self._read("blocked.json", _Blocked)
        return set(found.peers) if found is not None else set()

    def keep_blocked(self, peers: set[PeerId]) -> None:
        """Write the list down."""
        self._write("blocked.json", msgspec.json.encode(_Blocked(sorted(peers))))

    def is_in_network(self) -> bool:
        """Whether a record is kept, which may not be readable."""
        return os.path.lexists(self.folder / RECORD)

    def damaged(self, what: str) -> ConfigError:
        """The error for a record that cannot be used; `what` is a clause about it."""
        return ConfigError(
            f"The file {self.folder / RECORD} is damaged ({what}). Put a copy back, or leave the "
            "network (aiplat network leave) and join it again with a new invitation."
        )

    # -- the owner's -----------------------------------------------------------------------------

    def owner_key(self) -> Ed25519PrivateKey | None:
        """The owner's key; None for whoever is not the owner."""
        seed = self._bytes(OWNER_KEY)
        if seed is None:
            return None
        if len(seed) != SEED_BYTES or not any(seed):
            path = self.folder / OWNER_KEY
            raise ConfigError(
                f"The network's owner key {path} is no key: it has {len(seed)} bytes, and a key "
                f"has {SEED_BYTES} random ones. Put a copy back; without it nobody can be "
                "invited or revoked."
            )
        return Ed25519PrivateKey.from_private_bytes(seed)

    def keep_owner_key(self, key: Ed25519PrivateKey) -> None:
        """Write it down; one that is there is never overwritten."""
        self._write(OWNER_KEY, key.private_bytes_raw(), replace=False)

    def ledger(self) -> Ledger:
        """The owner's book, empty at first."""
        return self._read(LEDGER, Ledger) or Ledger()

    def keep_ledger(self, ledger: Ledger) -> None:
        """Write it down."""
        self._write(LEDGER, msgspec.json.encode(ledger))

    def has_owner_key(self) -> bool:
        """Whether an owner's key is kept, which may not be readable."""
        return os.path.lexists(self.folder / OWNER_KEY)

    def clear(self) -> None:
        """Forget the network, readable or not; `blocked.json` stays, and what an owner has, aside.

        Raises:
            ConfigError: the folder cannot be written.
        """
        try:
            self._set_aside()
            (self.folder / RECORD).unlink(missing_ok=True)
        except OSError as fault:
            raise ConfigError(f"{self.folder} cannot be written: {fault.strerror}.") from None

    def _set_aside(self) -> None:
        """Give the key and the ledger the network's name; both back under their own undo it."""
        name, number = self._owned(), 1
        while any(os.path.lexists(path) for path in self._aside(name)):  # nothing is overwritten
            number += 1
            name = f"{name.split('-')[0]}-{number}"
        for kept, path in zip((OWNER_KEY, LEDGER), self._aside(name), strict=True):
            with contextlib.suppress(FileNotFoundError):
                (self.folder / kept).rename(path)

    def _aside(self, name: str) -> tuple[Path, Path]:
        return self.folder / f"owner-of-{name}.key", self.folder / f"ledger-of-{name}.json"

    def _owned(self) -> str:
        """What the key's network is called in names of files, whatever can be read."""
        try:
            key = self.owner_key()
        except ConfigError:
            key = None
        return key.public_key().public_bytes_raw().hex()[:16] if key is not None else "unknown"

    # -- inside ----------------------------------------------------------------------------------

    def _read(self, name: str, kind: type[T]) -> T | None:
        data = self._bytes(name)
        if data is None:
            return None
        try:
            return msgspec.json.decode(data, type=kind)
        except (msgspec.MsgspecError, UnicodeDecodeError) as fault:
            if name == RECORD:
                raise self.damaged(f"it is broken: {fault}") from None
            raise ConfigError(
                f"The file {self.folder / name} is broken ({fault}). Put a copy back, or move it "
                "away."
            ) from None

    def _bytes(self, name: str) -> bytes | None:
        path = self.folder / name
        try:
            # Not through a link: another account could make it point at a file of its own.
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0))
        except FileNotFoundError:
            return None
        except OSError as fault:
            raise ConfigError(f"{path} cannot be read: {fault.strerror}.") from None
        with os.fdopen(descriptor, "rb") as file:
            mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
            if mode & 0o077:
                raise ConfigError(
                    f"Others may read {path}: its mode is {mode:04o}. Mend it with: "
                    f"chmod 600 {path}"
                )
            data = file.read(MAX_FILE + 1)
        if len(data) > MAX_FILE:
            raise ConfigError(f"{path} has more than {MAX_FILE} bytes, which is its bound.")
        return data

    def _write(self, name: str, data: bytes, *, replace: bool = True) -> None:
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_private(self.folder / name, data, replace=replace)
        except OSError as fault:
            where = self.folder / name
            raise ConfigError(f"{where} cannot be written: {fault.strerror}.") from None
