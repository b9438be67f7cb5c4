"""Accounts: what those who are known ask of their own, and what operators do with all."""

from __future__ import annotations

import sqlite3

from msgspec.structs import replace

from aiplat.accounts.callers import Caller
from aiplat.accounts.directory import LIMIT_COLUMNS, Directory, User, columns_of
from aiplat.accounts.house import House, note
from aiplat.accounts.names import LOCAL_OPERATOR
from aiplat.accounts.refusals import disabled
from aiplat.control.accounts import (
    AuditAsk,
    AuditEntry,
    AuditLog,
    LimitsWish,
    Nothing,
    RoleWish,
    UserList,
    UserName,
    WhoAmI,
)
from aiplat.control.messages import Done
from aiplat.domain.accounts import check_limits
from aiplat.domain.errors import InvalidRequest

MAX_AUDIT = 1000
MAX_LISTED = 1000


class People:
    """What is done with accounts. Each method is one of `METHODS`, for a caller that may.

    Arguments:
        house: what all parts share.
    """

    def __init__(self, house: House) -> None:
        self._house = house

    @property
    def _directory(self) -> Directory:
        return self._house.directory

    # -- for everyone ------------------------------------------------------------------------

    def whoami(self, caller: Caller) -> WhoAmI:
        """Who asks."""
        subjects = (caller.user.subject,) if caller.key is None else caller.key.subjects
        return WhoAmI(
            gateway=self._house.gateway, user=self._house.told(caller.user), by=caller.by,
            scopes=caller.scopes, expires=caller.expires,
            rate=self._house.limiter.state(subjects),
        )  # fmt: skip

    # -- for operators -------------------------------------------------------------------------

    async def list(self, caller: Caller, wish: Nothing) -> UserList:
        """All accounts."""
        used = self._house.used_this_month
        users = sorted(self._directory, key=lambda user: (-used(user.subject.id), user.name))
        told = tuple(self._house.told(user) for user in users[:MAX_LISTED])
        return UserList(users=told, more=len(users) - len(told))

    async def disable(self, caller: Caller, wish: UserName) -> Done:
        """Let an account do nothing, from now on; what it has under way ends."""
        user = self._other(wish.name)

        def write(connection: sqlite3.Connection) -> None:
            connection.execute("UPDATE users SET disabled = 1 WHERE id = ?", (user.id,))
            connection.execute("DELETE FROM sessions WHERE user = ?", (user.id,))
            note(connection, self._house.now(), caller, "user.disable", user.id)

        def follow(_: None) -> None:
            user.disabled = True
            for session in list(user.sessions.values()):
                self._directory.remove_session(session)
            self._house.ends(lambda lease: lease.payer == user.id, disabled(user))

        await self._house.writer.change(write, follow)
        return Done(
            message=f"The account {user.name} is disabled; what it had under way was ended."
        )

    async def enable(self, caller: Caller, wish: UserName) -> Done:
        """Let it do what it may again."""
        user = self._other(wish.name)

        def write(connection: sqlite3.Connection) -> None:
            connection.execute("UPDATE users SET disabled = 0 WHERE id = ?", (user.id,))
            note(connection, self._house.now(), caller, "user.enable", user.id)

        def follow(_: None) -> None:
            user.disabled = False

        await self._house.writer.change(write, follow)
        return Done(message=f"The account {user.name} is enabled: its keys hold again.")

    async def limits(self, caller: Caller, wish: LimitsWish) -> Done:
        """Give it other limits."""
        user = self._house.user(wish.name)
        wanted = {name: getattr(wish, name) for name in LIMIT_COLUMNS}
        changed = {name: value or None for name, value in wanted.items() if value is not None}
        check_limits(replace(user.limits, **changed))

        def write(connection: sqlite3.Connection) -> None:
            columns = ", ".join(f"{name} = ?" for name in changed)
            connection.execute(
                f"UPDATE users SET {columns} WHERE id = ?", (*changed.values(), user.id)
            )
            detail = ", ".join(f"{name} {value or 'none'}" for name, value in changed.items())
            note(connection, self._house.now(), caller, "user.limits", user.id, detail)

        def follow(_: None) -> None:
            user.limit(replace(user.limits, **changed))  # others may have changed the rest
            for key in user.keys.values():
                key.follow()

        if changed:
            await self._house.writer.change(write, follow)
        shown = ", ".join(
            f"{name.replace('_', ' ')} {value if value is not None else 'unlimited'}"
            for name, value in zip(LIMIT_COLUMNS, columns_of(user.limits), strict=True)
        )
        return Done(message=f"The account {user.name}: {shown}.")

    async def role(self, caller: Caller, wish: RoleWish) -> Done:
        """Make it an operator, or a user again."""
        user = self._other(wish.name)

        def write(connection: sqlite3.Connection) -> None:
            connection.execute("UPDATE users SET role = ? WHERE id = ?", (wish.role, user.id))
            note(connection, self._house.now(), caller, "user.role", user.id, wish.role)

        def follow(_: None) -> None:
            user.role = wish.role

        await self._house.writer.change(write, follow)
        return Done(message=f"The account {user.name} is {wish.role} now.")

    async def delete(self, caller: Caller, wish: UserName) -> Done:
        """Delete it: its name, password, keys and sessions. What it used stays in the sums."""
        user = self._other(wish.name)

        def write(connection: sqlite3.Connection) -> None:
            now = self._house.now()
            connection.execute(
                "UPDATE users SET name = NULL, password = NULL, disabled = 1, deleted = ? "
                "WHERE id = ?",
                (now, user.id),
            )
            # What it called its keys may say who it was.
            connection.execute(
                "UPDATE audit SET detail = '' "
                "WHERE target = ? OR target IN (SELECT id FROM keys WHERE user = ?)",
                (user.id, user.id),
            )
            for table in ("keys", "sessions"):
                connection.execute(f"DELETE FROM {table} WHERE user = ?", (user.id,))
            note(connection, now, caller, "user.delete", user.id)

        def follow(_: None) -> None:
            user.disabled = True
            self._house.ends(lambda lease: lease.payer == user.id, disabled(user))
            for subject in {user.subject.id, *(key.subjects[0].id for key in user.keys.values())}:
                self._house.limiter.forget(subject)
            self._directory.remove_user(user)
            self._house.deleted(user.id)

        await self._house.writer.change(write, follow)
        return Done(
            message=f"The account {user.name} is deleted, with its keys and log-ins. What it used "
            f"stays in the sums, as {user.id}."
        )

    async def audit(self, caller: Caller, wish: AuditAsk) -> AuditLog:
        """The newest entries of the audit log."""
        if not 1 <= wish.most <= MAX_AUDIT:
            raise InvalidRequest(
                f"1 to {MAX_AUDIT} entries are shown at once, not {wish.most}.", param="most"
            )
        user = self._house.user(wish.name) if wish.name else None

        def read(connection: sqlite3.Connection) -> list[tuple[int, str, str, str, str, str]]:
            own = "SELECT id FROM keys WHERE user = :id"
            about = f"WHERE actor = :id OR target = :id OR target IN ({own}) " if user else ""
            return connection.execute(
                f"SELECT at, actor, action, target, detail, peer FROM audit {about}"
                "ORDER BY id DESC LIMIT :most",
                {"id": user.id if user else "", "most": wish.most},
            ).fetchall()

        entries = [
            AuditEntry(
                at=at, actor=self._shown(actor), action=action, target=self._shown(target),
                detail=detail, peer=peer,
            )
            for at, actor, action, target, detail, peer in await self._house.readers.read(read)
        ]  # fmt: skip
        return AuditLog(entries=tuple(entries))

    def _shown(self, name: str) -> str:
        """What a person calls an account or a key."""
        user = self._directory.users.get(name)
        if user is not None:
            return user.name
        key = self._directory.keys.get(name)
        return f"{name} ({key.user.name}: {key.name})" if key is not None else name

    def _other(self, name: str) -> User:
        """An account that is not the owner's: that one always is what it is."""
        user = self._house.user(name)
        if user.is_local:
            raise InvalidRequest(
                f"The account {LOCAL_OPERATOR!r} is of the owner of this machine: it is always an "
                "operator, enabled and there. (`users limits` works.)",
                param="name",
            )
        return user
