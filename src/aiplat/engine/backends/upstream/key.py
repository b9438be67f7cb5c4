"""The key that an upstream wants: read from the environment, shown to nobody but that server."""

from __future__ import annotations

import re
from collections.abc import Mapping

from aiplat.domain.errors import ConfigError, clip

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_SHORTEST = 8
"""A shorter key is not looked for in texts: it may be a part of any word."""


class Key:
    """A secret and the variable that it came from. Its repr is that name.

    Arguments:
        name: of the environment variable; empty where no key is sent.
        secret: what it holds.
    """

    __slots__ = ("_secret", "name")

    def __init__(self, name: str = "", secret: str = "") -> None:
        self.name = name
        self._secret = secret

    def __repr__(self) -> str:
        """Name the variable, never what it holds."""
        return f"Key({self.name!r})"

    @property
    def headers(self) -> dict[str, str]:
        """What shows it to the upstream."""
        return {"authorization": f"Bearer {self._secret}"} if self._secret else {}

    def scrubbed(self, data: bytes) -> bytes:
        """What an upstream said, without the key, should it have said it."""
        secret = self._secret.encode()
        return data if len(secret) < _SHORTEST else data.replace(secret, b"[key]")


def read_key(name: str, environ: Mapping[str, str]) -> Key:
    """The key that the environment variable `name` holds; none for an empty name.

    Raises:
        ConfigError: it is no name, it is not set or empty, or it holds what no header can.
    """
    if not name:
        return Key()
    if not _NAME.match(name):  # a key put here by mistake is not said again
        raise ConfigError(
            "--upstream-key-env takes the NAME of an environment variable (letters, digits and "
            "underscores), and this is none. The key itself belongs into that variable."
        )
    secret = environ.get(name, "").strip()
    if not secret:
        why = "is empty" if name in environ else "is not set"
        raise ConfigError(
            f"The environment variable {clip(name)} shall hold the upstream's key, but {why}: set "
            "it, or leave --upstream-key-env (upstream.key_env) out."
        )
    if not secret.isascii() or not secret.isprintable() or " " in secret:
        raise ConfigError(
            f"The environment variable {clip(name)} holds what cannot be a key: one word of "
            "printable ASCII characters is needed."
        )
    return Key(name, secret)
