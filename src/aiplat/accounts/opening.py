"""One-time links that log the owner of a gateway's machine in at its page: made, and used up.

Codes live in memory alone, by their hashes, and for minutes: a gateway that is started again knows
none of before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from aiplat.accounts.callers import Caller
from aiplat.accounts.house import House, note
from aiplat.accounts.proving import Proving
from aiplat.accounts.secret_forms import NO_HASH, equal, new_secret, take_apart
from aiplat.accounts.sessions import Sessions
from aiplat.control.accounts import Nothing
from aiplat.control.accounts import Session as SessionGrant
from aiplat.control.sessions import OpenLink, OpenRedeem
from aiplat.domain.errors import InvalidApiKey


class _Link(NamedTuple):
    hash: bytes
    until: float


class Opening:
    """The links of one gateway.

    Arguments:
        house: what all parts share.
        proving: slows down who guesses.
        sessions: begins the log-in.
        monotonic: a clock that never steps, in seconds.
        hit: counts that a link gave way to others.
    """

    def __init__(
        self,
        house: House,
        proving: Proving,
        sessions: Sessions,
        monotonic: Callable[[], float],
        hit: Callable[[], None],
    ) -> None:
        self._house = house
        self._proving = proving
        self._sessions = sessions
        self._now = monotonic
        self._hit = hit
        self._links: dict[str, _Link] = {}
        """By their ids, the oldest first."""

    async def make(self, caller: Caller, wish: Nothing) -> OpenLink:
        """Make a link; it is told once."""
        house = self._house
        whole, secret = new_secret("open", house.gateway)
        seconds, now = house.settings.open_seconds, house.now()
        await house.writer.change(lambda connection: note(connection, now, caller, "link.make"))
        self._forget_old()
        while len(self._links) >= house.settings.max_open_links:
            self._hit()
            del self._links[next(iter(self._links))]
        self._links[secret.id] = _Link(secret.hash, self._now() + seconds)
        return OpenLink(code=whole, expires=now + seconds, gateway=house.gateway)

    async def redeem(self, wish: OpenRedeem, peer: str) -> SessionGrant:
        """Begin the owner's session; the link is used up, however that goes on.

        Raises:
            InvalidApiKey: it is none, was used, or its time is over.
            RateLimited: too much that was wrong came from there.
        """
        self._proving.check_pace(peer)
        self._forget_old()
        try:
            given = take_apart(wish.code, "open")
        except InvalidApiKey:
            self._proving.was_wrong("link", peer)
            raise
        link = self._links.get(given.id)
        if not equal(given.hash, NO_HASH if link is None else link.hash) or link is None:
            self._proving.was_wrong("link", peer)
            raise InvalidApiKey(
                "This link was used already, or its time is over: `aiplat open`, on the machine "
                "of the node, makes another."
            )
        del self._links[given.id]
        owner = self._house.directory.owner
        return await self._sessions.begin(owner, None, peer, wish.label, "by a one-time link")

    def _forget_old(self) -> None:
        now = self._now()
        self._links = {name: link for name, link in self._links.items() if link.until > now}
