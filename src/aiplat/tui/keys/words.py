"""Accounts, keys and where secrets are kept, in words and signs. Knows no widget.

What a gateway calls things is text: `flat` goes over it here, and the widgets make no markup of it.
Each sign has a word beside it, so that nothing is said by colour alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from aiplat.control.accounts import (
    AuditEntry,
    Invitation,
    KeyringState,
    KeyStatus,
    NewKey,
    UserInvitation,
    UserStatus,
    WhoAmI,
)
from aiplat.control.sessions import WEB
from aiplat.domain.accounts import Limits, RateState
from aiplat.domain.amounts import about, exactly
from aiplat.domain.ids import short
from aiplat.tui.clock import Clock
from aiplat.tui.keys.faults import in_screen_words
from aiplat.tui.text import cut, flat

_LONGEST_ADDRESS = 24
"""Of who sat at the page: an IPv6 network of 64 bits."""

Span = tuple[str, str]
"""A text, and its colour's name of the theme; empty for none."""

SOON: Final = 7 * 86_400
"""Seconds before its end that a key is marked."""
_MUTED: Final = "text-muted"
_LATEST: Final = 253_402_300_799
"""The last second that a date can be written for; a gateway may say any number."""
_BAR: Final = 16
_NAME: Final = 24
_MOST_NAMES: Final = 8


@dataclass(frozen=True)
class Row:
    """A fact: what it is called, and its text in pieces.

    Arguments:
        essential: whether it is shown where there is room for three lines only.
    """

    label: str
    spans: tuple[Span, ...]
    essential: bool = False

    @property
    def text(self) -> str:
        """The pieces as one text."""
        return "".join(text for text, _ in self.spans)


def fact(label: str, text: str, *, essential: bool = False) -> Row:
    """A fact without colours."""
    return Row(label, ((flat(text), ""),), essential)


# -- times and amounts ---------------------------------------------------------------------------


def when(at: int, clock: Clock) -> str:
    """A time on the wall; 0 is never."""
    if not at:
        return "never"
    if not 0 < at <= _LATEST - 2 * 86_400:  # a zone may move it over the end
        return "?"
    return clock.local(at).strftime("%Y-%m-%d %H:%M")


def ago(at: int, clock: Clock) -> str:
    """How long ago something was, to the minute; after two days the date."""
    if not at:
        return "never"
    minutes = round(clock.now() - at) // 60
    if minutes < 1:
        return "just now"
    if minutes < 60:
        return f"{minutes} m ago"
    if minutes < 48 * 60:
        return f"{minutes // 60} h ago"
    return when(at, clock).partition(" ")[0]


def ends(at: int, clock: Clock) -> Span:
    """When something ends, marked where that is soon."""
    if not at:
        return "never", ""
    left = at - clock.now()
    if left <= 0:
        return when(at, clock).partition(" ")[0], _MUTED
    if left > SOON:
        return when(at, clock).partition(" ")[0], ""
    if left < 3600:
        return f"▲ in {max(1, round(left / 60))} m", "warning"
    if left < 2 * 86_400:
        return f"▲ in {left / 3600:.0f} h", "warning"
    return f"▲ in {left / 86_400:.0f} d", "warning"


def next_month(clock: Clock) -> datetime:
    """When the calendar month ends by which tokens are counted: in UTC."""
    now = datetime.fromtimestamp(clock.now(), UTC)
    year, month = (now.year + 1, 1) if now.month == 12 else (now.year, now.month + 1)
    return datetime(year, month, 1, tzinfo=UTC)


def limits_text(limits: Limits) -> str:
    """What may be taken, short."""
    parts = [
        f"{exactly(value)}{what}"
        for value, what in (
            (limits.requests_per_minute, " req/min"),
            (limits.tokens_per_minute, " tok/min"),
            (limits.concurrent, " at once"),
            (limits.tokens_per_month, " tok/month"),
        )
        if value is not None
    ]
    return " · ".join(parts) or "none"


def names(of: Sequence[str], none: str) -> str:
    """A few of many names, in a row."""
    shown = [cut(flat(name), 60) for name in of[:_MOST_NAMES]]
    more = len(of) - len(shown)
    return ", ".join([*shown, *([f"{more} more"] if more > 0 else [])]) or none


def name(text: str) -> str:
    """A name, as long as a column is wide."""
    return cut(flat(text), _NAME)


def kept_in(where: str) -> str:
    """Where this node keeps a secret."""
    return {"keyring": "the keyring", "file": "a file, in the clear"}.get(where, flat(where))


def bar(used: float, limit: float) -> tuple[Span, ...]:
    """How far something is used: heavy for what is, light for what is left."""
    share = min(1.0, max(0.0, used / limit)) if limit > 0 else 1.0
    full = round(share * _BAR) or (1 if used else 0)
    tone = "error" if share >= 1 else "warning" if share >= 0.8 else "primary"
    return (("━" * full, tone), ("─" * (_BAR - full), _MUTED), ("  ", ""))


# -- an account ----------------------------------------------------------------------------------


def is_operator(me: WhoAmI) -> bool:
    """Whether one may see others' things: by a key only with its scope admin."""
    return me.user.role == "operator" and (me.by != "key" or "admin" in me.scopes)


def account_rows(me: WhoAmI, clock: Clock, *, chosen: bool = False) -> list[Row]:
    """Who one is at a gateway, by which right, what one may take and took.

    Arguments:
        chosen: whether a person named the gateway; else it is the usual one.
    """
    user = me.user
    role = f" · {user.role}{', disabled' if user.disabled else ''}"
    at = f" · at {short(me.gateway)}{', chosen' if chosen else ''}"
    rows = [
        Row("account", ((name(user.name), "accent"), (role, ""), (at, _MUTED)), essential=True),
        fact("known by", _right(me, clock)),
    ]
    if me.by == "key":
        rows.append(fact("may", ", ".join(me.scopes) or "nothing"))
    if me.asks_by:
        rows.append(fact("prompts", f"go with {me.asks_by}"))
    if me.key is not None:
        rows.append(fact("key", limits_text(me.key.limits)))
    rows += [fact("limits", limits_text(user.limits)), _month(user, clock)]
    if minute := _minute(me.rate):
        rows.append(Row("minute", minute))
    return rows


def _right(me: WhoAmI, clock: Clock) -> str:
    until = f", until {when(me.expires, clock)}" if me.expires else ", which does not expire"
    if me.by == "operator":
        return "owning this gateway's machine: no log-in is needed"
    return f"a log-in{until}" if me.by == "session" else (
        f"the key {name(me.key.name) if me.key else '?'}{until}"
    )  # fmt: skip


def _month(user: UserStatus, clock: Clock) -> Row:
    used, limit = user.used_this_month, user.limits.tokens_per_month
    if limit is None:
        return fact("month", f"{about(used)} tokens used", essential=True)
    anew = next_month(clock)
    return Row("month", (
        *bar(used, limit),
        (f"{about(used)} of {about(limit)} tokens, anew on 1 {anew:%b}", ""),
    ), essential=True)  # fmt: skip


def _minute(rate: RateState) -> tuple[Span, ...]:
    parts = [
        (limit - left, limit, what)
        for limit, left, what in (
            (rate.requests_limit, rate.requests_remaining, "requests"),
            (rate.tokens_limit, rate.tokens_remaining, "tokens"),
        )
        if limit is not None and left is not None
    ]
    if not parts:
        return ()
    fullest = max(parts, key=lambda part: part[0] / part[1] if part[1] else 1.0)
    told = " · ".join(f"{about(used)} of {about(limit)} {what}" for used, limit, what in parts)
    return (*bar(fullest[0], fullest[1]), (told, ""))


# -- where secrets are kept ----------------------------------------------------------------------


def badge(state: KeyringState) -> Row:
    """Where secrets are kept, and whether that is safe, in a line."""
    count = len(state.held)
    if state.insecure:
        lie = "lies" if state.insecure == 1 else "lie"
        told = (f"{_secrets(state.insecure)} {lie} in a file, in the clear", "warning")
        ring = f" · keyring: {flat(state.backend)}" if state.usable else " · no keyring"
        return Row("secrets", (("▲ ", "warning"), told, (ring, _MUTED)), essential=True)
    if state.usable:
        held = f" · {_secrets(count)}" if count else " · nothing kept yet"
        spans = (("● ", "success"), (f"keyring: {flat(state.backend)}", ""), (held, _MUTED))
        return Row("secrets", spans, essential=True)
    why = in_screen_words(f"{state.reason} {state.mend}")
    spans = (("✕ ", "error"), ("no keyring: ", "error"), (why, ""))
    return Row("secrets", spans, essential=True)


def _secrets(count: int) -> str:
    return f"{count} secret{'' if count == 1 else 's'}"


def keyring_rows(state: KeyringState) -> list[Row]:
    """All that is known of where secrets are kept."""
    usable = ("● yes", "success") if state.usable else ("✕ no", "error")
    rows = [fact("keyring", state.backend or "none"), Row("usable", (usable,))]
    if state.reason:
        rows.append(fact("because", in_screen_words(state.reason)))
    if state.mend:
        rows.append(fact("to do", in_screen_words(state.mend)))
    rows += [fact("keeps" if not number else "", line)
             for number, line in enumerate(state.held or ("nothing",))]  # fmt: skip
    if state.insecure:
        lie = "lies" if state.insecure == 1 else "lie"
        told = f"▲ {state.insecure} of these {lie} in a file that is not encrypted"
        rows.append(Row("in clear", ((told, "warning"),)))
    return rows


# -- keys ----------------------------------------------------------------------------------------

_STATES: Final[dict[str, Span]] = {
    "active": ("● active", "success"),
    "rotated": ("◐ rotated", "warning"),
    "expired": ("○ expired", _MUTED),
    "revoked": ("✕ revoked", "error"),
}


def key_state(key: KeyStatus) -> Span:
    """How a key is."""
    return _STATES[key.state]


def key_id(key: KeyStatus) -> str:
    """The end of its id, which differs between the keys of a gateway."""
    return f"…{flat(key.id)[-8:]}"


def key_kept(key: KeyStatus) -> Span:
    """Where this node keeps its secret, for a column."""
    if key.kept == "file":
        return "▲ file", "warning"
    return (flat(key.kept), "") if key.kept else ("–", _MUTED)


def key_rows(key: KeyStatus, clock: Clock) -> list[Row]:
    """All that is known of a key; its secret is nowhere."""
    rows = [
        Row("state", (key_state(key),)),
        fact("of", key.user),
        fact("may", ", ".join(key.scopes)),
        fact("models", names(key.models, "all")),
        fact("limits", limits_text(key.limits)),
        fact("this month", f"{key.used_this_month:,} tokens"),
        fact("last used", f"{ago(key.last_used, clock)}" if key.last_used else "never"),
        fact("made", when(key.created, clock)),
        fact("expires", when(key.expires, clock)),
    ]
    if key.revoked:
        rows.append(fact("revoked", when(key.revoked, clock)))
    kept = f"in {kept_in(key.kept)}" if key.kept else "not by this node"
    return [*rows, fact("kept", kept)]


def new_key_words(made: NewKey, clock: Clock) -> str:
    """What is said beside a key that was just made, and nothing of its secret."""
    until = f" It holds until {when(made.status.expires, clock)}." if made.status.expires else ""
    first = (
        f"The key {name(made.name)} of the gateway {short(made.gateway)} is shown this once, and "
        f"by nobody again.{until}"
    )
    if made.kept:
        return f"{first} It is kept in {kept_in(made.kept)}, where this node finds it for prompts."
    use = "A program takes it as OPENAI_API_KEY, `aiplat ask` as AIPLAT_API_KEY in the environment."
    if made.not_kept:
        why = in_screen_words(flat(made.not_kept))
        return f"{first} It could not be kept, so keep it yourself. {why} {use}"
    return f"{first} It is kept nowhere: keep it as you would a password. {use}"


# -- users, invitations, the audit log -----------------------------------------------------------


def user_state(user: UserStatus) -> Span:
    """Whether an account holds."""
    return ("✕ disabled", "error") if user.disabled else ("● active", "success")


def user_rows(user: UserStatus, clock: Clock) -> list[Row]:
    """All that is known of an account."""
    return [
        Row("state", (user_state(user),)),
        fact("role", user.role),
        fact("limits", limits_text(user.limits)),
        fact("this month", f"{user.used_this_month:,} tokens"),
        fact("keys", str(user.keys)),
        fact("made", when(user.created, clock)),
    ]


def invitation_limits(invitation: Invitation) -> str:
    """What who registers with it may take."""
    return "the gateway's" if invitation.limits is None else limits_text(invitation.limits)


def invitation_words(made: UserInvitation, clock: Clock) -> str:
    """What is said beside a code that was just made."""
    whom = "one person" if made.uses == 1 else f"{made.uses} people"
    text = (
        f"For {whom}, until {when(made.expires, clock)}. It is shown this once. Who has it "
        f"registers at the gateway {flat(made.gateway)}: in Keys, Register, on its web page, or by "
        f'"aiplat register --gateway {flat(made.gateway)}".'
    )
    if made.is_closed:
        text += (
            " Nobody can register there yet: on that node run `aiplat settings set "
            "accounts.registration invite`."
        )
    return text


def audit_from(entry: AuditEntry) -> str:
    """From where something was done."""
    if entry.peer.startswith(WEB):
        return f"web {cut(flat(entry.peer.removeprefix(WEB)), _LONGEST_ADDRESS)}".strip()
    return short(flat(entry.peer)) if entry.peer else "here"


def audit_rows(entry: AuditEntry, clock: Clock) -> list[Row]:
    """An entry of the audit log, whole."""
    return [
        fact("when", when(entry.at, clock)), fact("who", entry.actor), fact("did", entry.action),
        fact("to", entry.target or "–"), fact("detail", entry.detail or "–"),
        fact("from", entry.peer or "this machine's control socket"),
    ]  # fmt: skip
