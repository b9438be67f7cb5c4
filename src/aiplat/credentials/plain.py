"""Secrets as plain text in a file of their owner's: only for who asked for it in so many words."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from aiplat.credentials.files import read_private, remove, write_private
from aiplat.credentials.index import VERSION
from aiplat.domain.errors import ConfigError, clip


class _Secrets(msgspec.Struct, kw_only=True):
    """What the file holds; its repr is without."""

    secrets: dict[str, str] = {}
    version: int = VERSION

    def __repr__(self) -> str:
        return f"_Secrets({len(self.secrets)})"


class PlainFile:
    """A store. Who changes it holds the lock; the file is gone with its last secret.

    Arguments:
        path: of the file; it need not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def ready(self) -> None:
        """Check that it can be used.

        Raises:
            ConfigError: the file is broken, or others may read it. So do all methods here.
        """
        self._read()

    def get(self, name: str) -> str | None:
        """The secret, if there is one of that name."""
        return self._read().secrets.get(name)

    def put(self, name: str, secret: str) -> None:
        """Keep it, instead of another of that name."""
        kept = self._read()
        kept.secrets[name] = secret
        self._write(kept)

    def drop(self, names: Iterable[str]) -> None:
        """Forget them; what is not there is fine."""
        kept = self._read()
        known = [name for name in names if kept.secrets.pop(name, None) is not None]
        if known and kept.secrets:
            self._write(kept)
        elif known:
            remove(self.path)

    def _read(self) -> _Secrets:
        data = read_private(self.path)
        if data is None:
            return _Secrets()
        try:
            kept = msgspec.json.decode(data, type=_Secrets)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as fault:
            # They tell places in the file, and no text of it.
            raise self._broken(clip(str(fault), 200).rstrip(".")) from None
        if kept.version != VERSION:
            raise self._broken(f"its version is {kept.version}, and this aiplat reads {VERSION}")
        return kept

    def _write(self, kept: _Secrets) -> None:
        write_private(self.path, msgspec.json.encode(kept) + b"\n")

    def _broken(self, why: str) -> ConfigError:
        return ConfigError(
            f"{self.path} is broken ({why}): put a copy back, or move it away, log in again and "
            "make new keys."
        )
