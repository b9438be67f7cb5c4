"""Codes with which people may register: made, listed, withdrawn and used."""

from __future__ import annotations

import sqlite3

from aiplat.accounts.callers import Caller
from aiplat.accounts.directory import LIMIT_COLUMNS, columns_of, limits_of
from aiplat.accounts.house import House, note
from aiplat.accounts.secret_forms import NO_HASH, Secret, equal, id_of, new_secret
from aiplat.control.accounts import (
    Invitation,
    InvitationList,
    InvitationName,
    Nothing,
    UserInvitation,
    UserInvite,
)
from aiplat.control.messages import Done
from aiplat.domain.accounts import UNLIMITED, Limits, check_limits
from aiplat.domain.errors import InvalidApiKey, InvalidRequest, clip

MAX_PEOPLE = 1000
MAX_SECONDS = 366 * 86_400
MAX_INVITATIONS = 10_000
MAX_LISTED = 1000
_LIMITS = ", ".join(LIMIT_COLUMNS)
_HOLDS = "expires > ? AND uses_left > 0"


class Invitations:
    """What is done with them. Each method is one of `METHODS`, for a caller that may.

    Arguments:
        house: what all parts share.
    """

    def __init__(self, house: House) -> None:
        self._house = house

    async def make(self, caller: Caller, wish: UserInvite) -> UserInvitation:
        """Make a code; it is told once."""
        _check(wish)
        whole, secret = new_secret("inv", self._house.gateway)
        now = self._house.now()
        expires = now + wish.expires_seconds

        def write(connection: sqlite3.Connection) -> None:
            connection.execute(f"DELETE FROM invitations WHERE NOT ({_HOLDS})", (now,))
            [there] = connection.execute("SELECT count(*) FROM invitations").fetchone()
            if there >= MAX_INVITATIONS:
                raise InvalidRequest(
                    f"There are {there} invitations that hold, which is the bound: withdraw some "
                    "(`aiplat users invitations` lists them)."
                )
            connection.execute(
                "INSERT INTO invitations (id, hash, created, expires, uses_left, own_limits, "
                f"{_LIMITS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (secret.id, secret.hash, now, expires, wish.uses, wish.limits is not None,
                 *columns_of(wish.limits or UNLIMITED)),
            )  # fmt: skip
            note(connection, now, caller, "user.invite", secret.id, f"uses {wish.uses}")

        await self._house.writer.change(write)
        return UserInvitation(
            code=whole, expires=expires, uses=wish.uses, gateway=self._house.gateway,
            id=secret.id, is_closed=self._house.settings.registration == "closed",
        )  # fmt: skip

    async def list(self, caller: Caller, wish: Nothing) -> InvitationList:
        """Those that hold, the newest first; nobody can read their codes again."""
        now = self._house.now()

        def read(connection: sqlite3.Connection) -> InvitationList:
            rows = connection.execute(
                f"SELECT id, created, expires, uses_left, own_limits, {_LIMITS} FROM invitations "
                f"WHERE {_HOLDS} ORDER BY created DESC, id LIMIT ?", (now, MAX_LISTED + 1),
            ).fetchall()  # fmt: skip
            told = tuple(
                Invitation(id=row[0], created=row[1], expires=row[2], uses=row[3],
                           limits=limits_of(row[5:]) if row[4] else None)
                for row in rows[:MAX_LISTED]
            )  # fmt: skip
            return InvitationList(invitations=told, is_cut=len(rows) > MAX_LISTED)

        return await self._house.readers.read(read)

    async def withdraw(self, caller: Caller, wish: InvitationName) -> Done:
        """Let nobody register with one any more. Who did stays. A whole code stands for its id."""
        name = id_of(wish.id, "inv") or wish.id.strip()

        def write(connection: sqlite3.Connection) -> None:
            gone = connection.execute("DELETE FROM invitations WHERE id = ?", (name,)).rowcount
            if not gone:
                raise InvalidRequest(
                    f"There is no invitation {clip(name)!r} here that holds. `aiplat users "
                    "invitations` lists them.",
                    param="id",
                )
            note(connection, self._house.now(), caller, "user.uninvite", name)

        await self._house.writer.change(write)
        return Done(message=f"Nobody can register with the invitation {name} any more.")

    def look(self, connection: sqlite3.Connection, given: Secret) -> Limits | None:
        """See that one holds; gives its own limits, if it has any.

        Raises:
            InvalidApiKey: it is none of this gateway's, or holds no more.
        """
        row = connection.execute(
            f"SELECT hash, expires, uses_left, own_limits, {_LIMITS} FROM invitations WHERE id = ?",
            (given.id,),
        ).fetchone()
        if not equal(given.hash, NO_HASH if row is None else row[0]) or row is None:
            raise InvalidApiKey(
                "This gateway knows no such invitation: see that the code was copied whole, and "
                "that it is this gateway's and was not withdrawn."
            )
        if row[1] <= self._house.now() or row[2] < 1:
            gone = "has expired" if row[2] >= 1 else "was used as often as it may be"
            raise InvalidApiKey(f"The invitation {gone}: ask the operator for another.")
        return limits_of(row[4:]) if row[3] else None

    def use(self, connection: sqlite3.Connection, given: Secret) -> Limits | None:
        """The same, and one may register with it less."""
        limits = self.look(connection, given)  # others may have used it since
        connection.execute(
            "UPDATE invitations SET uses_left = uses_left - 1 WHERE id = ?", (given.id,)
        )
        return limits


def _check(wish: UserInvite) -> None:
    """Raise `InvalidRequest` for the first thing that cannot be."""
    if not 60 <= wish.expires_seconds <= MAX_SECONDS:
        raise InvalidRequest(
            f"An invitation holds from 60 to {MAX_SECONDS} seconds (a year), not "
            f"{wish.expires_seconds}.",
            param="expires",
        )
    if not 1 <= wish.uses <= MAX_PEOPLE:
        raise InvalidRequest(
            f"An invitation is for 1 to {MAX_PEOPLE} people, not {wish.uses}.", param="uses"
        )
    if wish.limits is not None:
        check_limits(wish.limits)
