"""How long first tokens took, by model, key, peer or day: what the table of totals shows of it.

Asks, and knows no widget. It is asked apart from the counts: the gateway's accounts do not have it,
and of shorter steps it cannot be added up.
"""

from __future__ import annotations

from msgspec.structs import replace

from aiplat.control import calls
from aiplat.control.accounts import UsageBy
from aiplat.control.series import SeriesAsk, SeriesReply
from aiplat.domain.errors import AiplatError
from aiplat.domain.ids import Role
from aiplat.tui.link import Link
from aiplat.tui.usage.ranges import Range
from aiplat.tui.usage.sums import NO_FIRSTS, Firsts, series_key
from aiplat.tui.usage.ticks import DAY

_NOBODY: dict[UsageBy, str] = {"model": "(no model)", "peer": "(no processor)"}
"""What accounts call requests without one."""


async def first_tokens(link: Link, chosen: Range, by: UsageBy, role: Role, now: float) -> Firsts:
    """Ask the series of this node; where they do not tell, the table is there without it."""
    try:
        reply = await link.call(calls.series(firsts_ask(chosen, by, role, now)))
    except AiplatError:
        return NO_FIRSTS
    return firsts_of(reply, by)


def firsts_ask(chosen: Range, by: UsageBy, role: Role, now: float) -> SeriesAsk:
    """All of the time in one point for each name; days apart.

    Arguments:
        now: seconds since 1970.
    """
    ask = chosen.ask(now, "" if by == "day" else by, role)
    return replace(ask, step=DAY if by == "day" else 0, machine=False)


def firsts_of(reply: SeriesReply, by: UsageBy) -> Firsts:
    """The times by what accounts call it, too."""
    found = {series_key(row, by): row.first for row in reply.rows if row.first is not None}
    if "" in found and by in _NOBODY:
        found[_NOBODY[by]] = found[""]
    return found
