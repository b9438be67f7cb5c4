"""What may be asked about accounts, of one's own gateway or of another's: messages and methods.

The same structs travel over the control socket (JSON) and over a channel (MessagePack, in a
`Call`). Fields are append-only, each new one with a default. Times of day are in seconds since
1970 (UTC). What holds a password or a key is never logged: its repr leaves it out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import msgspec

from aiplat.control.messages import Done
from aiplat.control.running import SettingList, SettingName, SettingsAsk, SettingStatus, SettingWish
from aiplat.control.secrecy import Secretive
from aiplat.control.sessions import (
    OpenLink,
    OpenRedeem,
    PasswordChange,
    PasswordReset,
    Policy,
    SessionEnd,
    SessionList,
    SessionsAsk,
)
from aiplat.domain.accounts import UNLIMITED, Limits, RateState, Scope, UserRole

UsageBy = Literal["model", "key", "day", "peer"]
MAX_SINCE = 366 * 86_400


class Nothing(msgspec.Struct, frozen=True, kw_only=True):
    """A question without more to say."""


# -- users ---------------------------------------------------------------------------------------


class Register(Secretive, frozen=True, kw_only=True, omit_defaults=True):
    """Make an account; `invitation` is the code that an operator gave (`Login.label`)."""

    name: str
    password: str
    invitation: str = ""
    label: str = ""


class Login(Secretive, frozen=True, kw_only=True, omit_defaults=True):
    """Begin a session. `label` says by what, such as ``aiplat login``, for the list of them."""

    name: str
    password: str
    label: str = ""


class UserStatus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An account. `limits` are its own, over all its keys; `used_this_month` in tokens."""

    id: str
    name: str
    role: UserRole = "user"
    disabled: bool = False
    created: int = 0
    limits: Limits = UNLIMITED
    keys: int = 0
    used_this_month: int = 0
    local: bool = False


class Session(Secretive, frozen=True, kw_only=True, omit_defaults=True):
    """A session that began. `kept` says where its token was put, and is empty over a channel."""

    user: UserStatus
    id: str
    token: str
    expires: int
    gateway: str
    kept: str = ""


class WhoAmI(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who one is at a gateway.

    Arguments:
        by: by which right: this node's operator at its own socket, a session, or a key.
        key: the key's id and name, where it is a key.
        rate: how far the limits of a minute are used.
        asks_by: the key that is kept here and that prompts to that gateway go with, in words;
            empty where none is.
    """

    gateway: str
    user: UserStatus
    by: Literal["operator", "session", "key"]
    key: KeyStatus | None = None
    scopes: tuple[Scope, ...] = ()
    expires: int = 0
    rate: RateState = RateState()
    asks_by: str = ""


class UserList(msgspec.Struct, frozen=True, kw_only=True):
    """The accounts of a gateway, those first that used most this month; `more` beyond the bound."""

    users: tuple[UserStatus, ...]
    more: int = 0


class UserName(msgspec.Struct, frozen=True, kw_only=True):
    """An account by its name."""

    name: str


class UserInvite(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Make a code with which `uses` people may register; they get these limits."""

    expires_seconds: int = 7 * 86_400
    uses: int = 1
    limits: Limits | None = None


class UserInvitation(Secretive, frozen=True, kw_only=True):
    """A code, shown once. `is_closed`: the gateway's policy lets nobody use it as yet."""

    code: str
    expires: int
    uses: int
    gateway: str
    id: str = ""
    is_closed: bool = False


class Invitation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One that holds, without its code; `uses` are left. None are the gateway's own limits."""

    id: str
    created: int
    expires: int
    uses: int
    limits: Limits | None = None


class InvitationList(msgspec.Struct, frozen=True, kw_only=True):
    """Invitations, the newest first; older ones are left out where it `is_cut`."""

    invitations: tuple[Invitation, ...]
    is_cut: bool = False


class InvitationName(Secretive, frozen=True, kw_only=True):
    """One invitation, by its id or its whole code."""

    id: str


class LimitsWish(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What of an account's limits shall be otherwise: None leaves one, 0 takes it away."""

    name: str
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrent: int | None = None
    tokens_per_month: int | None = None


class RoleWish(msgspec.Struct, frozen=True, kw_only=True):
    """Make an account an operator's, or a user's again."""

    name: str
    role: UserRole


class AuditAsk(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The newest entries of the audit log, at most `most`; those about `name` alone, if given."""

    most: int = 100
    name: str = ""


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who did what to whom, when, from which peer.

    `peer` is empty at the control socket; before the page it is ``web:`` and an address.
    """

    at: int
    actor: str
    action: str
    target: str = ""
    detail: str = ""
    peer: str = ""


class AuditLog(msgspec.Struct, frozen=True, kw_only=True):
    """Entries of the audit log, the newest first."""

    entries: tuple[AuditEntry, ...]


# -- keys ----------------------------------------------------------------------------------------


class KeyWish(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Make a key.

    Arguments:
        name: one's own name for it, once among one's keys.
        models: those it may ask; none named means all.
        expires_seconds: how long it holds; None for ever.
        user: whose it shall be; an operator may name another than itself.
        store: whether the node that the face speaks to keeps it, in the OS keyring.
        insecure: whether it may keep it in a file, in the clear, without a keyring.
    """

    name: str
    scopes: tuple[Scope, ...] = ("inference",)
    models: tuple[str, ...] = ()
    expires_seconds: int | None = None
    limits: Limits = UNLIMITED
    user: str = ""
    store: bool = False
    insecure: bool = False


class KeyStatus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A key, without its secret.

    Arguments:
        state: ``rotated`` holds until `expires`, beside the one that took its place.
        expires: 0 for never.
        last_used: to the minute; 0 for never.
        kept: whether the node that the face speaks to keeps the secret, and where.
    """

    id: str
    name: str
    user: str
    scopes: tuple[Scope, ...]
    state: Literal["active", "rotated", "expired", "revoked"] = "active"
    models: tuple[str, ...] = ()
    created: int = 0
    expires: int = 0
    revoked: int = 0
    last_used: int = 0
    limits: Limits = UNLIMITED
    used_this_month: int = 0
    kept: str = ""


class NewKey(Secretive, frozen=True, kw_only=True, omit_defaults=True):
    """A key that was made, whole, this once.

    `kept` says where the node put it; empty for nowhere, and `not_kept` then why, if it should.
    """

    id: str
    name: str
    key: str
    status: KeyStatus
    gateway: str
    kept: str = ""
    not_kept: str = ""


class KeysAsk(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One's keys; for operators of all, or of one `user`. Without `ended` those that hold."""

    user: str = ""
    everyone: bool = False
    ended: bool = False


class KeyList(msgspec.Struct, frozen=True, kw_only=True):
    """Keys, the newest first. `more` are there beyond the bound."""

    keys: tuple[KeyStatus, ...]
    more: int = 0


class KeyName(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A key by its id, or by its name among one's own (or, for operators, a user's)."""

    key: str
    user: str = ""


class KeyRotate(KeyName, frozen=True, kw_only=True, omit_defaults=True):
    """Put a new secret in a key's place; the old one holds for `overlap_seconds` beside it."""

    overlap_seconds: int = 86_400
    store: bool = False
    insecure: bool = False


# -- usage ---------------------------------------------------------------------------------------


class UsageAsk(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One's usage of the last `since_seconds`; for operators of all, or of one `user`."""

    since_seconds: int = 7 * 86_400
    by: UsageBy = "day"
    user: str = ""
    everyone: bool = False


class UsageRow(msgspec.Struct, frozen=True, kw_only=True):
    """What a model, key, day (``2026-11-26``, UTC) or peer came to. `errors` are of `requests`.

    `id` is a key's (one that was rotated has a row for each secret), or whose it was without one.
    """

    name: str
    id: str = ""
    requests: int = 0
    errors: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0


class UsageReply(msgspec.Struct, frozen=True, kw_only=True):
    """Rows and their sum. `since` is where it begins: the hour, or from two days on the day."""

    rows: tuple[UsageRow, ...]
    total: UsageRow
    by: UsageBy
    since: int
    until: int
    left_out: int = 0


# -- the store -----------------------------------------------------------------------------------


class BackupWish(msgspec.Struct, frozen=True, kw_only=True):
    """Copy the accounts' database to `path`, absolute, on the gateway's machine."""

    path: str


class StoreCheck(msgspec.Struct, frozen=True, kw_only=True):
    """What a check of the database found; `problems` is empty when it is whole."""

    path: str
    bytes: int
    users: int
    keys: int
    events: int
    problems: tuple[str, ...] = ()


# -- credentials of this node --------------------------------------------------------------------


class KeyringState(msgspec.Struct, frozen=True, kw_only=True):
    """Where secrets are kept: `aiplat keys doctor`.

    Arguments:
        backend: the keyring's name; empty where there is none.
        reason: why it cannot be used; empty when it can.
        mend: what to do.
        held: what is kept, a line each; never a secret.
        insecure: how many of these lie in a file, in the clear.
    """

    backend: str
    usable: bool
    reason: str = ""
    mend: str = ""
    held: tuple[str, ...] = ()
    insecure: int = 0


# -- methods -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Method:
    """One thing that may be asked.

    Arguments:
        name: on the wire, behind ``accounts.``; for ever.
        wish, reply: what is sent each way.
        need: who may: anybody, who is known, or an operator.
        here: only at the gateway's own control socket.
        door: only at the gateway's own doors, and never over a channel.
    """

    name: str
    wish: type[msgspec.Struct]
    reply: type[msgspec.Struct]
    need: Literal["nobody", "user", "operator"]
    here: bool = False
    door: bool = False


METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method("register", Register, Session, "nobody"),
        Method("login", Login, Session, "nobody"),
        Method("policy", Nothing, Policy, "nobody"),
        Method("open.redeem", OpenRedeem, Session, "nobody", door=True),
        Method("logout", Nothing, Done, "user"),
        Method("whoami", Nothing, WhoAmI, "user"),
        Method("sessions.list", SessionsAsk, SessionList, "user"),
        Method("sessions.end", SessionEnd, Done, "user"),
        Method("password.change", PasswordChange, Done, "user"),
        Method("keys.create", KeyWish, NewKey, "user"),
        Method("keys.list", KeysAsk, KeyList, "user"),
        Method("keys.show", KeyName, KeyStatus, "user"),
        Method("keys.rotate", KeyRotate, NewKey, "user"),
        Method("keys.revoke", KeyName, Done, "user"),
        Method("usage", UsageAsk, UsageReply, "user"),
        Method("users.list", Nothing, UserList, "operator"),
        Method("users.invite", UserInvite, UserInvitation, "operator"),
        Method("users.invitations", Nothing, InvitationList, "operator"),
        Method("users.uninvite", InvitationName, Done, "operator"),
        Method("users.disable", UserName, Done, "operator"),
        Method("users.enable", UserName, Done, "operator"),
        Method("users.limits", LimitsWish, Done, "operator"),
        Method("users.role", RoleWish, Done, "operator"),
        Method("users.delete", UserName, Done, "operator"),
        Method("users.password", PasswordReset, Done, "operator"),
        Method("users.audit", AuditAsk, AuditLog, "operator"),
        Method("settings.list", SettingsAsk, SettingList, "operator"),
        Method("settings.set", SettingWish, SettingStatus, "operator"),
        Method("settings.reset", SettingName, SettingStatus, "operator"),
        Method("open", Nothing, OpenLink, "operator", here=True),
        Method("db.backup", BackupWish, Done, "operator", here=True),
        Method("db.check", Nothing, StoreCheck, "operator", here=True),
    )
}


class AccountsCall(Secretive, frozen=True, kw_only=True, omit_defaults=True):
    """What a face asks of its node: a method, its wish as JSON, and at which gateway.

    Arguments:
        gateway: a peer id, its last characters, or a multiaddr; empty for this node's own, or the
            one that the person is known at.
        insecure: whether a session may be kept in a file, in the clear, without a keyring.
    """

    method: str
    wish: msgspec.Raw = msgspec.Raw(b"{}")
    gateway: str = ""
    insecure: bool = False
