"""What usage came to: events folded into sums over hours and days, and what is asked of them.

The sums are of the events up to a mark, which moves in the transaction that adds them: so each
event is in them once, and what came after the mark is added when somebody asks. Ten million events
answer from a few thousand sums.
"""

from __future__ import annotations

import functools
import math
import sqlite3
import time
from collections.abc import Callable
from typing import NamedTuple

from msgspec.structs import replace

from aiplat.control.accounts import MAX_SINCE, UsageAsk, UsageBy, UsageReply, UsageRow
from aiplat.domain.errors import InvalidRequest

HOUR = 3600
DAY = 86_400
FINE_SECONDS = 2 * DAY
"""Up to here usage is told from the hour on, beyond it from the day on."""
HOURS_KEPT = 60 * DAY
FOLD_AT_ONCE = 2_000
"""A transaction of a tenth of a second at most: meanwhile nothing else is written."""
PRUNE_AT_ONCE = 5_000
_ALL = 2**63 - 1
"""SQLite's greatest id."""
MINUTE_AT_MOST = 200_000
"""Events that are looked through for those of the last minute: more than a gateway serves."""
MAX_ROWS = 1000
GOOD = ("stop", "length", "cancelled", "tool_calls")
"""Outcomes that are no errors."""

_FIGURES = (
    "count(*) AS requests, "
    f"sum(outcome NOT IN {GOOD}) AS errors, sum(prompt) AS prompt, sum(cached) AS cached, "
    "sum(completion) AS completion"
)
_ADD = (
    "requests = requests + excluded.requests, errors = errors + excluded.errors, "
    "prompt = prompt + excluded.prompt, cached = cached + excluded.cached, "
    "completion = completion + excluded.completion"
)


def fold(connection: sqlite3.Connection, most: int = FOLD_AT_ONCE) -> bool:
    """Add the next events to the sums, within a transaction; whether more are left."""
    mark = folded(connection)
    last = connection.execute(
        "SELECT max(id), count(*) FROM (SELECT id FROM events WHERE id > ? ORDER BY id LIMIT ?)",
        (mark, most),
    ).fetchone()
    if last[0] is None:
        return False
    for size in (HOUR, DAY):
        start = f"(at / 1000) / {size} * {size}"
        connection.execute(
            f"INSERT INTO sums SELECT user, {size}, {start} AS start, key, model, processor, "
            f"{_FIGURES} FROM events WHERE id > ? AND id <= ? "
            "GROUP BY start, user, key, model, processor "
            f"ON CONFLICT (size, start, user, key, model, processor) DO UPDATE SET {_ADD}",
            (mark, last[0]),
        )
        connection.execute(
            f"INSERT INTO totals SELECT {size}, {start} AS start, model, processor, {_FIGURES} "
            "FROM events WHERE id > ? AND id <= ? GROUP BY start, model, processor "
            f"ON CONFLICT (size, start, model, processor) DO UPDATE SET {_ADD}",
            (mark, last[0]),
        )
        connection.execute(
            f"INSERT INTO payers SELECT {size}, {start} AS start, user, key, {_FIGURES} "
            "FROM events WHERE id > ? AND id <= ? GROUP BY start, user, key "
            f"ON CONFLICT (size, start, user, key) DO UPDATE SET {_ADD}",
            (mark, last[0]),
        )
    connection.execute("UPDATE marks SET value = ? WHERE name = 'folded'", (last[0],))
    return int(last[1]) == most


def folded(connection: sqlite3.Connection) -> int:
    """The last event that is in the sums."""
    row = connection.execute("SELECT value FROM marks WHERE name = 'folded'").fetchone()
    return int(row[0])


class Kept(NamedTuple):
    """How long and how much is kept.

    Arguments:
        events_days: 0 keeps events for ever; their sums stay in any case.
        audit_days, audit_rows: of the audit log, whichever comes first.
    """

    events_days: int
    audit_days: int
    audit_rows: int


def prune(connection: sqlite3.Connection, now: float, kept: Kept) -> bool:
    """Remove single events, hours and audit entries that are old; whether more are left.

    Arguments:
        now: seconds since 1970 (UTC).
    """
    more = False
    if kept.events_days:
        begin = round((now - kept.events_days * DAY) * 1000)
        more = _remove_old(connection, "events", folded(connection), begin, round(now * 1000))
        # SQLite gives out the numbers above those that are left: they are not folded yet.
        connection.execute(
            "UPDATE marks SET value = min(value, coalesce((SELECT max(id) FROM events), 0)) "
            "WHERE name = 'folded'"
        )
    [hour] = connection.execute("SELECT min(start) FROM totals WHERE size = ?", (HOUR,)).fetchone()
    is_old = hour is not None and hour < round(now - HOURS_KEPT)
    if is_old:
        for table in ("sums", "payers", "totals"):
            connection.execute(f"DELETE FROM {table} WHERE size = ? AND start = ?", (HOUR, hour))
    begin = round(now - kept.audit_days * DAY)
    more |= _remove_old(connection, "audit", _ALL, begin, round(now))
    beyond = connection.execute(
        "DELETE FROM audit WHERE id IN (SELECT id FROM audit "
        "WHERE id <= (SELECT max(id) FROM audit) - ? ORDER BY id LIMIT ?)",
        (kept.audit_rows, PRUNE_AT_ONCE),
    ).rowcount
    return is_old or more or beyond == PRUNE_AT_ONCE


def _remove_old(
    connection: sqlite3.Connection, table: str, last: int, begin: int, now: int
) -> bool:
    """Remove rows of before `begin`, some at once; whether to go on at once.

    Ids grow with time, so the oldest come first, and the look ends at the first that stay. Those of
    a clock that was ahead do not end it: a mark goes past them.

    Arguments:
        last: the last id that may be removed.
        begin, now: in the unit of the table's `at`.
    """
    name = f"pruned {table}"
    row = connection.execute("SELECT value FROM marks WHERE name = ?", (name,)).fetchone()
    mark = 0 if row is None else row[0]
    [end] = connection.execute(
        f"SELECT max(id) FROM (SELECT id FROM {table} WHERE id > ? AND id <= ? ORDER BY id "
        "LIMIT ?)", (mark, last, PRUNE_AT_ONCE),
    ).fetchone()  # fmt: skip
    removed, is_over = 0, True
    if end is not None:
        part = f"FROM {table} WHERE id > ? AND id <= ? AND at "
        removed = connection.execute(f"DELETE {part} < ?", (mark, end, begin)).rowcount
        [is_over] = connection.execute(
            f"SELECT EXISTS (SELECT 1 {part} BETWEEN ? AND ?)", (mark, end, begin, now)
        ).fetchone()
    new = 0 if is_over else end
    if new != mark:
        connection.execute(
            "INSERT INTO marks VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET "
            "value = excluded.value", (name, new),
        )  # fmt: skip
    return removed > 0 and not is_over


def month_use(connection: sqlite3.Connection, start: int) -> list[tuple[str, str, int]]:
    """Tokens by user and key since `start`, the beginning of a month (seconds since 1970, UTC)."""
    return connection.execute(
        "SELECT user, key, sum(tokens) FROM ("
        "SELECT user, key, prompt + completion AS tokens FROM payers "
        f"WHERE size = {DAY} AND start >= ? AND start < ? UNION ALL "
        "SELECT user, key, prompt + completion FROM events WHERE id > ? AND at >= ? AND at < ?) "
        "GROUP BY user, key",
        (start, next_month(start), folded(connection), start * 1000, next_month(start) * 1000),
    ).fetchall()


def last_minute(connection: sqlite3.Connection, now: float) -> list[tuple[int, str, str, int]]:
    """Requests that were let in within the last minute, the oldest first.

    Returns:
        When each was let in (milliseconds since 1970, UTC), its user, its key and its tokens.
    """
    ms = round(now * 1000)
    return connection.execute(
        "SELECT at, user, key, prompt + completion FROM events "
        "WHERE id > (SELECT max(id) FROM events) - ? AND at > ? AND at <= ? ORDER BY at",
        (MINUTE_AT_MOST, ms - 60_000, ms),
    ).fetchall()


def month_start(when: float) -> int:
    """The beginning of the month (UTC) that a time is in; both in seconds since 1970."""
    day = math.floor(when / DAY) * DAY
    return day - (time.gmtime(day).tm_mday - 1) * DAY


def next_month(start: int) -> int:
    """The beginning of the month after the one that begins at `start`."""
    return month_start(start + 32 * DAY)


def month_number(when: float) -> int:
    """Which month a time is in: they follow each other by one."""
    return _month_of(math.floor(when / DAY))


@functools.lru_cache(maxsize=32)  # each request asks, nearly always for the same day
def _month_of(day: int) -> int:
    parts = time.gmtime(day * DAY)
    return parts.tm_year * 12 + parts.tm_mon - 1


def check(wish: UsageAsk) -> None:
    """Raise `InvalidRequest` when it asks for a time that cannot be."""
    if not HOUR <= wish.since_seconds <= MAX_SINCE:
        raise InvalidRequest(
            f"Usage is told of the last {HOUR} to {MAX_SINCE} seconds (an hour to a year), not of "
            f"{wish.since_seconds}.",
            param="since",
        )


Name = Callable[[str], str]


def ask(
    connection: sqlite3.Connection, wish: UsageAsk, user: str | None, now: float, key_name: Name
) -> UsageReply:
    """Answer a question.

    Arguments:
        user: whose usage; None for everyone's.
        now: seconds since 1970 (UTC).
        key_name: what a person calls a key, by its id, or who asks without one.
    """
    size = HOUR if wish.since_seconds < FINE_SECONDS else DAY
    since = round(now - wish.since_seconds) // size * size
    rows = _rows(connection, wish.by, user, size, since)
    if wish.by == "day":
        rows.sort(key=lambda row: row.name)
    else:
        rows.sort(key=lambda row: (-row.total_tokens, -row.requests, row.name))
    if wish.by == "key":
        rows = [replace(row, name=key_name(row.name), id=row.name) for row in rows]
    elif wish.by != "day":
        rows = [row if row.name else _renamed(row, _NONE[wish.by]) for row in rows]
    left_out = max(0, len(rows) - MAX_ROWS)
    return UsageReply(
        rows=tuple(rows[-MAX_ROWS:] if wish.by == "day" else rows[:MAX_ROWS]),
        total=_total(rows), by=wish.by, since=since, until=round(now), left_out=left_out,
    )  # fmt: skip


_STARTS = (
    "WITH RECURSIVE starts(start) AS ("
    "SELECT min(start) FROM {table} WHERE size = :size AND start >= :since UNION ALL "
    "SELECT (SELECT min(start) FROM {table} WHERE size = :size AND start > starts.start) "
    "FROM starts WHERE starts.start IS NOT NULL) SELECT start FROM starts"
)
"""The hours or days that there are: each is looked up, so that others' rows are not read."""
_COLUMNS = {
    "model": "model", "key": "CASE WHEN key = '' THEN user ELSE key END", "peer": "processor",
}  # fmt: skip
"""Who asks without a key has a row of its own among them."""
_NONE = {"model": "(no model)", "peer": "(no processor)"}
"""Of requests that no processor had."""


def _rows(
    connection: sqlite3.Connection, by: UsageBy, user: str | None, size: int, since: int
) -> list[UsageRow]:
    """From the sums, and what was not folded yet; from the smallest table that can tell."""
    table = "sums"
    if by == "key" or (by == "day" and user is not None):
        table = "payers"
    elif user is None:
        table = "totals"
    whose = "" if user is None else "user = :user AND "
    name = f"start / {DAY} * {DAY}" if by == "day" else _COLUMNS[by]
    late = f"(at / 1000) / {DAY} * {DAY}" if by == "day" else _COLUMNS[by]
    figures = "requests, errors, prompt, cached, completion"
    found = connection.execute(
        f"SELECT name, sum(requests), sum(errors), sum(prompt), sum(cached), sum(completion) FROM ("
        f"SELECT {name} AS name, {figures} FROM {table} "
        f"WHERE {whose}size = :size AND start IN ({_STARTS.format(table=table)}) UNION ALL "
        f"SELECT {late} AS name, {_FIGURES} FROM events "
        f"WHERE {whose}id > :mark AND at >= :since * 1000 GROUP BY 1) GROUP BY name",
        {"user": user, "size": size, "since": since, "mark": folded(connection)},
    )
    return [_row(*row) for row in found]


def _row(
    name: object, requests: int, errors: int, prompt: int, cached: int, completion: int
) -> UsageRow:
    text = time.strftime("%Y-%m-%d", time.gmtime(name)) if isinstance(name, int) else str(name)
    return UsageRow(
        name=text, requests=requests, errors=errors, prompt_tokens=prompt, cached_tokens=cached,
        completion_tokens=completion, total_tokens=prompt + completion,
    )  # fmt: skip


def _renamed(row: UsageRow, name: str) -> UsageRow:
    return replace(row, name=name)


def _total(rows: list[UsageRow]) -> UsageRow:
    return UsageRow(
        name="total", requests=sum(r.requests for r in rows), errors=sum(r.errors for r in rows),
        prompt_tokens=sum(r.prompt_tokens for r in rows),
        cached_tokens=sum(r.cached_tokens for r in rows),
        completion_tokens=sum(r.completion_tokens for r in rows),
        total_tokens=sum(r.total_tokens for r in rows),
    )  # fmt: skip
