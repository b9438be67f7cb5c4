"""What was used: by day, by model and by key, as tables from which the charts are drawn."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from msgspec.structs import replace
from starlette.responses import Response

from aiplat.control.accounts import UsageAsk, UsageBy, UsageReply, UsageRow
from aiplat.domain.errors import InvalidRequest, clip
from aiplat.http.dashboard.forms import Problem
from aiplat.http.dashboard.pages import Page
from aiplat.http.dashboard.rendering import render
from aiplat.http.dashboard.visit import Visit

_DAY = 86_400
RANGES = {
    "24h": (_DAY, "24 hours"),
    "7d": (7 * _DAY, "7 days"),
    "30d": (30 * _DAY, "30 days"),
    "90d": (90 * _DAY, "90 days"),
    "1y": (365 * _DAY, "a year"),
}
_BY: tuple[tuple[UsageBy, str, str], ...] = (
    ("day", "By day", "Day (UTC)"),
    ("model", "By model", "Model"),
    ("key", "By key", "Key"),
)


@dataclass(frozen=True)
class Part:
    """One table with its chart.

    Arguments:
        by: what has rows of its own.
        title, column: the words over it.
        reply: the figures.
    """

    by: UsageBy
    title: str
    column: str
    reply: UsageReply


def usage_page() -> Page:
    """The page."""
    return Page("/usage", "user", _show)


async def _show(visit: Visit, problem: Problem) -> Response:
    chosen = visit.query.text("since") or "7d"
    if chosen not in RANGES:
        raise InvalidRequest(
            f"Usage is shown of {', '.join(RANGES)}, but not of {clip(chosen)!r}.", param="since"
        )
    whose = visit.query.line("who") if visit.me.user.role == "operator" else ""
    parts = []
    for by, title, column in _BY:
        ask = UsageAsk(
            since_seconds=RANGES[chosen][0], by=by, everyone=whose == "*",
            user="" if whose == "*" else whose,
        )  # fmt: skip
        reply = await visit.ask("usage", ask, UsageReply)
        parts.append(Part(by, title, column, each_day(reply) if by == "day" else reply))
    return render(
        visit, "usage.html", problem, parts=parts, ranges=RANGES, chosen=chosen, whose=whose,
        total=parts[0].reply.total,
    )  # fmt: skip


def each_day(reply: UsageReply) -> UsageReply:
    """The same with a row for each day, so that a day without use has its place in the chart."""
    known = {row.name: row for row in reply.rows}
    day, last = _date(reply.since), _date(reply.until)
    rows = []
    while day <= last:
        name = day.isoformat()
        rows.append(known.get(name) or UsageRow(name=name))
        day += timedelta(days=1)
    return replace(reply, rows=tuple(rows))


def _date(at: int) -> date:
    return datetime.fromtimestamp(at, UTC).date()
