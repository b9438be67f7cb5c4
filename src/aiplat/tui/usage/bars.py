"""Limits as bars: how far each is used, and when it is free again. Pure.

How far limits at once are used is not told, nor are those of a minute of single keys, or of an
account beside the key that one came with: of these only how much they let in is known.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from aiplat.control.accounts import KeyStatus, WhoAmI
from aiplat.domain.accounts import Limits
from aiplat.tui.text import amount, flat, span
from aiplat.tui.usage.plot import Pen
from aiplat.tui.usage.ticks import day_label

NEAR = 0.8
"""From this share on a limit is near."""
REQUESTS, TOKENS = "requests a minute", "tokens a minute"
EACH_MINUTE = "anew each minute"


@dataclass(frozen=True)
class Limit:
    """A limit.

    Arguments:
        owner: whose it is: the account's, or a key by its name.
        what: of what.
        used, most: in requests, or tokens; how much is used is None where nobody tells.
        resets: when it is free again, in words; empty where that says nothing.
    """

    owner: str
    what: str
    used: float | None
    most: float
    resets: str = ""

    @property
    def share(self) -> float | None:
        """How far it is used, from 0 to 1; None where nobody tells."""
        if self.used is None:
            return None
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
        found.append(Limit(owner, REQUESTS, used, rate.requests_limit, _in(rate.requests_reset)))
    if rate.tokens_limit is not None:
        used = rate.tokens_limit - (rate.tokens_remaining or 0)
        found.append(Limit(owner, TOKENS, used, rate.tokens_limit, _in(rate.tokens_reset)))
    bars = {limit.what: limit.most for limit in found}  # of whichever leaves less
    found += _of_one("account", who.user.limits, who.user.used_this_month, now, bars)
    for key in keys:
        is_asking = who.key is not None and who.key.id == key.id
        owner = f"key {flat(key.name)}"
        told = bars if is_asking else {}
        found += _of_one(owner, key.limits, key.used_this_month, now, told)
    return found


def _of_one(
    owner: str, limits: Limits, used: int, now: float, told: Mapping[str, float]
) -> list[Limit]:
    """The limits of an account or a key, without those that a bar tells already."""
    found = [
        Limit(owner, what, None, most, EACH_MINUTE)
        for what, most in (
            (REQUESTS, limits.requests_per_minute),
            (TOKENS, limits.tokens_per_minute),
        )
        if most is not None and told.get(what) != most
    ]
    if limits.concurrent is not None:
        found.append(Limit(owner, "requests at once", None, limits.concurrent, "free as each ends"))
    if limits.tokens_per_month is not None:
        month = month_words(now)
        found.append(Limit(owner, "tokens a month", used, limits.tokens_per_month, month))
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


def sign_of(share: float | None) -> tuple[str, str]:
    """A sign and the name of its colour: used up, near, or well; or how far is not told."""
    if share is None:
        return "○", "$text-muted"
    if share >= 1:
        return "✕", "$error"
    return ("▲", "$warning") if share >= NEAR else ("●", "$success")


def used_words(limit: Limit) -> str:
    """How much of how much: ``12.3k of 50.0k``."""
    if limit.used is None:
        return f"up to {amount(limit.most)}"
    return f"{amount(limit.used)} of {amount(limit.most)}"
