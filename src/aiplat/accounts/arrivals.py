"""Registering and log-ins: what may be asked by who is not known yet, and what that may cost."""

from __future__ import annotations

import secrets
import sqlite3
import time
from collections.abc import Callable

from aiplat.accounts.admission import disabled
from aiplat.accounts.callers import Caller
from aiplat.accounts.directory import LIMIT_COLUMNS, Session, User, columns_of
from aiplat.accounts.house import House, is_there, note
from aiplat.accounts.invitations import Invitations
from aiplat.accounts.names import LOCAL_OPERATOR, user_name
from aiplat.accounts.pace import Bound
from aiplat.accounts.passwords import Passwords, check_password
from aiplat.accounts.secret_forms import Secret, new_secret, take_apart
from aiplat.accounts.slowdown import Slowdown
from aiplat.accounts.wrongs import Wrongs
from aiplat.control.accounts import Login, Register
from aiplat.control.accounts import Session as SessionGrant
from aiplat.domain.accounts import Limits
from aiplat.domain.errors import InvalidApiKey, InvalidRequest, PermissionDenied, clip

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


class Arrivals:
    """Lets people in.

    Arguments:
        house: what all parts share.
        invitations: knows who is invited.
        passwords: hashes them.
        wrongs: where those who are not let in are told.
        monotonic: the clock of the slow-down, in seconds.
    """

    def __init__(
        self,
        house: House,
        invitations: Invitations,
        passwords: Passwords,
        wrongs: Wrongs,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._house = house
        self._invitations = invitations
        self._passwords = passwords
        self._wrongs = wrongs
        self._by_account = Slowdown(monotonic, "in a row for this account")
        self._by_peer = Slowdown(monotonic, "of late from this machine", _PEER_FREE)

    async def register(self, wish: Register, peer: str) -> SessionGrant:
        """Make an account, by the operator's policy, and begin a session."""
        house = self._house
        name = self._may_register(wish, peer)
        check_password(wish.password)
        invitation = await self._invitation(wish, peer)
        self._passwords.check_room(peer)
        self._check_pace(peer)
        self._check_room(len(house.directory.users))
        if name == LOCAL_OPERATOR or house.directory.named(name) is not None:
            raise _taken(name)
        kept = await self._passwords.hash(wish.password, peer)
        user = User(new_user_id(), name, "user", house.now(), kept)
        caller = Caller(user, "session", peer)

        def write(connection: sqlite3.Connection) -> Limits:
            self._check_room(_how_many(connection))  # others may have come since
            limits = None
            if invitation is not None:
                limits = self._invitations.use(connection, invitation)
            limits = limits or house.settings.limits
            connection.execute(
                f"INSERT INTO users (id, name, password, role, created, {_LIMITS}) "
                "VALUES (?, ?, ?, 'user', ?, ?, ?, ?, ?)",
                (user.id, name, kept, user.created, *columns_of(limits)),
            )
            note(connection, user.created, caller, "user.register", user.id)
            return limits

        def follow(limits: Limits) -> None:
            user.limit(limits)
            house.directory.add_user(user)

        try:
            await house.writer.change(write, follow)
        except sqlite3.IntegrityError:
            raise _taken(name) from None
        except InvalidApiKey:
            self._was_wrong_invitation(peer)
            raise
        return await self._begin_session(user, peer)

    def _may_register(self, wish: Register, peer: str) -> str:
        """See that the policy lets one register; gives the name as it is kept.

        Nothing of this tells which names there are.
        """
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
                "(`aiplat users invite`). `aiplat register` asks for it at a terminal; else it is "
                "the second line of what is piped in.",
                param="invitation",
            )
        return name

    async def _invitation(self, wish: Register, peer: str) -> Secret | None:
        """The one that it comes with, if it holds; None where none is needed."""
        if self._house.settings.registration != "invite":
            return None
        try:
            given = take_apart(wish.invitation, "inv")
            await self._house.readers.read(
                lambda connection: self._invitations.look(connection, given)
            )
        except InvalidApiKey:
            self._was_wrong_invitation(peer)
            raise
        return given

    def _was_wrong_invitation(self, peer: str) -> None:
        self._by_peer.failed(peer)
        self._wrongs.saw("invitation", peer)

    def _check_pace(self, peer: str) -> None:
        settings = self._house.settings
        self._house.pace.take(
            Bound(f"registrations:{peer}", settings.registrations_per_peer,
                  "registrations from this machine", "accounts.registrations_per_peer"),
            Bound("registrations", settings.registrations_per_minute,
                  "registrations at this gateway", "accounts.registrations_per_minute"),
        )  # fmt: skip

    def _check_room(self, there: int) -> None:
        if there >= self._house.settings.max_users:
            raise PermissionDenied(
                f"This gateway has {self._house.settings.max_users} accounts, which is its bound "
                "(accounts.max_users)."
            )

    async def login(self, wish: Login, peer: str) -> SessionGrant:
        """Begin a session. A wrong name and a wrong password take as long and say the same."""
        name = wish.name.strip().lower()[:100]
        self._by_peer.check(peer)
        self._by_account.check(name)
        self._passwords.check_room(peer)  # who is not heard has not tried
        # Counted before the hash, and taken back after: who tries ten at once has tried ten times.
        counted = self._by_peer.failed(peer)
        self._by_account.failed(name)
        user = self._house.directory.named(name)
        kept = None if user is None else user.password
        if not await self._passwords.matches(kept, wish.password[:1024], peer) or user is None:
            self._wrongs.saw("password", peer)
            raise InvalidApiKey(
                "The name or the password is wrong. (The owner of the gateway's machine needs no "
                "log-in there: commands act for the operator.)"
            )
        # Of the peer this one alone: with an account of one's own, others' are not guessed faster.
        self._by_peer.take_back(peer, counted)
        self._by_account.succeeded(name)
        if user.disabled:
            raise disabled(user)
        self._house.pace.take(
            Bound(f"logins:{user.id}", self._house.settings.changes_per_minute,
                  f"log-ins of the account {user.name!r}", "accounts.changes_per_minute")
        )  # fmt: skip
        return await self._begin_session(user, peer)

    async def _begin_session(self, user: User, peer: str) -> SessionGrant:
        house = self._house
        now = house.now()
        whole, secret = new_secret("ses", house.gateway)
        expires = now + house.settings.session_days * 86_400
        session = Session(secret.id, user, secret.hash, now, expires)
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

        def follow(_: None) -> None:
            for one in gone:
                house.directory.remove_session(one)
            house.directory.add_session(session)

        await house.writer.change(write, follow)
        return SessionGrant(
            user=house.told(user), id=session.id, token=whole, expires=expires,
            gateway=house.gateway,
        )  # fmt: skip


def _how_many(connection: sqlite3.Connection) -> int:
    row = connection.execute("SELECT count(*) FROM users WHERE deleted IS NULL").fetchone()
    return int(row[0])


def _taken(name: str) -> InvalidRequest:
    return InvalidRequest(
        f"The name {clip(name)!r} is taken here: choose another, or log in (`aiplat login`).",
        param="name",
    )
