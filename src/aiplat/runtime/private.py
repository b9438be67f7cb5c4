"""Files and folders that only their owner may read: made so, and refused when they are not."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from aiplat.domain.errors import ConfigError
from aiplat.node import files

TOKEN_PREFIX = "sk-aip-local-"
_TOKEN_BYTES = 32
_MAX_BYTES = 64 * 1024


def make_private_folder(folder: Path) -> None:
    """Make `folder`, with those above it, so that only the owner may enter.

    Raises:
        ConfigError: it cannot be made, or is there and others may enter it.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        if not folder.is_dir():
            folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"The folder {folder} cannot be made: {error.strerror}. "
            "Choose another with --home DIR or AIPLAT_HOME."
        ) from None
    check_private(folder)


def check_private(path: Path) -> None:
    """Refuse what others may read or what belongs to somebody else; what is not there is fine.

    Raises:
        ConfigError: names the path, what is wrong and the command that mends it.
    """
    try:
        info = path.lstat()
        if stat.S_ISLNK(info.st_mode) and info.st_uid == os.geteuid():
            info = path.stat()  # one's own link may lead elsewhere; a stranger's may not
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise ConfigError(f"{path} cannot be looked at: {error.strerror}.") from None
    if info.st_uid != os.geteuid():
        raise ConfigError(
            f"{path} belongs to another account (uid {info.st_uid}): run `chown {os.geteuid()} "
            f"{path}`, or choose another folder with --home DIR."
        )
    if info.st_mode & 0o077:
        mode = 0o700 if stat.S_ISDIR(info.st_mode) else 0o600
        raise ConfigError(
            f"{path} may be read by others (mode {stat.S_IMODE(info.st_mode):04o}): "
            f"run `chmod {mode:o} {path}`."
        )


def write_private(path: Path, text: str, *, replace: bool = True) -> None:
    """Write a file of mode 0600 whole or not at all.

    Arguments:
        path: where; its folder must exist.
        text: what.
        replace: whether one that is there gives way; if not, it is left as it is.

    Raises:
        ConfigError: it cannot be written.
    """
    try:
        files.write_private(path, text.encode(), replace=replace)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}.") from None


def read_private(path: Path) -> str | None:
    """Read a small file that only its owner may read; None when there is none.

    Raises:
        ConfigError: others may read it, or it cannot be read.
    """
    check_private(path)
    try:
        with path.open("rb") as file:
            return file.read(_MAX_BYTES).decode("utf-8", "replace")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from None


def local_token(path: Path) -> str:
    """Give this installation's token for its HTTP door; the first call makes it.

    Two processes that make it at once get the same: the first file stays.

    Raises:
        ConfigError: others may read it, or what it holds is no token.
    """
    held = read_private(path)
    if held is None:
        token = TOKEN_PREFIX + secrets.token_hex(_TOKEN_BYTES)
        write_private(path, token + "\n", replace=False)
        held = read_private(path) or ""
    token = held.strip()
    if not token.startswith(TOKEN_PREFIX) or not token.removeprefix(TOKEN_PREFIX).isalnum():
        raise ConfigError(f"{path} holds no token of aiplat: remove it, and a new one is made.")
    return token
