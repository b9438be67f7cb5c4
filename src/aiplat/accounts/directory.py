"""All users, keys and sessions in memory: what a request is let in by, without a look at the disk.

The database is what holds; this follows each change once it is written. One node has the database
(its home is locked), so nobody else changes it meanwhile.
"""

from __future__ import annotations

import functools
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import msgspec

from aiplat.accounts.limits.limiter import Subject
from aiplat.accounts.names import LOCAL_OPERATOR
from aiplat.domain.accounts import UNLIMITED, Limits, Scope, UserRole

LIMIT_COLUMNS = Limits.__struct_fields__
_SCOPES = msgspec.json.Decoder(tuple[Scope, ...])
_MODELS = msgspec.json.Decoder(tuple[str, ...])


@dataclass(slots=True)
class User:
    """An account. `password` is a hash; None for the local operator, whom no password lets in."""

    id: str
    name: str
    role: UserRole
    created: int
    password: str | None = None
    disabled: bool = False
    limits: Limits = UNLIMITED
    keys: dict[str, Key] = field(default_factory=dict)
    sessions: dict[str, Session] = field(default_factory=dict)
    subject: Subject = field(init=False)

    def __post_init__(self) -> None:
        """Know whose limits these are."""
        self.limit(self.limits)

    def limit(self, limits: Limits) -> None:
        """Have these limits from now on."""
        self.limits = limits
        self.subject = Subject(f"user:{self.id}", f"the user {self.name!r}", limits)

    @property
    def is_operator(self) -> bool:
        """Whether it may do operators' things."""
        return self.role == "operator"

    @property
    def is_local(self) -> bool:
        """Whether it is the owner of the gateway's machine."""
        return self.name == LOCAL_OPERATOR


@dataclass(slots=True)
class Key:
    """A key, by its hash. Times are in seconds since 1970 (UTC), 0 for never.

    `counts_as` names the first of those that took each other's place: they have its limits between
    them, so that rotating a key gives nobody more.
    """

    id: str
    user: User
    name: str
    folded: str
    hash: bytes
    scopes: tuple[Scope, ...]
    models: tuple[str, ...]
    created: int
    expires: int = 0
    revoked: int = 0
    replaced_by: str = ""
    last_used: int = 0
    limits: Limits = UNLIMITED
    counts_as: str = ""
    subjects: tuple[Subject, ...] = ()

    def __post_init__(self) -> None:
        """Know whose limits hold for it."""
        self.counts_as = self.counts_as or self.id
        self.follow()

    def follow(self) -> None:
        """Take up the limits that its user has now."""
        own = Subject(f"key:{self.counts_as}", f"the key {self.name!r}", self.limits)
        self.subjects = (own, self.user.subject)


@dataclass(slots=True)
class Session:
    """A log-in, by the hash of its token.

    `label` says by what it was begun, `source` from where, as `SessionStatus` has it.
    """

    id: str
    user: User
    hash: bytes
    created: int
    expires: int
    label: str = ""
    source: str = ""
    last_used: int = 0


class Directory:
    """Everyone, by what they are found by."""

    def __init__(self) -> None:
        self.users: dict[str, User] = {}
        self.keys: dict[str, Key] = {}
        self.sessions: dict[str, Session] = {}
        self._by_name: dict[str, User] = {}

    def load(self, connection: sqlite3.Connection) -> None:
        """Read all that is; blocking: 100,000 keys take about a second."""
        limits = ", ".join(LIMIT_COLUMNS)
        for row in connection.execute(
            f"SELECT id, name, role, created, password, disabled, {limits} FROM users "
            "WHERE deleted IS NULL"
        ):
            self.add_user(_user(*row))
        for row in connection.execute(
            "SELECT id, user, name, folded, hash, scopes, models, created, expires, revoked, "
            f"replaced_by, last_used, {limits} FROM keys"
        ):
            user = self.users.get(row[1])
            if user is not None:
                self.add_key(_key(user, *row))
        self._join_rotated()
        for row in connection.execute(
            "SELECT id, user, hash, created, expires, label, peer, last_used FROM sessions"
        ):
            user = self.users.get(row[1])
            if user is not None:
                self.add_session(Session(row[0], user, *row[2:]))

    def _join_rotated(self) -> None:
        before = {key.replaced_by: key for key in self.keys.values() if key.replaced_by}
        for key in self.keys.values():
            first, seen = key, {key.id}
            while (earlier := before.get(first.id)) is not None and earlier.id not in seen:
                first = earlier
                seen.add(first.id)
            if first is not key:
                key.counts_as = first.id
                key.follow()

    @property
    def owner(self) -> User:
        """The account of whoever owns the gateway's machine."""
        return self._by_name[LOCAL_OPERATOR]

    def __iter__(self) -> Iterator[User]:
        return iter(self.users.values())

    def named(self, name: str) -> User | None:
        """The account of that name, as it is kept."""
        return self._by_name.get(name)

    def add_user(self, user: User) -> None:
        """A new account."""
        self.users[user.id] = user
        self._by_name[user.name] = user

    def remove_user(self, user: User) -> None:
        """An account is gone, with its keys and sessions."""
        for key in list(user.keys.values()):
            self.remove_key(key)
        for session in list(user.sessions.values()):
            self.remove_session(session)
        self.users.pop(user.id, None)
        self._by_name.pop(user.name, None)

    def add_key(self, key: Key) -> None:
        """A new key."""
        self.keys[key.id] = key
        key.user.keys[key.id] = key

    def remove_key(self, key: Key) -> None:
        """A key that nobody is told of any more."""
        self.keys.pop(key.id, None)
        key.user.keys.pop(key.id, None)

    def add_session(self, session: Session) -> None:
        """A new log-in."""
        self.sessions[session.id] = session
        session.user.sessions[session.id] = session

    def remove_session(self, session: Session) -> None:
        """A log-in that ended."""
        self.sessions.pop(session.id, None)
        session.user.sessions.pop(session.id, None)


def _user(
    number: str,
    name: str,
    role: UserRole,
    created: int,
    password: str | None,
    disabled: int,
    *limits: int | None,
) -> User:
    return User(
        number, name, role, created, password, disabled=bool(disabled), limits=limits_of(limits)
    )


def _key(
    user: User,
    number: str,
    _: str,
    name: str,
    folded: str,
    digest: bytes,
    scopes: str,
    models: str,
    created: int,
    expires: int,
    revoked: int,
    replaced_by: str,
    last_used: int,
    *limits: int | None,
) -> Key:
    return Key(
        number, user, name, folded, digest, _scopes_of(scopes), _MODELS.decode(models), created,
        expires, revoked, replaced_by, last_used, limits_of(limits),
    )  # fmt: skip


def limits_of(columns: Iterable[int | None]) -> Limits:
    """Limits from their columns, in the order of `LIMIT_COLUMNS`; equal ones are mostly one."""
    return _limits_of(tuple(columns))


# Most accounts have the same limits and scopes as many others. Kept once they take less memory,
# and lie in the processor's cache when a request is let in.
@functools.lru_cache(maxsize=1024)
def _limits_of(columns: tuple[int | None, ...]) -> Limits:
    return Limits(**dict(zip(LIMIT_COLUMNS, columns, strict=True)))


@functools.lru_cache(maxsize=64)
def _scopes_of(text: str) -> tuple[Scope, ...]:
    return _SCOPES.decode(text)


def columns_of(limits: Limits) -> tuple[int | None, ...]:
    """The other way."""
    return tuple(getattr(limits, name) for name in LIMIT_COLUMNS)
