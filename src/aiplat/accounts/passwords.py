"""Passwords: argon2id in threads, a few at a time, and as slow for a name that nobody has.

Of the places there one peer has a share, so that a crowd of one does not shut out the others.

Source: RFC 9106; argon2-cffi's default is its second recommended option (64 MiB, t=3, p=4).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TypeVar

import trio
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError

from aiplat.domain.errors import InvalidRequest, Overloaded

MIN_PASSWORD = 8
MAX_PASSWORD = 256
_SHARES = 4
"""One peer may have a fourth of the places: it may be a node that many people sit at."""

Result = TypeVar("Result")


def check_password(password: str) -> None:
    """Raise `InvalidRequest` for one that is too short or too long; says nothing of it."""
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        raise InvalidRequest(
            f"A password has {MIN_PASSWORD} to {MAX_PASSWORD} characters, this one "
            f"{len(password)}. Choose another.",
            param="password",
        )


class Passwords:
    """Hashes and checks passwords.

    Arguments:
        at_once: how many are hashed at the same time.
        waiting: how many may wait for that.
        hasher: another one, for tests: a real one takes 0.1 s.
    """

    def __init__(self, at_once: int, waiting: int, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._limiter = trio.CapacityLimiter(at_once)
        self._most = at_once + waiting
        self._most_of_one = max(1, self._most // _SHARES)
        self._in_hand: Counter[str] = Counter()
        """By the peers that they are for."""
        self._nobody: str | None = None

    async def hash(self, password: str, peer: str) -> str:
        """What is kept of a password that `peer` sent.

        Raises:
            Overloaded: too many are being hashed.
        """
        return await self._in_thread(peer, lambda: self._hasher.hash(_bytes(password)))

    async def matches(self, kept: str | None, password: str, peer: str) -> bool:
        """Whether it is that password; None for a name that nobody has, which takes as long.

        Raises:
            Overloaded: too many are being hashed.
        """
        return await self._in_thread(peer, lambda: self._matches(kept, password))

    def _matches(self, kept: str | None, password: str) -> bool:
        if self._nobody is None:
            self._nobody = self._hasher.hash("nobody's")
        try:
            self._hasher.verify(kept or self._nobody, _bytes(password))
        except (VerifyMismatchError, VerificationError, InvalidHashError):
            return False
        return kept is not None

    def check_room(self, peer: str) -> None:
        """See that one more of that peer would be heard.

        Raises:
            Overloaded: too many are being hashed.
        """
        bound = "(accounts.hashing, accounts.max_hashing). Try again in a moment."
        if self._in_hand.total() >= self._most:
            raise Overloaded(
                f"This gateway checks {self._most} passwords already, which is its bound {bound}",
                retry_after=2,
            )
        if self._in_hand[peer] >= self._most_of_one:
            raise Overloaded(
                f"This gateway checks {self._most_of_one} passwords from this machine already, "
                f"which is one machine's share of its bound {bound}",
                retry_after=2,
            )

    async def _in_thread(self, peer: str, work: Callable[[], Result]) -> Result:
        self.check_room(peer)
        self._in_hand[peer] += 1
        try:
            return await trio.to_thread.run_sync(work, limiter=self._limiter)
        finally:
            self._in_hand[peer] -= 1
            self._in_hand += Counter()  # without those that have none


def _bytes(password: str) -> bytes:
    return password.encode("utf-8", "surrogatepass")
