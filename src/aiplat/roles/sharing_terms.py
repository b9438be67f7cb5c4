"""On which terms an owner shares a machine: what was chosen, and what it comes to.

Pure: reads no clock, no file and no machine.
"""

from __future__ import annotations

import re

import msgspec
from msgspec.structs import replace

from aiplat.control.messages import ShareTerms, ShareWish
from aiplat.domain.errors import InvalidRequest, clip
from aiplat.engine.settings import EngineSettings
from aiplat.roles.sharing_hours import read_hours

NO_LIMIT = "none"
MAX_THREADS = 1024
LEAST_MIB, MOST_MIB = 64, 16 * 1024 * 1024

_SIZE = re.compile(
    r"(?P<count>\d{1,9}(?:\.\d{1,3})?) *(?P<unit>%|mib|gib|tib|mb|gb|tb|m|g|t)", re.ASCII
)
_MIB = {
    "m": 1.0, "mib": 1.0, "g": 1024.0, "gib": 1024.0, "t": 1024.0**2, "tib": 1024.0**2,
    "mb": 1e6 / 2**20, "gb": 1e9 / 2**20, "tb": 1e12 / 2**20,
}  # fmt: skip


def changed(terms: ShareTerms, wish: ShareWish) -> ShareTerms:
    """The terms after a wish; what it does not speak of stays.

    Raises:
        InvalidRequest: names what cannot be, and what could.
    """
    new = terms
    if wish.pause is not None:
        new = replace(new, paused=wish.pause)
    if wish.hours is not None:
        new = replace(new, hours=str(read_hours(wish.hours)))
    if wish.idle_only is not None:
        new = replace(new, idle_only=wish.idle_only)
    if wish.max_memory is not None:
        new = replace(new, max_memory=_memory(wish.max_memory))
    if wish.threads is not None:
        if not 0 <= wish.threads <= MAX_THREADS:
            raise InvalidRequest(
                f"threads must be from 1 to {MAX_THREADS}, or 0 for one a core, but is "
                f"{wish.threads}.",
                param="threads",
            )
        new = replace(new, threads=wish.threads)
    return new


def check(terms: ShareTerms) -> None:
    """Check terms that were kept, by the rules of a wish.

    Raises:
        InvalidRequest: they cannot hold.
    """
    wish = ShareWish(
        hours=terms.hours, threads=terms.threads, max_memory=terms.max_memory or NO_LIMIT
    )
    changed(ShareTerms(), wish)


def memory_mib(text: str, total_mib: int) -> int:
    """What a size comes to, in MiB; 0 for no limit.

    Arguments:
        total_mib: the machine's memory, of which it may be a share.

    Raises:
        InvalidRequest: it is none, or out of bounds.
    """
    if text.strip().lower() in ("", NO_LIMIT):
        return 0
    found = _SIZE.fullmatch(text.strip().lower())
    if found is None:
        raise InvalidRequest(
            f"The memory {clip(text)!r} is no size: write 4GiB, 512MiB, 75% of this machine's, or "
            f"{NO_LIMIT} for no limit.",
            param="max_memory",
        )
    count, unit = float(found["count"]), found["unit"]
    if unit == "%":
        if not 1 <= count <= 100:
            raise InvalidRequest(
                f"The memory must be from 1% to 100% of this machine's, but is {clip(text)}.",
                param="max_memory",
            )
        return max(LEAST_MIB, int(total_mib * count / 100))
    mib = count * _MIB[unit]
    if not LEAST_MIB <= mib <= MOST_MIB:
        raise InvalidRequest(
            f"The memory must be from {LEAST_MIB} MiB to {MOST_MIB // 1024**2} TiB, but is "
            f"{clip(text)}.",
            param="max_memory",
        )
    return int(mib)


def _memory(text: str) -> str:
    """A size as it is kept: empty for no limit."""
    memory_mib(text, LEAST_MIB)
    plain = text.strip()
    return "" if plain.lower() == NO_LIMIT else plain


def engines_within(terms: ShareTerms, settings: EngineSettings, total_mib: int) -> EngineSettings:
    """The settings of the engines, with the owner's bounds in the place of the configuration's.

    Arguments:
        total_mib: the machine's memory.
    """
    bounds: dict[str, int] = {}
    if terms.threads:
        bounds["threads"] = terms.threads
    if terms.max_memory:
        bounds["memory_mib"] = memory_mib(terms.max_memory, total_mib)
    return msgspec.structs.replace(settings, **bounds)
