"""The API key of a face's environment: it goes with its calls to the node, and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping

from aiplat.domain.errors import ConfigError

VARIABLE = "AIPLAT_API_KEY"
_LONGEST = 4096


def credential_of(environ: Mapping[str, str]) -> str:
    """The key that ``AIPLAT_API_KEY`` holds; empty when it is not set.

    Raises:
        ConfigError: it holds what no header can; its words hold none of it.
    """
    key = environ.get(VARIABLE, "").strip()
    if len(key) > _LONGEST or not key.isascii() or not key.isprintable() or " " in key:
        raise ConfigError(
            f"The environment variable {VARIABLE} holds what cannot be a key: one word of at most "
            f"{_LONGEST} printable ASCII characters is needed. Set it anew, or unset it."
        )
    return key
