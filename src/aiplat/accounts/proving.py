"""Who says a password proves to be somebody: checked in threads, and slowed down after wrong ones.

Wrong ones count for the account, wherever they come from, and for where they come from, whatever
the account.
"""

from __future__ import annotations

from collections.abc import Callable

from aiplat.accounts.directory import User
from aiplat.accounts.passwords import Passwords
from aiplat.accounts.slowdown import Slowdown
from aiplat.accounts.wrongs import Reason, Wrongs

_PEER_FREE = 10
"""One peer may be a node that many people sit at."""
_LONGEST_TRIED = 1024


class Proving:
    """Checks what people show of a gateway's.

    Arguments:
        passwords: hashes them.
        wrongs: where those who show what is wrong are told.
        monotonic: the clock of the slow-down, in seconds.
    """

    def __init__(
        self, passwords: Passwords, wrongs: Wrongs, monotonic: Callable[[], float]
    ) -> None:
        self.passwords = passwords
        self._wrongs = wrongs
        self._by_account = Slowdown(monotonic, "in a row for this account")
        self._by_peer = Slowdown(monotonic, "of late from this machine", _PEER_FREE)

    def check_pace(self, peer: str) -> None:
        """Raise `RateLimited` where too much that was wrong came from there."""
        self._by_peer.check(peer)

    def was_wrong(self, reason: Reason, peer: str) -> None:
        """Something else than a password was wrong: it counts for where it came from."""
        self._by_peer.failed(peer)
        self._wrongs.saw(reason, peer)

    async def proves(self, name: str, user: User | None, password: str, peer: str) -> bool:
        """Whether it is the password of that account; takes as long where there is none.

        Arguments:
            name: of the account, as it is kept, or would be.
            user: the account; None where there is none of that name.

        Raises:
            RateLimited: too many were wrong: this one is not heard.
            Overloaded: too many passwords are being checked.
        """
        self._by_peer.check(peer)
        self._by_account.check(name)
        self.passwords.check_room(peer)  # who is not heard has not tried
        # Counted before the hash, and taken back after: who tries ten at once has tried ten times.
        counted = self._by_peer.failed(peer)
        self._by_account.failed(name)
        kept = None if user is None else user.password
        if not await self.passwords.matches(kept, password[:_LONGEST_TRIED], peer) or user is None:
            self._wrongs.saw("password", peer)
            return False
        # Of the peer this one alone: with an account of one's own, others' are not guessed faster.
        self._by_peer.take_back(peer, counted)
        self._by_account.succeeded(name)
        return True
