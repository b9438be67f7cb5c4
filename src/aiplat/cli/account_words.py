"""Accounts and keys in words and tables. What a gateway calls them is shown as text, clipped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiplat.cli import output
from aiplat.cli.amounts import about, exactly
from aiplat.cli.tables import Column
from aiplat.control.sessions import WEB
from aiplat.domain.errors import clip
from aiplat.domain.ids import PeerId, short

if TYPE_CHECKING:
    from aiplat.control.accounts import (
        AuditEntry,
        Invitation,
        KeyringState,
        KeyStatus,
        UserStatus,
        WhoAmI,
    )
    from aiplat.control.sessions import SessionStatus
    from aiplat.domain.accounts import Limits, RateState

_LONGEST_NAME = 24
_LONGEST_MODEL = 60
_LONGEST_LABEL = 60
_LONGEST_DETAIL = 100
_LONGEST_TARGET = 80
"""A key's id, with its name and whose it is."""
_MOST_NAMES = 8
_MARGIN = len("  this minute ")
_LATEST = 253_402_300_799
"""The last second that a date can be written for; a gateway may say any number."""


def when(seconds: int) -> str:
    """Write a time down, in UTC, as months and limits are counted; 0 is never."""
    import datetime

    if not seconds:
        return "never"
    if not 0 < seconds <= _LATEST:
        return "?"
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")


def _day(seconds: int) -> str:
    return when(seconds).removesuffix(" UTC")


def kept_in(where: str) -> str:
    """Say where this node keeps a secret."""
    return {"keyring": "the keyring", "file": "a file, in the clear"}.get(where, where)


def _name(text: str) -> str:
    return clip(text, _LONGEST_NAME)


def _names(names: tuple[str, ...], none: str) -> str:
    """A few of many names, in a row."""
    shown = [clip(name, _LONGEST_MODEL) for name in names[:_MOST_NAMES]]
    more = len(names) - len(shown)
    return ", ".join([*shown, *([f"{more} more"] if more else [])]) or none


def limits_text(limits: Limits) -> str:
    """Say what may be taken."""
    parts = [
        f"{exactly(value)} {what}"
        for value, what in (
            (limits.requests_per_minute, "requests/min"),
            (limits.tokens_per_minute, "tokens/min"),
            (limits.concurrent, "at once"),
            (limits.tokens_per_month, "tokens/month"),
        )
        if value is not None
    ]
    return ", ".join(parts) or "none"


def _rate(rate: RateState) -> str:
    parts = [
        f"{limit - left} of {limit} {what}"
        for limit, left, what in (
            (rate.requests_limit, rate.requests_remaining, "requests"),
            (rate.tokens_limit, rate.tokens_remaining, "tokens"),
        )
        if limit is not None and left is not None
    ]
    return ", ".join(parts)


def _lines(head: str, rows: list[tuple[str, str]], columns: int = 0) -> list[str]:
    """Write facts beside their names, broken between words where a terminal has `columns`."""
    import textwrap

    from aiplat.runtime.advice import with_home

    lines = [output.flat(head)]
    for name, text in rows:
        fact = f"  {name:<11} {with_home(output.flat(text))}"
        broken = columns > 2 * _MARGIN
        lines += textwrap.wrap(
            fact, columns, subsequent_indent=" " * _MARGIN, break_long_words=False,
            break_on_hyphens=False,
        ) if broken else [fact]  # fmt: skip
    return lines


def who_lines(me: WhoAmI, columns: int = 0) -> list[str]:
    """Who one is at a gateway, in lines for a terminal of `columns`; 0 for none."""
    right = {
        "operator": "this node's control socket: its owner needs no log-in",
        "session": f"a log-in{_until(me.expires)}",
        "key": f"the key {me.key.name if me.key else '?'}{_until(me.expires)}",
    }[me.by]
    has_room = not columns or columns >= _MARGIN + len(me.gateway)
    gateway = me.gateway if has_room else short(PeerId(me.gateway))
    rows = [("gateway", gateway), ("known by", right)]
    if me.by == "key":
        rows.append(("may", ", ".join(me.scopes) or "nothing"))
    if me.asks_by:
        rows.append(("asks by", me.asks_by))
    if me.key is not None:
        rows.append(("its limits", limits_text(me.key.limits)))
    rows.append(("limits", limits_text(me.user.limits)))
    rows.append(("used", f"{me.user.used_this_month} tokens this month"))
    if now := _rate(me.rate):
        rows.append(("this minute", now))
    return _lines(f"{me.user.name} ({_role(me.user)})", rows, columns)


def _until(seconds: int) -> str:
    return f", until {when(seconds)}" if seconds else ", which does not expire"


def _role(user: UserStatus) -> str:
    return f"{user.role}{', disabled' if user.disabled else ''}"


def key_lines(key: KeyStatus, columns: int = 0) -> list[str]:
    """A key, in lines for a terminal of `columns`, 0 for none; its secret is nowhere."""
    rows = [
        ("id", key.id),
        ("state", key.state),
        ("of", key.user),
        ("may", ", ".join(key.scopes)),
        ("models", _names(key.models, "all")),
        ("limits", limits_text(key.limits)),
        ("made", when(key.created)),
        ("expires", when(key.expires)),
        ("last used", when(key.last_used)),
        ("used", f"{key.used_this_month} tokens this month"),
    ]
    if key.revoked:
        rows.append(("revoked", when(key.revoked)))
    rows.append(("kept", f"in {kept_in(key.kept)}" if key.kept else "not by this node"))
    return _lines(key.name, rows, columns)


KEYS: tuple[Column[KeyStatus], ...] = (
    Column("name", 0, lambda k: _name(k.name)),
    Column("id", 2, lambda k: k.id),
    Column("state", 0, lambda k: k.state),
    Column("expires", 1, lambda k: _day(k.expires)),
    Column("last used", 3, lambda k: _day(k.last_used)),
    Column("tokens/month", 4, lambda k: about(k.used_this_month), right=True),
    Column("may", 6, lambda k: ", ".join(k.scopes), breaks=True),
    Column("models", 5, lambda k: _names(k.models, "all"), breaks=True),
    Column("limits", 7, lambda k: limits_text(k.limits), breaks=True),
    Column("kept", 8, lambda k: _name(k.kept)),
)
KEYS_OF_ALL: tuple[Column[KeyStatus], ...] = (
    KEYS[0],
    Column("of", 0, lambda k: _name(k.user)),
    *KEYS[1:],
)
USERS: tuple[Column[UserStatus], ...] = (
    Column("name", 0, lambda u: _name(u.name)),
    Column("role", 0, lambda u: u.role),
    Column("state", 1, lambda u: "disabled" if u.disabled else "active"),
    Column("tokens/month", 2, lambda u: about(u.used_this_month), right=True),
    Column("keys", 3, lambda u: str(u.keys), right=True),
    Column("limits", 4, lambda u: limits_text(u.limits), breaks=True),
    Column("made", 5, lambda u: _day(u.created)),
)
INVITATIONS: tuple[Column[Invitation], ...] = (
    Column("id", 0, lambda i: clip(i.id, _LONGEST_NAME)),
    Column("uses left", 0, lambda i: str(i.uses), right=True),
    Column("until", 1, lambda i: _day(i.expires)),
    Column("limits", 2, lambda i: "" if i.limits is None else limits_text(i.limits), breaks=True),
    Column("made", 3, lambda i: _day(i.created)),
)
AUDIT: tuple[Column[AuditEntry], ...] = (
    Column("when (UTC)", 0, lambda e: _day(e.at)),
    Column("who", 0, lambda e: _name(e.actor)),
    Column("did", 0, lambda e: _name(e.action)),
    Column("to", 0, lambda e: clip(e.target, _LONGEST_TARGET), breaks=True),
    Column("detail", 2, lambda e: clip(e.detail, _LONGEST_DETAIL), breaks=True),
    Column("from", 3, lambda e: from_where(e.peer)),
)
SESSIONS: tuple[Column[SessionStatus], ...] = (
    Column("id", 0, lambda s: clip(s.id, _LONGEST_NAME)),
    Column("by", 0, lambda s: clip(s.label, _LONGEST_LABEL) or "?"),
    Column("from", 2, lambda s: from_where(s.source)),
    Column("last used (UTC)", 1, lambda s: _day(s.last_used)),
    Column("begun", 4, lambda s: _day(s.created)),
    Column("until", 3, lambda s: _day(s.expires)),
    Column("this", 1, lambda s: "yes" if s.current else ""),
)


def from_where(peer: str) -> str:
    """Say where something was asked from: a peer, an address before the page, or here."""
    if peer.startswith(WEB):
        return f"web {clip(peer.removeprefix(WEB), _LONGEST_NAME)}".strip()
    return f"…{peer[-8:]}" if peer else "here"


def keyring_lines(state: KeyringState, columns: int = 0, *, environment: bool) -> list[str]:
    """Where secrets are kept, in lines.

    Arguments:
        columns: of the terminal; 0 for none.
        environment: whether ``AIPLAT_API_KEY`` is set.
    """
    rows = [("usable", "yes" if state.usable else "no")]
    rows += [("because", state.reason)] if state.reason else []
    rows += [("to do", state.mend)] if state.mend else []
    rows += [("keeps", line) for line in state.held] or [("keeps", "nothing")]
    if state.insecure:
        rows.append(("in clear", f"{state.insecure} of these lie in a file that is not encrypted"))
    if environment:
        rows.append(("besides", "AIPLAT_API_KEY is set: `aiplat ask` shows that key, not these"))
    return _lines(f"keyring: {state.backend or 'none'}", rows, columns)
