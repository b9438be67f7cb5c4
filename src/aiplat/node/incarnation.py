"""Which life of a node this is: a number that only grows, whatever the clock does.

Of two channels to one peer the one of the newer life stays (`aiplat.node.duplicates`). By the
clock alone, a node whose clock stepped back (a dead battery, NTP, a snapshot) would be taken for an
earlier life of itself, and turned away until its last one is given up for silence.
"""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path

from aiplat.node.files import write_private

log = logging.getLogger("aiplat.node")

HIGHEST = 2**63 - 1
"""Far beyond any clock, and one more still fits the wire's 64 bits."""

_DIGITS = len(str(HIGHEST))


def wall_ms() -> int:
    """The time of day in milliseconds: what a life is counted by where nothing is kept."""
    return time.time_ns() // 1_000_000


def next_incarnation(path: Path, now_ms: int) -> int:
    """The number of the life that begins: over every earlier one, and the time where it can be.

    Kept before it is used, so that no two lives have the same, also through a power cut. One that
    cannot be kept, or was lost, is only a warning: the clock stands in for it.

    Arguments:
        path: the file that it is kept in; its folder must exist.
        now_ms: the time of day in milliseconds.
    """
    incarnation = max(_kept(path) + 1, now_ms, 1)
    try:
        write_private(path, f"{incarnation}\n".encode())
    except OSError as fault:
        log.warning(
            "the count of this node's lives cannot be kept in %s (%s): after a step back of the "
            "clock, peers would turn it away for some seconds", path, fault.strerror or fault,
        )  # fmt: skip
    return incarnation


def _kept(path: Path) -> int:
    """The last life's number; 0 when there is none that can be used."""
    try:
        text = _read(path)
    except FileNotFoundError:
        return 0
    except OSError as fault:
        return _unusable(path, fault.strerror or str(fault))
    digits = text.strip()
    if not (digits.isdigit() and len(digits) <= _DIGITS):
        return _unusable(path, "it holds no such number")
    kept = int(digits)
    return kept if kept < HIGHEST else _unusable(path, f"{kept} is over the highest, {HIGHEST - 1}")


def _read(path: Path) -> bytes:
    """Its first bytes, more than any number has. A pipe in its place gives none, and no wait."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        return file.read(_DIGITS + 8) or b""


def _unusable(path: Path, why: str) -> int:
    log.warning("the count of this node's lives in %s cannot be used: %s", path, why)
    return 0
