"""When a model was used last, and how long its last load took: a small file for each model.

What cannot be read or written is forgotten: nothing depends on it but an estimate and a list.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from pathlib import Path

import msgspec

from aiplat.domain.models import Ability

_BYTES_A_SECOND = 150e6
_SECONDS_OF_IMPORTS = 6.0


class Used(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """`load_seconds` of the last load, 0 before the first; `last_used` in seconds since 1970; `can`
    is what it did when it was loaded, empty while that is not known.
    """

    load_seconds: float = 0.0
    last_used: int = 0
    can: tuple[Ability, ...] = ()


def used(folder: Path, cache: Path) -> Used:
    """What is known of the model in `folder`."""
    try:
        return msgspec.json.decode(_place(folder, cache).read_bytes(), type=Used)
    except (OSError, msgspec.MsgspecError):
        return Used()


def note_use(
    folder: Path, cache: Path, *, load_seconds: float = 0.0, can: tuple[Ability, ...] = ()
) -> None:
    """Note that the model in `folder` was used now; how long it took to load; what it does."""
    place, before = _place(folder, cache), used(folder, cache)
    found = Used(
        load_seconds=load_seconds or before.load_seconds,
        last_used=int(time.time()),
        can=can or before.can,
    )
    new = place.with_suffix(f".{os.getpid()}")
    with contextlib.suppress(OSError):
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            new.write_bytes(msgspec.json.encode(found))
            new.replace(place)
        finally:
            new.unlink(missing_ok=True)


def forget(folder: Path, cache: Path) -> None:
    """The model is gone."""
    with contextlib.suppress(OSError):
        _place(folder, cache).unlink(missing_ok=True)


def expected_load_seconds(known: Used, weights_mib: int) -> float:
    """How long a load will take: as long as the last, or else by the size of the weights."""
    return known.load_seconds or _SECONDS_OF_IMPORTS + weights_mib * 1024 * 1024 / _BYTES_A_SECOND


def _place(folder: Path, cache: Path) -> Path:
    name = hashlib.sha256(os.fsencode(folder)).hexdigest()[:32]
    return cache / "uses" / f"{name}.json"
