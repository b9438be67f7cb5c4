"""Accounts: registering, log-ins, and what operators do with them."""

from __future__ import annotations

import secrets
import sqlite3
import time
from collections.abc import Callable

from msgspec.structs import replace

from aiplat.accounts.admission import disabled
from aiplat.accounts.callers import Caller
from aiplat.accounts.directory import (
    LIMIT_COLUMNS,
    Directory,
    Session,
    User,
    columns_of,
    limits_of,
)
from aiplat.accounts.house import House, is_there, note
from aiplat.accounts.names import LOCAL_OPERATOR, user_name
from aiplat.accounts.passwords import Passwords, check_password
from aiplat.accounts.secret_forms import NO_HASH, equal, new_secret, take_apart
from aiplat.accounts.slowdown import Slowdown
from aiplat.control.accounts import (
    AuditAsk,
    AuditEntry,
    AuditLog,
    LimitsWish,
    Login,
    Nothing,
    Register,
    RoleWish,
    UserInvitation,
    UserInvite,
    UserList,
    UserName,
    WhoAmI,
)
from aiplat.control.accounts import Session as SessionGrant
from aiplat.control.messages import Done
from aiplat.domain.accounts import UNLIMITED, Limits, check_limits
from aiplat.domain.errors import (
    InvalidApiKey,
    InvalidRequest,
    PermissionDenied,
    clip,
)

MAX_INVITED = 1000
MAX_INVITATION_SECONDS = 366 * 86_400
MAX_INVITATIONS = 10_000
MAX_AUDIT = 1000
MAX_LISTED = 1000
_LIMITS = ", ".join(LIMIT_COLUMNS)
_PEER_FREE = 10
"""One peer may be a node that many people sit at."""


def new_user_id() -> str:
    """A name that says nothing of who it is: 60 random bits."""
    return f"u{secrets.token_hex(8)[:15]}"


def make_operator(connection: sqlite3.Connection, now: int) -> None:
    """Make the account of the gateway's owner, at its first start."""
    connection.execute(
        "INSERT OR IGNORE INTO users (id, name, role, created) VALUES (?, ?, 'operator', ?)",
        (new_user_id(), LOCAL_OPERATOR, now),
    )


class People:
    """What is done with accounts. Each method is one of `METHODS`, for a caller that may.

    Arguments:
        house: what all parts share.
        passwords: hashes them.
        monotonic: the clock of the slow-down, in seconds.
    """

    def __init__(
        self,
        house: House,
        passwords: Passwords,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._house = house
        self._passwords = passwords
        self._by_account = Slowdown(monotonic, "for this account")
        self._by_peer = Slowdown(monotonic, "from this machine", _PEER_FREE)

    @property
    def _directory(self) -> Directory:
        return self._house.directory

    # -- without an account ------------------------------------------------------------------

    async def register(self, wish: Register, peer: str) -> SessionGrant:
        """Make an account, by the operator's policy, and begin a session."""
        policy = self._house.settings.registration
        if policy == "closed":
            raise PermissionDenied(
                "This gateway takes no registrations: its operator opens it with the setting "
                "accounts.registration (invite or open)."
            )
        self._by_peer.check(peer)
        name = user_name(wish.name)
        if policy == "invite" and not wish.invitation:
            raise PermissionDenied(
                "This gateway registers only who has an invitation: ask its operator for a code "
                "(`aiplat users invite`), and give it with --invitation.",
                param="invitation",
            )
        check_password(wish.password)
        self._check_room(len(self._directory.users))
        if name == LOCAL_OPERATOR or self._directory.named(name) is not None:
            raise _taken(name)
        kept = await self._passwords.hash(wish.password)
        user = User(new_user_id(), name, "user", self._house.now(), kept)
        caller = Caller(user, "session", peer)

        def write(connection: sqlite3.Connection) -> Limits:
            self._check_room(_how_many(connection))  # others may have come since
            limits = None
            if policy == "invite":
                limits = self._use_invitation(connection, wish.invitation, peer)
            limits = limits or self._house.settings.limits
            connection.execute(
                f"INSERT INTO users (id, name, password, role, created, {_LIMITS}) "
                "VALUES (?, ?, ?, 'user', ?, ?, ?, ?, ?)",
                (user.id, name, kept, user.created, *columns_of(limits)),
            )
            note(connection, user.created, caller, "user.register", user.id)
            return limits

        try:
            user.limit(await self._house.writer.change(write))
        except sqlite3.IntegrityError:
            raise _taken(name) from None
        except InvalidApiKey:
            self._by_peer.failed(peer)
            raise
        self._directory.add_user(user)
        return await self._begin_session(user, peer)

    def _check_room(self, there: int) -> None:
        if there >= self._house.settings.max_users:
            raise PermissionDenied(
                f"This gateway has {self._house.settings.max_users} accounts, which is its bound "
                "(accounts.max_users)."
            )

    def _use_invitation(
        self, connection: sqlite3.Connection, code: str, peer: str
    ) -> Limits | None:
        given = take_apart(code, "inv")
        row = connection.execute(
            f"SELECT hash, expires, uses_left, own_limits, {_LIMITS} FROM invitations WHERE id = ?",
            (given.id,),
        ).fetchone()
        if not equal(given.hash, NO_HASH if row is None else row[0]) or row is None:
            raise InvalidApiKey(
                "This gateway gave out no such invitation: see that the code was copied whole, and "
                "that it is this gateway's."
            )
        if row[1] <= self._house.now() or row[2] < 1:
            gone = "has expired" if row[2] >= 1 else "was used as often as it may be"
            raise InvalidApiKey(f"The invitation {gone}: ask the operator for another.")
        connection.execute(
            "UPDATE invitations SET uses_left = uses_left - 1 WHERE id = ?", (given.id,)
        )
        return limits_of(row[4:]) if row[3] else None

    async def login(self, wish: Login, peer: str) -> SessionGrant:
        """Begin a session. A wrong name and a wrong password take as long and say the same."""
        name = wish.name.strip().lower()[:100]
        self._by_peer.check(peer)
        self._by_account.check(name)
        self._passwords.check_room()  # who is not heard has not tried
        # Counted before the hash, and taken back after: who tries ten at once has tried ten times.
        self._by_peer.failed(peer)
        self._by_account.failed(name)
        user = self._directory.named(name)
        kept = None if user is None else user.password
        if not await self._passwords.matches(kept, wish.password[:1024]) or user is None:
            raise InvalidApiKey(
                "The name or the password is wrong. (The owner of the gateway's machine needs no "
                "log-in there: commands act for the operator.)"
            )
        self._by_peer.succeeded(peer)
        self._by_account.succeeded(name)
        if user.disabled:
            raise disabled(user)
        return await self._begin_session(user, peer)

    async def _begin_session(self, user: User, peer: str) -> SessionGrant:
        house = self._house
        now = house.now()
        whole, secret = new_secret("ses", house.gateway)
        expires = now + house.settings.session_days * 86_400
        session = Session(secret.id, user, secret.hash, now, expires, peer)
        old = sorted(user.sessions.values(), key=lambda one: one.created)
        gone = old[: max(0, len(old) + 1 - house.settings.max_sessions_per_user)]
        gone += [one for one in old if one.expires <= now and one not in gone]

        def write(connection: sqlite3.Connection) -> None:
            if not is_there(connection, user, enabled=True):  # since it was looked at
                raise disabled(user)
            connection.execute(
                "INSERT INTO sessions VALUES (?, ?, ?, ?, ?, ?)",
                (session.id, user.id, session.hash, now, expires, peer),
            )
            connection.executemany("DELETE FROM sessions WHERE id = ?", [(one.id,) for one in gone])
            note(connection, now, Caller(user, "session", peer), "session.begin", user.id)

        await house.writer.change(write)
        for one in gone:
            self._directory.remove_session(one)
        self._directory.add_session(session)
        return SessionGrant(
            user=house.told(user), id=session.id, token=whole, expires=expires,
            gateway=house.gateway,
        )  # fmt: skip

    # -- for everyone ------------------------------------------------------------------------

    async def logout(self, caller: Caller, wish: Nothing) -> Done:
        """End the session that asks."""
        session = caller.session
        if session is None:
            raise InvalidRequest("There is no session to end: nobody is logged in here.")

        def write(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM sessions WHERE id = ?", (session.id,))
            note(connection, self._house.now(), caller, "session.end", caller.user.id)

        await self._house.writer.change(write)
        self._directory.remove_session(session)
        return Done(message=f"{caller.user.name} is logged out.")

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

    async def invite(self, caller: Caller, wish: UserInvite) -> UserInvitation:
        """Make a code with which people may register."""
        if not 60 <= wish.expires_seconds <= MAX_INVITATION_SECONDS:
            raise InvalidRequest(
                f"An invitation holds from 60 to {MAX_INVITATION_SECONDS} seconds (a year), not "
                f"{wish.expires_seconds}.",
                param="expires",
            )
        if not 1 <= wish.uses <= MAX_INVITED:
            raise InvalidRequest(
                f"An invitation is for 1 to {MAX_INVITED} people, not {wish.uses}.", param="uses"
            )
        if wish.limits is not None:
            check_limits(wish.limits)
        whole, secret = new_secret("inv", self._house.gateway)
        now = self._house.now()
        expires = now + wish.expires_seconds

        def write(connection: sqlite3.Connection) -> None:
            connection.execute(
                "DELETE FROM invitations WHERE expires <= ? OR uses_left < 1", (now,)
            )
            [there] = connection.execute("SELECT count(*) FROM invitations").fetchone()
            if there >= MAX_INVITATIONS:
                raise InvalidRequest(
                    f"There are {there} invitations that hold, which is the bound: let some expire."
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
            code=whole, expires=expires, uses=wish.uses, gateway=self._house.gateway
        )

    async def disable(self, caller: Caller, wish: UserName) -> Done:
        """Let an account do nothing, from now on; what it has under way ends."""
        user = self._other(wish.name)

        def write(connection: sqlite3.Connection) -> None:
            connection.execute("UPDATE users SET disabled = 1 WHERE id = ?", (user.id,))
            connection.execute("DELETE FROM sessions WHERE user = ?", (user.id,))
            note(connection, self._house.now(), caller, "user.disable", user.id)

        await self._house.writer.change(write)
        user.disabled = True
        for session in list(user.sessions.values()):
            self._directory.remove_session(session)
        self._house.ends(lambda lease: lease.payer == user.id, disabled(user))
        return Done(
            message=f"The account {user.name} is disabled; what it had under way was ended."
        )

    async def enable(self, caller: Caller, wish: UserName) -> Done:
        """Let it do what it may again."""
        user = self._other(wish.name)

        def write(connection: sqlite3.Connection) -> None:
            connection.execute("UPDATE users SET disabled = 0 WHERE id = ?", (user.id,))
            note(connection, self._house.now(), caller, "user.enable", user.id)

        await self._house.writer.change(write)
        user.disabled = False
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

        if changed:
            await self._house.writer.change(write)
            user.limit(replace(user.limits, **changed))  # others may have changed the rest
            for key in user.keys.values():
                key.follow()
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

        await self._house.writer.change(write)
        user.role = wish.role
        return Done(message=f"The account {user.name} is {wish.role} now.")

    async def delete(self, caller: Caller, wish: UserName) -> Done:
        """Delete it: its name, password, keys and sessions. What it used stays in the sums."""
        user = self._other(wish.name)
        keys = [(key,) for key in user.keys]

        def write(connection: sqlite3.Connection) -> None:
            now = self._house.now()
            connection.execute(
                "UPDATE users SET name = NULL, password = NULL, disabled = 1, deleted = ? "
                "WHERE id = ?",
                (now, user.id),
            )
            for table in ("keys", "sessions"):
                connection.execute(f"DELETE FROM {table} WHERE user = ?", (user.id,))
            # What it called its keys may say who it was.
            connection.executemany(
                "UPDATE audit SET detail = '' WHERE target = ?", [(user.id,), *keys]
            )
            note(connection, now, caller, "user.delete", user.id)

        await self._house.writer.change(write)
        user.disabled = True
        self._house.ends(lambda lease: lease.payer == user.id, disabled(user))
        for subject in {user.subject.id, *(key.subjects[0].id for key in user.keys.values())}:
            self._house.limiter.forget(subject)
        self._directory.remove_user(user)
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

        def read(connection: sqlite3.Connection) -> list[AuditEntry]:
            own = "SELECT id FROM keys WHERE user = :id"
            about = f"WHERE actor = :id OR target = :id OR target IN ({own}) " if user else ""
            rows = connection.execute(
                f"SELECT at, actor, action, target, detail, peer FROM audit {about}"
                "ORDER BY id DESC LIMIT :most",
                {"id": user.id if user else "", "most": wish.most},
            )
            return [
                AuditEntry(
                    at=at, actor=self._shown(actor), action=action, target=self._shown(target),
                    detail=detail, peer=peer,
                )
                for at, actor, action, target, detail, peer in rows
            ]  # fmt: skip

        return AuditLog(entries=tuple(await self._house.writer.change(read)))

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


def _how_many(connection: sqlite3.Connection) -> int:
    row = connection.execute("SELECT count(*) FROM users WHERE deleted IS NULL").fetchone()
    return int(row[0])


def _taken(name: str) -> InvalidRequest:
    return InvalidRequest(
        f"The name {clip(name)!r} is taken here: choose another, or log in (`aiplat login`).",
        param="name",
    )
