"""What a model of an Ollama does, as that tells it (``POST /api/show``, `capabilities`). Pure."""

from __future__ import annotations

import msgspec

from aiplat.domain.models import Ability

ALL: tuple[Ability, ...] = ("generate", "tools", "grammar", "embed")
"""Where no server says what a model does: who is asked for what it does not says no itself."""

_KNOWN: dict[str, tuple[Ability, ...]] = {
    "completion": ("generate", "grammar"), "tools": ("tools",), "embedding": ("embed",),
}  # fmt: skip


class _Shown(msgspec.Struct):
    capabilities: list[str] | None = None


_SHOWN = msgspec.json.Decoder(_Shown)


def read_abilities(data: bytes) -> tuple[Ability, ...]:
    """What an answer to ``/api/show`` says; nothing where it says nothing that is known here."""
    try:
        said = _SHOWN.decode(data).capabilities or ()
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ()
    found = {ability for name in said for ability in _KNOWN.get(name, ())}
    return tuple(ability for ability in ALL if ability in found)
