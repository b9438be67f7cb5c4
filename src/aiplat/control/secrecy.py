"""What messages that hold a secret have in common."""

from __future__ import annotations

import msgspec


class Secretive(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What must not end up in a log by way of its repr."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(…)"
