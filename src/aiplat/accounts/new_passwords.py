"""Another password for an account: changed by whoever has the old one, or set by an operator."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection

from aiplat.accounts.callers import Caller
from aiplat.accounts.directory import Session, User
from aiplat.accounts.house import House, is_there, note
from aiplat.accounts.names import LOCAL_OPERATOR
from aiplat.accounts.passwords import check_password
from aiplat.accounts.proving import Proving
from aiplat.accounts.refusals import disabled
from aiplat.accounts.sessions import Sessions
from aiplat.control.messages import Done
from aiplat.control.sessions import PasswordChange, PasswordReset
from aiplat.domain.errors import InvalidApiKey, InvalidRequest


class NewPasswords:
    """Gives accounts other passwords. Each method is one of `METHODS`, for a caller that may.

    Arguments:
        house: what all parts share.
        proving: checks the old ones, and hashes the new.
        sessions: ends log-ins.
    """

    def __init__(self, house: House, proving: Proving, sessions: Sessions) -> None:
        self._house = house
        self._proving = proving
        self._sessions = sessions

    async def change(self, caller: Caller, wish: PasswordChange) -> Done:
        """Change one's own, by the old one; all log-ins but the one that asks end."""
        user = caller.user
        _refuse_owner(user)
        check_password(wish.new)
        if wish.new == wish.old:
            raise InvalidRequest(
                "The new password is the old one: choose another.", param="password"
            )
        old = user.password
        if not await self._proving.proves(user.name, user, wish.old, caller.peer):
            raise InvalidApiKey("The old password is wrong: nothing was changed.", param="old")
        gone = await self._give(caller, user, wish.new, "password.change", old)
        return Done(message=f"The password of {user.name} is changed; {_ended(gone)}.")

    async def reset(self, caller: Caller, wish: PasswordReset) -> Done:
        """Give somebody who lost it another, as an operator; all log-ins of the account end."""
        user = self._house.user(wish.name)
        _refuse_owner(user)
        if user is caller.user:
            raise InvalidRequest(
                "Your own password is changed by the old one (`aiplat password`), not set anew.",
                param="name",
            )
        check_password(wish.password)
        gone = await self._give(caller, user, wish.password, "user.password")
        return Done(
            message=f"The account {user.name} has another password; {_ended(gone)}. Its keys hold "
            "on: `aiplat keys revoke` ends one."
        )

    async def _give(
        self, caller: Caller, user: User, password: str, action: str, old: str | None = None
    ) -> Collection[Session]:
        """Write it down and end the log-ins, which it gives; where `old` is said only in its place.

        Raises:
            Overloaded: too many passwords are being hashed.
        """
        kept = await self._proving.passwords.hash(password, caller.peer)
        kept_on = "" if caller.session is None else caller.session.id
        gone: list[Session] = []

        def write(connection: sqlite3.Connection) -> None:
            if not is_there(connection, user):  # since it was looked at
                raise disabled(user)
            done = connection.execute(
                "UPDATE users SET password = ? WHERE id = ? AND (? IS NULL OR password = ?)",
                (kept, user.id, old, old),
            )
            if done.rowcount != 1:
                raise InvalidRequest(
                    "The password was changed meanwhile: log in with the new one.", param="old"
                )
            connection.execute(
                "DELETE FROM sessions WHERE user = ? AND id != ?", (user.id, kept_on)
            )
            note(connection, self._house.now(), caller, action, user.id)

        def follow(_: None) -> None:
            user.password = kept
            gone.extend(one for one in user.sessions.values() if one.id != kept_on)
            self._sessions.forget(gone)

        await self._house.writer.change(write, follow)
        return gone


def _refuse_owner(user: User) -> None:
    if user.is_local:
        raise InvalidRequest(
            f"The account {LOCAL_OPERATOR!r} is of the owner of this machine, and has no password: "
            "commands act for it there, and `aiplat open` logs its browser in.",
            param="name",
        )


def _ended(gone: Collection[Session]) -> str:
    return f"{len(gone)} other log-in{'s' * (len(gone) != 1)} ended"
