"""Who this node is: an Ed25519 key in a file that only its owner can read."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from pathlib import Path

from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.crypto.keys import KeyPair
from libp2p.peer.id import ID

from aiplat.domain.errors import ConfigError
from aiplat.domain.ids import PeerId
from aiplat.node.files import write_private

SEED_BYTES = 32


class Identity:
    """A node's key pair, and the peer id that follows from it.

    Arguments:
        seed: 32 bytes, the Ed25519 private key (RFC 8032).
    """

    __slots__ = ("key_pair", "peer_id")

    def __init__(self, seed: bytes) -> None:
        self.key_pair: KeyPair = create_new_key_pair(seed)
        self.peer_id = PeerId(ID.from_pubkey(self.key_pair.public_key).to_base58())

    def __repr__(self) -> str:
        """Name it by what may be known."""
        return f"Identity({self.peer_id})"

    @classmethod
    def generate(cls) -> Identity:
        """Make one that is kept nowhere."""
        return cls(secrets.token_bytes(SEED_BYTES))


def load_or_create(path: Path) -> Identity:
    """Read the key at `path`, or make it; two processes that race get the same one.

    Raises:
        ConfigError: others may read the file, or it is no key, or it cannot be read or made.
    """
    try:
        seed = _read(path)
        if seed is None:
            _create(path)
            seed = _read(path)
        if seed is None:
            raise ConfigError(f"The identity {path} vanished while it was read. Try again.")
    except OSError as fault:
        raise ConfigError(
            f"The identity {path} cannot be read or made: {fault.strerror or fault}."
        ) from fault
    return Identity(seed)


def _read(path: Path) -> bytes | None:
    """The seed; None when there is no file."""
    try:
        # Not through a link: another account could make it point at a file of its own.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0))
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        _check_owner_only(path, os.fstat(descriptor))
        seed = file.read(SEED_BYTES + 1)
    if len(seed) != SEED_BYTES or not any(seed):
        size = f"more than {SEED_BYTES}" if len(seed) > SEED_BYTES else f"{len(seed)}"
        what = "only zeros" if len(seed) == SEED_BYTES else f"{size} bytes"
        raise ConfigError(
            f"The identity {path} is no key: it has {what}, and a key has {SEED_BYTES} random "
            f"ones. Put a copy back, or let a new one be made (this node then has another peer "
            f"id): mv {path} {path}.broken"
        )
    return seed


def _check_owner_only(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise ConfigError(f"The identity {path} is not a plain file.")
    mode = stat.S_IMODE(status.st_mode)
    if mode & 0o077:
        raise ConfigError(
            f"Others may read the identity {path}: its mode is {mode:04o}. "
            f"Mend it with: chmod 600 {path}"
        )


def _create(path: Path) -> None:
    """Make the file whole or not at all; an existing one stays."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _make_private(path.parent)
    write_private(path, secrets.token_bytes(SEED_BYTES), replace=False)


def _make_private(folder: Path) -> None:
    """Close the folder to others, where it is ours to close."""
    if stat.S_IMODE(folder.stat().st_mode) & 0o077:
        with contextlib.suppress(PermissionError):
            folder.chmod(0o700)
