"""The columns of the four tables: keys, users, invitations, the audit log."""

from __future__ import annotations

from typing import ClassVar

from aiplat.control.accounts import AuditEntry, Invitation, KeyStatus, UserStatus
from aiplat.domain.amounts import about
from aiplat.tui.clock import Clock
from aiplat.tui.keys import words
from aiplat.tui.table import Column, LiveTable
from aiplat.tui.text import cut, flat

_STATES = ("active", "rotated", "expired", "revoked")
_NEVER = float("inf")


class KeysTable(LiveTable[KeyStatus]):
    """Keys; whose they are is told where they are of several."""

    of_all: bool = False

    HIDDEN: ClassVar[str] = "of"

    def _wanted(self) -> list[Column[KeyStatus]]:
        return [column for column in super()._wanted() if self.of_all or column.key != self.HIDDEN]


def key_columns(clock: Clock) -> tuple[Column[KeyStatus], ...]:
    """Of keys, the most important first."""
    return (
        Column("name", "Name", lambda k: words.name(k.name)),
        Column("of", "Of", lambda k: words.name(k.user)),
        Column("state", "State", words.key_state, sort=lambda k: _STATES.index(k.state)),
        Column("used", "Month", lambda k: about(k.used_this_month),
               sort=lambda k: k.used_this_month, right=True, falls=True),
        Column("last", "Last used", lambda k: words.ago(k.last_used, clock),
               sort=lambda k: k.last_used, falls=True),
        Column("expires", "Expires", lambda k: words.ends(k.expires, clock),
               sort=lambda k: k.expires or _NEVER, least=78),
        Column("kept", "Kept", words.key_kept, least=78),
        Column("id", "Id", words.key_id, least=96),
        Column("may", "May", lambda k: ", ".join(k.scopes), least=118),
        Column("models", "Models", lambda k: cut(words.names(k.models, "all"), 28),
               least=130),
        Column("limits", "Limits", lambda k: words.limits_text(k.limits), width=12,
               least=140, grows=True),
    )  # fmt: skip


def user_columns(clock: Clock) -> tuple[Column[UserStatus], ...]:
    """Of accounts; who used most comes first."""
    return (
        Column("name", "Name", lambda u: words.name(u.name)),
        Column("role", "Role", lambda u: (u.role, "accent") if u.role == "operator" else u.role),
        Column("state", "State", words.user_state),
        Column("used", "Month", lambda u: about(u.used_this_month),
               sort=lambda u: u.used_this_month, right=True, falls=True),
        Column("keys", "Keys", lambda u: str(u.keys), sort=lambda u: u.keys, right=True,
               falls=True),
        Column("limits", "Limits", lambda u: words.limits_text(u.limits), width=12,
               least=96, grows=True),
        Column("made", "Made", lambda u: words.when(u.created, clock), sort=lambda u: u.created,
               least=140, falls=True),
    )  # fmt: skip


def invitation_columns(clock: Clock) -> tuple[Column[Invitation], ...]:
    """Of invitations; those that end first come first."""
    return (
        Column("id", "Id", lambda i: cut(flat(i.id), 24)),
        Column("uses", "Uses left", lambda i: str(i.uses), sort=lambda i: i.uses, right=True),
        Column("until", "Until", lambda i: words.ends(i.expires, clock), sort=lambda i: i.expires),
        Column("limits", "Limits", words.invitation_limits, width=12, least=96, grows=True),
        Column("made", "Made", lambda i: words.when(i.created, clock), sort=lambda i: i.created,
               least=78, falls=True),
    )  # fmt: skip


Entry = tuple[int, AuditEntry]
"""An entry with its place: two may be alike."""


def audit_columns(clock: Clock) -> tuple[Column[Entry], ...]:
    """Of the audit log, the newest first."""
    return (
        Column("at", "When", lambda e: words.when(e[1].at, clock), sort=lambda e: e[0], falls=True),
        Column("who", "Who", lambda e: cut(flat(e[1].actor), 16)),
        Column("did", "Did", lambda e: cut(flat(e[1].action), 20)),
        Column("to", "To", lambda e: cut(flat(e[1].target), 28), least=78),
        Column("from", "From", lambda e: words.audit_from(e[1]), least=96),
        Column("detail", "Detail", lambda e: flat(e[1].detail), width=12, least=118, grows=True),
    )  # fmt: skip
