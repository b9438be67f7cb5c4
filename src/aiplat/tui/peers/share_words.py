"""How this machine is shared with others, in lines. Knows no widget."""

from __future__ import annotations

from aiplat.control.messages import ShareStatus, ShareTerms, ShareUser
from aiplat.control.series import ShareSum
from aiplat.tui.peers.words import MUTED, Keys, Line, Part, act
from aiplat.tui.text import amount, cut, flat, short_peer, span

MAX_USERS = 3
_LABEL = 10
_SIGNS = {
    "open": ("●", "$success"),
    "paused": ("▲", "$warning"),
    "closed": ("○", "$warning"),
    "waiting": ("○", "$warning"),
    "draining": ("▲", "$warning"),
}


def share_lines(share: ShareStatus, keys: Keys, *, users: int = MAX_USERS) -> list[Line]:
    """How it is shared, who uses it, what was given and taken.

    Arguments:
        keys: the key of an action, by its id.
        users: how many of those who use it are named.
    """
    if share.state in ("none", "stopped"):
        text = "this node is no processor: it runs no models, and so gives nothing"
        lines: list[Line] = [_row("Sharing", ("○ ", MUTED), (text, MUTED))]
        return [*lines, *_exchange(share)] if share.exchange is not None else lines
    word = "resume" if share.terms.paused else "pause"
    change = act(keys, "peers.terms", "change")
    sign, style = _SIGNS.get(share.state, ("○", MUTED))
    lines = [
        _row("Sharing", (f"{sign} ", style), (state_words(share), ""),
             ("   ", ""), act(keys, f"peers.{word}", word)),
        _row("Terms", (terms_words(share.terms), ""), ("   ", ""), change),
        *_used_by(share, users),
    ]  # fmt: skip
    return [*lines, *_exchange(share)]


def short_share(share: ShareStatus, keys: Keys) -> list[Line]:
    """The same where there is no room: how it is shared, and by how many it is used."""
    lines = share_lines(share, keys, users=0)
    if share.state in ("none", "stopped"):
        return lines[:1]
    running = sum(user.running for user in share.users)
    return [lines[0], _row("Used by", (f"{_users(len(share.users))}, {_requests(running)}"
            if share.users else "nobody else now", ""))]  # fmt: skip


def state_words(share: ShareStatus) -> str:
    """How it is, and when that changes by the hours."""
    if share.state == "open":
        return f"open: others may ask this machine{_changes(share)}"
    note = f" ({flat(share.note)})" if share.note else ""
    reason = f", {flat(share.reason)}" if share.reason else ""
    return f"{share.state}: others get nothing new{reason}{note}{_changes(share)}"


def _changes(share: ShareStatus) -> str:
    if share.changes_in is None or share.state in ("paused", "draining"):
        return ""
    what = "opens" if share.state == "closed" else "closes"
    return f", {what} at {flat(share.changes_at)} (in {span(share.changes_in)})"


def terms_words(terms: ShareTerms) -> str:
    """On which terms, in a line."""
    parts = ["at any hour" if terms.hours == "always" else f"at {flat(terms.hours)}"]
    parts.append("only while this machine is idle" if terms.idle_only else "also while it is used")
    parts.append(f"memory {flat(terms.max_memory)}" if terms.max_memory else "all memory")
    parts.append(f"{terms.threads} threads" if terms.threads else "all threads")
    return " · ".join(parts)


def _used_by(share: ShareStatus, most: int) -> list[Line]:
    """Who uses it, a line each; the busiest first."""
    users = sorted(share.users, key=lambda user: (-user.running, user.peer_id, user.model))
    shown = users[:most]
    lines = [_row("Used by" if not place else "", (user_words(user), ""))
             for place, user in enumerate(shown)]  # fmt: skip
    more = len(users) - len(shown)
    if more:
        lines.append(_row("" if shown else "Used by", (f"{more} more" if shown else _users(more),
                                                       MUTED)))  # fmt: skip
    if not users:
        own = f"; {_requests(share.own)} of its own" if share.own else ""
        lines.append(_row("Used by", (f"nobody else now{own}", MUTED)))
    return lines


def user_words(user: ShareUser) -> str:
    """Who it is, and what it has under way."""
    who = f"…{flat(short_peer(user.peer_id))} {user.role}" if user.peer_id else "clients by key"
    return " · ".join((who, cut(flat(user.model), 30), _requests(user.running),
                       f"{amount(user.tokens)} tokens", span(user.since_seconds)))  # fmt: skip


def _exchange(share: ShareStatus) -> list[Line]:
    """What was given to others and taken from them."""
    exchange = share.exchange
    if exchange is None:
        return []
    return [
        _row("Given", *_sums(exchange.gave_day, exchange.gave_month)),
        _row("Taken", *_sums(exchange.took_day, exchange.took_month)),
    ]


def _sums(last_day: ShareSum, month: ShareSum) -> Line:
    return (("24 h  ", MUTED), (f"{_sum(last_day):<30}", ""), ("30 d  ", MUTED), (_sum(month), ""))


def _sum(total: ShareSum) -> str:
    if not total.requests:
        return "nothing"
    return f"{_requests(total.requests)}, {amount(total.completion_tokens)} tokens"


def _requests(count: int) -> str:
    return f"{amount(count)} request{'' if count == 1 else 's'}"


def _users(count: int) -> str:
    return f"{count} user{'' if count == 1 else 's'}"


def _row(label: str, *parts: Part) -> Line:
    return ((f"{label:<{_LABEL}}", MUTED), *parts)
