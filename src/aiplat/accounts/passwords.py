"""Passwords: argon2id in threads, a few at a time, and as slow for a name that nobody has.

Source: RFC 9106; argon2-cffi's default is its second recommended option (64 MiB, t=3, p=4).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import trio
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError

from aiplat.domain.errors import InvalidRequest, Overloaded

MIN_PASSWORD = 8
MAX_PASSWORD = 256

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
        self._in_hand = 0
        self._nobody: str | None = None

    async def hash(self, password: str) -> str:
        """What is kept of a password.

        Raises:
            Overloaded: too many are being hashed.
        """
        return await self._in_thread(lambda: self._hasher.hash(_bytes(password)))

    async def matches(self, kept: str | None, password: str) -> bool:
        """Whether it is that password; None for a name that nobody has, which takes as long.

        Raises:
            Overloaded: too many are being hashed.
        """
        return await self._in_thread(lambda: self._matches(kept, password))

    def _matches(self, kept: str | None, password: str) -> bool:
        if self._nobody is None:
            self._nobody = self._hasher.hash("nobody's")
        try:
            self._hasher.verify(kept or self._nobody, _bytes(password))
        except (VerifyMismatchError, VerificationError, InvalidHashError):
            return False
        return kept is not None

    def check_room(self) -> None:
        """See that one more would be heard.

        Raises:
            Overloaded: too many are being hashed.
        """
        if self._in_hand >= self._most:
            raise Overloaded(
                f"This gateway checks {self._most} passwords already, which is its bound "
                "(accounts.hashing, accounts.max_hashing). Try again in a moment.",
                retry_after=2,
            )

    async def _in_thread(self, work: Callable[[], Result]) -> Result:
        self.check_room()
        self._in_hand += 1
        try:
            return await trio.to_thread.run_sync(work, limiter=self._limiter)
        finally:
            self._in_hand -= 1


def _bytes(password: str) -> bytes:
    return password.encode("utf-8", "surrogatepass")
