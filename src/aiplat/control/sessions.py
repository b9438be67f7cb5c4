"""Log-ins of a person, passwords, and the one-time link to the page: messages.

They are asked as the others of `accounts.METHODS`, and hold by the same rules.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from aiplat.control.secrecy import Secretive

WEB = "web:"
"""Before the address of who sits at the page, where it stands for a peer."""

Registration = Literal["closed", "invite", "open"]


class SessionStatus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A log-in that holds, without its token.

    Arguments:
        label: what it was begun by, in that program's own words, such as ``aiplat login``.
        source: where from: a peer's id, ``web:`` and an address, or empty for this node's socket.
        last_used: to the minute; 0 for never since it began.
        current: whether it is the one that asks.
    """

    id: str
    created: int
    expires: int
    label: str = ""
    source: str = ""
    last_used: int = 0
    current: bool = False


class SessionsAsk(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One's log-ins; for operators those of a `user`."""

    user: str = ""


class SessionList(msgspec.Struct, frozen=True, kw_only=True):
    """The log-ins of an account that hold, the newest first."""

    user: str
    sessions: tuple[SessionStatus, ...]


class SessionEnd(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """End the log-in `id`, or with `others` all but the one that asks; for operators a `user`'s.

    Exactly one of the two is said.
    """

    id: str = ""
    others: bool = False
    user: str = ""


class PasswordChange(Secretive, frozen=True, kw_only=True):
    """Give one's account another password; its other log-ins end."""

    old: str
    new: str


class PasswordReset(Secretive, frozen=True, kw_only=True):
    """Give an account another password, as its operator; all its log-ins end."""

    name: str
    password: str


class OpenLink(Secretive, frozen=True, kw_only=True):
    """The code of a one-time link, shown once: whoever opens it first is the owner's log-in.

    It belongs behind the ``#`` of the page's ``/open``: what stands there is sent to nobody.
    """

    code: str
    expires: int
    gateway: str


class OpenRedeem(Secretive, frozen=True, kw_only=True, omit_defaults=True):
    """Begin the owner's session with the code of a link (`Login.label`)."""

    code: str
    label: str = ""


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """What one may know of a gateway before one is known to it.

    Arguments:
        gateway: its peer id.
        registration: who may make an account: nobody, who has a code, everyone.
        min_password, max_password: characters of a password.
    """

    gateway: str
    registration: Registration
    min_password: int
    max_password: int
