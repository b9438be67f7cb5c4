"""Registering and log-ins: what may be asked by who is not known yet, and what that may cost."""

from __future__ import annotations

import secrets
import sqlite3

from aiplat.accounts.callers import Caller
from aiplat.accounts.directory import LIMIT_COLUMNS, User, columns_of
from aiplat.accounts.house import House, note
from aiplat.accounts.invitations import Invitations
from aiplat.accounts.names import LOCAL_OPERATOR, user_name
from aiplat.accounts.pace import Bound
from aiplat.accounts.passwords import MAX_PASSWORD, MIN_PASSWORD, check_password
from aiplat.accounts.proving import Proving
from aiplat.accounts.refusals import disabled
from aiplat.accounts.secret_forms import Secret, take_apart
from aiplat.accounts.sessions import Sessions
from aiplat.control.accounts import Login, Nothing, Register
from aiplat.control.accounts import Session as SessionGrant
from aiplat.control.sessions import Policy
from aiplat.domain.accounts import Limits
from aiplat.domain.errors import InvalidApiKey, InvalidRequest, PermissionDenied, clip

_LIMITS = ", ".join(LIMIT_COLUMNS)


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
        proving: checks and hashes passwords.
        sessions: begins log-ins.
    """

    def __init__(
        self,
        house: House,
        invitations: Invitations,
        proving: Proving,
        sessions: Sessions,
    ) -> None:
        self._house = house
        self._invitations = invitations
        self._proving = proving
        self._sessions = sessions

    async def policy(self, wish: Nothing, peer: str) -> Policy:
        """Who may come, and what a password needs."""
        return Policy(
            gateway=self._house.gateway, registration=self._house.settings.registration,
            min_password=MIN_PASSWORD, max_password=MAX_PASSWORD,
        )  # fmt: skip

    async def register(self, wish: Register, peer: str) -> SessionGrant:
        """Make an account, by the operator's policy, and begin a session."""
        house = self._house
        name = self._may_register(wish, peer)
        check_password(wish.password)
        invitation = await self._invitation(wish, peer)
        self._proving.passwords.check_room(peer)
        self._check_pace(peer)
        self._check_room(len(house.directory.users))
        if name == LOCAL_OPERATOR or house.directory.named(name) is not None:
            raise _taken(name)
        kept = await self._proving.passwords.hash(wish.password, peer)
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
            self._proving.was_wrong("invitation", peer)
            raise
        return await self._sessions.begin(user, kept, peer, wish.label)

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
        self._proving.check_pace(peer)
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
            self._proving.was_wrong("invitation", peer)
            raise
        return given

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
        user = self._house.directory.named(name)
        proven = None if user is None else user.password
        if not await self._proving.proves(name, user, wish.password, peer) or user is None:
            raise InvalidApiKey(
                "The name or the password is wrong. (The owner of the gateway's machine needs no "
                "log-in there: commands act for the operator, and `aiplat open` opens the page.)"
            )
        if user.disabled:
            raise disabled(user)
        self._house.pace.take(
            Bound(f"logins:{user.id}", self._house.settings.changes_per_minute,
                  f"log-ins of the account {user.name!r}", "accounts.changes_per_minute")
        )  # fmt: skip
        return await self._sessions.begin(user, proven, peer, wish.label)


def _how_many(connection: sqlite3.Connection) -> int:
    row = connection.execute("SELECT count(*) FROM users WHERE deleted IS NULL").fetchone()
    return int(row[0])


def _taken(name: str) -> InvalidRequest:
    return InvalidRequest(
        f"The name {clip(name)!r} is taken here: choose another, or log in (`aiplat login`).",
        param="name",
    )
