"""Limits as bars: how far each is used, and when it is free again. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from aiplat.control.accounts import KeyStatus, WhoAmI
from aiplat.tui.text import amount, flat, span
from aiplat.tui.usage.plot import Pen
from aiplat.tui.usage.ticks import day_label

NEAR = 0.8
"""From this share on a limit is near."""


@dataclass(frozen=True)
class Limit:
    """A limit.

    Arguments:
        owner: whose it is: the account's, or a key by its name.
        what: of what.
        used, most: in requests, or tokens.
        resets: when it is free again, in words; empty where that says nothing.
    """

    owner: str
    what: str
    used: float
    most: float
    resets: str = ""

    @property
    def share(self) -> float:
        """How far it is used, from 0 to 1."""
        return min(1.0, max(0.0, self.used / self.most)) if self.most > 0 else 1.0


def limits_of(who: WhoAmI, keys: Iterable[KeyStatus], now: float) -> list[Limit]:
    """Give the limits that there are: of the account, then of each key.

    Arguments:
        now: seconds since 1970.
    """
    rate = who.rate
    owner = "account" if who.key is None else "account or key"
    found: list[Limit] = []
    if rate.requests_limit is not None:
        used = rate.requests_limit - (rate.requests_remaining or 0)
        found.append(
            Limit(owner, "requests a minute", used, rate.requests_limit, _in(rate.requests_reset))
        )
    if rate.tokens_limit is not None:
        used = rate.tokens_limit - (rate.tokens_remaining or 0)
        found.append(
            Limit(owner, "tokens a minute", used, rate.tokens_limit, _in(rate.tokens_reset))
        )
    resets = month_words(now)
    month = who.user.limits.tokens_per_month
    if month is not None:
        found.append(Limit("account", "tokens a month", who.user.used_this_month, month, resets))
    for key in keys:
        month = key.limits.tokens_per_month
        if month is not None:
            name = f"key {flat(key.name)}"
            found.append(Limit(name, "tokens a month", key.used_this_month, month, resets))
    return found


def _in(seconds: float) -> str:
    return f"all free in {span(seconds)}" if seconds > 0 else "all free"


def next_month(now: float) -> datetime:
    """The first moment of the next month (UTC), when limits of a month begin anew."""
    today = datetime.fromtimestamp(now, UTC)
    year, month = (today.year + 1, 1) if today.month == 12 else (today.year, today.month + 1)
    return datetime(year, month, 1, tzinfo=UTC)


def month_words(now: float) -> str:
    """When the month ends: ``resets in 4 d 9 h (1 Dec, UTC)``."""
    end = next_month(now)
    return f"resets in {span(end.timestamp() - now)} ({day_label(end)} UTC)"


def bar(share: float, cells: int, pen: Pen) -> tuple[str, str]:
    """The full and the empty part of a bar; something that was used is always seen."""
    full = round(share * cells)
    if share > 0:
        full = max(1, full)
    if share < 1:
        full = min(cells - 1, full)
    full = max(0, full)
    return pen.full * full, pen.light * (cells - full)


def sign_of(share: float) -> tuple[str, str]:
    """A sign and the name of its colour: used up, near, or well."""
    if share >= 1:
        return "✕", "$error"
    return ("▲", "$warning") if share >= NEAR else ("●", "$success")


def used_words(limit: Limit) -> str:
    """How much of how much: ``12.3k of 50.0k``."""
    return f"{amount(limit.used)} of {amount(limit.most)}"
