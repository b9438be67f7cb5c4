"""What all parts of the accounts share, and the audit log that each change is written into."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field

from aiplat.accounts.callers import Caller
from aiplat.accounts.directory import Directory, Key, User
from aiplat.accounts.limits.limiter import Limiter
from aiplat.accounts.meter import Lease
from aiplat.accounts.names import key_name
from aiplat.accounts.pace import Pace
from aiplat.accounts.readers import Readers
from aiplat.accounts.secret_forms import id_of
from aiplat.accounts.settings import AccountsSettings
from aiplat.accounts.writer import Writer
from aiplat.control.accounts import UserStatus
from aiplat.domain.errors import AiplatError, InvalidRequest, PermissionDenied, clip

Ends = Callable[[Callable[[Lease], bool], AiplatError], None]


def _ends_nothing(which: Callable[[Lease], bool], error: AiplatError) -> None:
    """Nobody runs requests yet."""


def _tells_nobody(user: str) -> None:
    """Nobody keeps anything of a user's besides."""


@dataclass
class House:
    """The parts.

    Arguments:
        gateway: its peer id.
        wall: seconds since 1970 (UTC).
        ends: ends the requests under way that are meant, with an error.
        deleted: told the id of a user whose account was deleted.
    """

    gateway: str
    settings: AccountsSettings
    directory: Directory
    writer: Writer
    limiter: Limiter
    readers: Readers
    pace: Pace
    wall: Callable[[], float]
    ends: Ends = field(default=_ends_nothing)
    deleted: Callable[[str], None] = field(default=_tells_nobody)

    def now(self) -> int:
        """The time of day, in seconds since 1970 (UTC)."""
        return int(self.wall())

    def user(self, name: str) -> User:
        """The account of that name.

        Raises:
            InvalidRequest: there is none.
        """
        found = self.directory.named(name.strip().lower())
        if found is None:
            raise InvalidRequest(
                f"There is no account {clip(name)!r} here. `aiplat users list` shows them.",
                param="name",
            )
        return found

    def key(self, text: str, user: User) -> Key:
        """A key of that user by its id or its name; the one that holds comes before older ones.

        A whole key stands for its id: what was pasted somewhere is what a person has in hand who
        wants it revoked.

        Raises:
            InvalidRequest: it has none such.
        """
        by_id = user.keys.get(id_of(text, "sk") or text)
        if by_id is not None:
            return by_id
        named = _named(text, user)
        if not named:
            raise InvalidRequest(
                f"The account {user.name!r} has no key {clip(text)!r}. `aiplat keys list` shows "
                "them.",
                param="key",
            )
        return min(named, key=lambda key: (bool(key.revoked), bool(key.replaced_by), -key.created))

    def whose(self, caller: Caller, name: str) -> User:
        """The account that is meant: one's own, or for operators another.

        Raises:
            InvalidRequest: there is none of that name.
        """
        if not name or name.strip().lower() == caller.user.name:
            return caller.user
        _check_operator(caller, name)
        return self.user(name)

    def used_this_month(self, subject: str) -> int:
        """Tokens of a subject of the limiter's in this month."""
        return self.limiter.used_this_month(subject)

    def told(self, user: User) -> UserStatus:
        """An account, as it is shown."""
        return UserStatus(
            id=user.id, name=user.name, role=user.role, disabled=user.disabled,
            created=user.created, limits=user.limits,
            keys=sum(not key.revoked for key in user.keys.values()),
            used_this_month=self.used_this_month(user.subject.id), local=user.is_local,
        )  # fmt: skip


def _named(text: str, user: User) -> list[Key]:
    """Those of one name, as names are compared."""
    try:
        _, folded = key_name(text)
    except InvalidRequest:
        return []
    return [key for key in user.keys.values() if key.folded == folded]


def _check_operator(caller: Caller, name: str) -> None:
    if not caller.is_operator:
        raise PermissionDenied(
            f"Only an operator of the gateway may do that for another ({clip(name)!r}), and "
            f"{caller.user.name!r} is none, or shows a key without the scope admin."
        )


def is_there(connection: sqlite3.Connection, user: User, *, enabled: bool = False) -> bool:
    """Whether an account is not deleted (nor disabled), as of the transaction that asks."""
    found = connection.execute(
        "SELECT disabled FROM users WHERE id = ? AND deleted IS NULL", (user.id,)
    ).fetchone()
    return found is not None and not (enabled and found[0])


def note(
    connection: sqlite3.Connection,
    now: int,
    caller: Caller,
    action: str,
    target: str = "",
    detail: str = "",
) -> None:
    """Write into the audit log, in the transaction of what was done. Ids, never names of people."""
    connection.execute(
        "INSERT INTO audit (at, actor, action, target, detail, peer) VALUES (?, ?, ?, ?, ?, ?)",
        (now, caller.user.id, action, target, detail, caller.peer),
    )
