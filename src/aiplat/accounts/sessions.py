"""Log-ins: begun, listed and ended. Only the hash of a session's token is kept."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence

from aiplat.accounts.callers import Caller
from aiplat.accounts.directory import Session, User
from aiplat.accounts.house import House, is_there, note
from aiplat.accounts.names import label_of
from aiplat.accounts.refusals import disabled, session_over
from aiplat.accounts.secret_forms import id_of, new_secret
from aiplat.control.accounts import Nothing
from aiplat.control.accounts import Session as SessionGrant
from aiplat.control.messages import Done
from aiplat.control.sessions import SessionEnd, SessionList, SessionsAsk, SessionStatus
from aiplat.domain.errors import InvalidApiKey, InvalidRequest, clip


class Sessions:
    """What is done with log-ins. Methods for a caller are those of `METHODS`.

    Arguments:
        house: what all parts share.
    """

    def __init__(self, house: House) -> None:
        self._house = house

    async def begin(
        self, user: User, proven: str | None, peer: str, label: str, detail: str = ""
    ) -> SessionGrant:
        """Begin one for somebody who proved who it is.

        Arguments:
            proven: the hash of the password that it was proved by; None for who has none.
            label: what it is begun by, in that program's own words.
            detail: how, for the audit log, where it is not by a password.

        Raises:
            UserDisabled: the account is disabled, or was deleted.
            InvalidApiKey: its password was changed meanwhile.
        """
        house = self._house
        now = house.now()
        whole, secret = new_secret("ses", house.gateway)
        expires = now + house.settings.session_days * 86_400
        session = Session(secret.id, user, secret.hash, now, expires, label_of(label), peer)
        gone = self._giving_way(user, now)

        def write(connection: sqlite3.Connection) -> None:
            if not is_there(connection, user, enabled=True):  # since it was looked at
                raise disabled(user)
            _check_password_is(connection, user, proven)
            connection.execute(
                "INSERT INTO sessions (id, user, hash, created, expires, peer, label) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                (session.id, user.id, session.hash, now, expires, peer, session.label),
            )
            remove(connection, gone)
            caller = Caller(user, "session", peer)
            note(connection, now, caller, "session.begin", user.id, detail)
            if held := sum(one.expires > now for one in gone):
                note(connection, now, caller, "session.end", user.id, f"{_many(held)} gave way")

        def follow(_: None) -> None:
            self.forget(gone)
            house.directory.add_session(session)

        await house.writer.change(write, follow)
        return SessionGrant(
            user=house.told(user), id=session.id, token=whole, expires=expires,
            gateway=house.gateway,
        )  # fmt: skip

    def _giving_way(self, user: User, now: int) -> list[Session]:
        """Those that are over, and the oldest where there is no room for one more."""
        old = sorted(user.sessions.values(), key=lambda one: one.created)
        gone = old[: max(0, len(old) + 1 - self._house.settings.max_sessions_per_user)]
        return gone + [one for one in old if one.expires <= now and one not in gone]

    def forget(self, gone: Collection[Session]) -> None:
        """Follow it in memory, once they were removed; what they have under way ends."""
        for one in gone:
            self._house.directory.remove_session(one)
        ids = {one.id for one in gone}
        if ids:
            self._house.ends(lambda lease: lease.session in ids, session_over(self._house.gateway))

    async def logout(self, caller: Caller, wish: Nothing) -> Done:
        """End the session that asks."""
        if caller.session is None:
            raise InvalidRequest("There is no session to end: nobody is logged in here.")
        await self._end(caller, caller.user, [caller.session])
        return Done(message=f"{caller.user.name} is logged out.")

    async def list(self, caller: Caller, wish: SessionsAsk) -> SessionList:
        """Those that hold: one's own, or for operators another's."""
        user = self._house.whose(caller, wish.user)
        now = self._house.now()
        held = [one for one in user.sessions.values() if one.expires > now]
        held.sort(key=lambda one: (-one.created, one.id))
        return SessionList(user=user.name, sessions=tuple(_told(one, caller) for one in held))

    async def end(self, caller: Caller, wish: SessionEnd) -> Done:
        """End one, or all but the one that asks; what they have under way ends too."""
        user = self._house.whose(caller, wish.user)
        if bool(wish.id) == wish.others:
            raise InvalidRequest(
                "Say which log-in shall end: one, by its id, or all others.", param="id"
            )
        if wish.others:
            found = [one for one in user.sessions.values() if one is not caller.session]
        else:
            found = [self._named(user, wish.id)]
        if found:
            await self._end(caller, user, found)
        return Done(message=f"{_many(len(found))} of the account {user.name} ended.")

    def _named(self, user: User, text: str) -> Session:
        """One by its id; a whole token stands for that."""
        found = user.sessions.get(id_of(text, "ses") or text.strip())
        if found is None:
            raise InvalidRequest(
                f"The account {user.name!r} has no log-in {clip(text)!r} that holds. `aiplat "
                "sessions list` shows them.",
                param="id",
            )
        return found

    async def _end(self, caller: Caller, user: User, gone: Sequence[Session]) -> None:
        def write(connection: sqlite3.Connection) -> None:
            remove(connection, gone)
            detail = "" if gone == [caller.session] else _many(len(gone))
            note(connection, self._house.now(), caller, "session.end", user.id, detail)

        await self._house.writer.change(write, lambda _: self.forget(gone))


def remove(connection: sqlite3.Connection, sessions: Collection[Session]) -> None:
    """Remove log-ins, in the transaction of what ends them."""
    connection.executemany("DELETE FROM sessions WHERE id = ?", [(one.id,) for one in sessions])


def _check_password_is(connection: sqlite3.Connection, user: User, proven: str | None) -> None:
    """Whoever changed it ended all log-ins: none of by the old one may come after."""
    found = connection.execute(
        "SELECT 1 FROM users WHERE id = ? AND password IS ?", (user.id, proven)
    ).fetchone()
    if found is None:
        raise InvalidApiKey("The password was changed meanwhile: log in with the new one.")


def _many(count: int) -> str:
    return "1 log-in" if count == 1 else f"{count} log-ins"


def _told(session: Session, caller: Caller) -> SessionStatus:
    return SessionStatus(
        id=session.id, created=session.created, expires=session.expires, label=session.label,
        source=session.source, last_used=session.last_used, current=session is caller.session,
    )  # fmt: skip
