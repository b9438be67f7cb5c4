"""Whose limits hold for a request, and what the limits are called. Pure data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from aiplat.domain.accounts import Limits

Limit = Literal["requests_per_minute", "tokens_per_minute", "concurrent", "tokens_per_month"]
"""Which limit was hit: the names of the fields of `Limits`, a closed set."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A key, a user, or a peer without a key.

    Arguments:
        id: unique among all subjects, such as ``key:abc`` or ``user:u1``.
        what: for words, such as ``the key 'laptop'``.
        limits: what it may take, as they stand now.
    """

    id: str
    what: str
    limits: Limits
