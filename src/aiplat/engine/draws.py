"""Random numbers that depend on nothing but a seed and a place. Pure.

A counter-based generator: the draw for the token at `position` of an answer is the same on any
machine, in whatever company and after whatever pause, so an answer that moves goes on as it
would have. SHA-256 is the mixing function; at one draw a token its cost does not show.
"""

from __future__ import annotations

import hashlib
import struct

_SCALE = 2.0**-53


def uniform(seed: int, position: int) -> float:
    """A number from 0 (taken) to 1 (not taken), with 53 random bits.

    Arguments:
        seed: a signed whole number of 64 bits.
        position: of the token in the answer, from 0.
    """
    digest = hashlib.sha256(struct.pack("<qQ", seed, position)).digest()
    return (int.from_bytes(digest[:8], "little") >> 11) * _SCALE
