"""Sums over hours and days against a plain count of the events; months, and clocks that jump."""

from __future__ import annotations

import calendar
import sqlite3
import time
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiplat.accounts import usage
from aiplat.accounts.metered import Batch, Event
from aiplat.accounts.usage import (
    GOOD,
    HOUR,
    HOURS_KEPT,
    Kept,
    ask,
    fold,
    last_minute,
    month_number,
    month_start,
    month_use,
    next_month,
    prune,
)
from aiplat.control.accounts import MAX_SINCE, KeyRotate, UsageAsk, UsageBy, UsageRow, UserName
from aiplat.domain.errors import InvalidRequest
from tests.unit.accounts.helpers import DAY, NOON, Clock, Home, fails, finishes, refused
from tests.unit.accounts.test_metered import event, memory

MIDNIGHT = NOON // DAY * DAY
KEPT = Kept(90, 30, 1000)


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    with memory() as connection:
        yield connection


def add(db: sqlite3.Connection, *events: Event) -> None:
    Batch({}, [(0, one) for one in events], {}).write(db)


def at(seconds: float, **changes: Any) -> Event:
    """A request that was let in so many seconds after noon."""
    return event(0, at=round((NOON + seconds) * 1000), **changes)


def told(
    db: sqlite3.Connection, by: UsageBy = "day", user: str | None = None, now: float = NOON,
    since: int = 7 * DAY,
) -> dict[str, tuple[int, ...]]:  # fmt: skip
    """The answer: figures by name; and its total is their sum."""
    reply = ask(db, UsageAsk(since_seconds=since, by=by), user, now, lambda key: key)
    rows = {row.name: figures(row) for row in reply.rows}
    assert len(rows) == len(reply.rows), "each name once"
    total = tuple(map(sum, zip(*rows.values(), strict=True))) if rows else (0,) * 6
    assert figures(reply.total) == total
    return rows


def figures(row: UsageRow) -> tuple[int, ...]:
    return (
        row.requests, row.errors, row.prompt_tokens, row.cached_tokens, row.completion_tokens,
        row.total_tokens,
    )  # fmt: skip


# -- against a plain count -------------------------------------------------------------------------


EVENTS = st.lists(
    st.builds(
        event,
        number=st.just(0),
        at=st.integers((NOON - 10 * DAY) * 1000, (NOON + 3600) * 1000),
        user=st.sampled_from(["u1", "u2", "peer:x"]),
        key=st.sampled_from(["", "k1", "k2"]),
        model=st.sampled_from(["m", "n", ""]),
        processor=st.sampled_from(["p", "q", ""]),
        prompt=st.integers(0, 10**12),
        cached=st.integers(0, 100),
        completion=st.integers(0, 10**12),
        outcome=st.sampled_from([*GOOD, "processor_lost", "gateway_restarted"]),
    ),
    max_size=30,
)
BY: tuple[UsageBy, ...] = ("model", "key", "day", "peer")
NO_NAME = {"model": "(no model)", "peer": "(no processor)"}


def plain(
    events: list[Event], by: UsageBy, user: str | None, since: int, now: float = NOON
) -> dict[str, tuple[int, ...]]:
    """What it comes to, event by event."""
    size = HOUR if since < 2 * DAY else DAY
    begin = int(now - since) // size * size
    rows: dict[str, list[int]] = defaultdict(lambda: [0] * 6)
    for one in events:
        if one.at < begin * 1000 or (user is not None and one.user != user):
            continue
        day = datetime.fromtimestamp(one.at / 1000, UTC).strftime("%Y-%m-%d")
        name = {"model": one.model, "key": one.key or one.user, "day": day, "peer": one.processor}[
            by
        ]
        row = rows[name or NO_NAME[by]]
        for place, part in enumerate(
            (1, one.outcome not in GOOD, one.prompt, one.cached, one.completion,
             one.prompt + one.completion)
        ):  # fmt: skip
            row[place] += part
    return {name: tuple(row) for name, row in rows.items()}


@given(
    EVENTS,
    st.lists(st.sampled_from(["write", "fold", "prune"]), max_size=12),
    st.sampled_from([HOUR, 5 * HOUR, DAY, 2 * DAY, 2 * DAY + 5000, 7 * DAY, 20 * DAY]),
)
def test_whatever_was_folded_and_pruned_the_sums_are_exact(
    events: list[Event], steps: list[str], since: int
) -> None:
    """Written bit by bit, folded now and then (once or twice), single events removed at times."""
    with memory() as db:
        waiting = list(events)
        for step in [*steps, "write all"]:
            if step == "write":
                add(db, *waiting[:3])
                del waiting[:3]
            elif step == "write all":
                add(db, *waiting)
            elif step == "prune":
                while fold(db, 2):
                    pass
                prune(db, NOON, Kept(3, 30, 1000))
            else:
                fold(db, 5)
        for by in BY:
            for user in (None, "u1", "u2", "peer:x", "nobody"):
                assert told(db, by, user, since=since) == plain(events, by, user, since)


@pytest.mark.parametrize("by", BY)
def test_an_hour_in_the_finer_sums_is_an_hour(db: sqlite3.Connection, by: UsageBy) -> None:
    events = [at(-3601), at(-3600), at(-3599), at(-10), at(-DAY), at(-2 * DAY + 1), at(-2 * DAY)]
    for folded in (False, True):
        if not folded:
            add(db, *events)
        else:
            assert fold(db) is False
        for since in (HOUR, DAY, 2 * DAY - 1, 2 * DAY, 3 * DAY):
            assert told(db, by, since=since) == plain(events, by, None, since), (since, folded)


def test_folding_twice_adds_nothing(db: sqlite3.Connection) -> None:
    add(db, *(at(n) for n in range(7)))
    assert [fold(db, 3), fold(db, 3), fold(db, 3), fold(db, 3)] == [True, True, False, False]
    tables = ("sums", "totals", "payers")
    before = [db.execute(f"SELECT * FROM {table}").fetchall() for table in tables]
    fold(db)
    assert [db.execute(f"SELECT * FROM {table}").fetchall() for table in tables] == before
    for table in tables:
        for size in (HOUR, DAY):
            [(requests,)] = db.execute(f"SELECT sum(requests) FROM {table} WHERE size = ?", (size,))
            assert requests == 7, (table, size)


def test_a_fold_that_is_cut_off_is_as_if_it_had_not_been(db: sqlite3.Connection) -> None:
    add(db, *(at(n) for n in range(7)))
    db.execute("BEGIN")
    fold(db)
    db.execute("ROLLBACK")
    assert told(db) == plain([at(n) for n in range(7)], "day", None, 7 * DAY)
    fold(db)
    assert told(db) == plain([at(n) for n in range(7)], "day", None, 7 * DAY)


# -- old rows --------------------------------------------------------------------------------------


def tidy(db: sqlite3.Connection, events_days: int) -> int:
    """Remove all that is old; gives in how many steps."""
    steps = 1
    while prune(db, NOON, Kept(events_days, 30, 1000)):
        steps += 1
        assert steps < 100
    return steps


def test_events_go_after_their_time_and_their_days_stay(db: sqlite3.Connection) -> None:
    events = [at(-100 * DAY), at(-91 * DAY), at(-89 * DAY), at(0)]
    add(db, *events)
    tidy(db, 90)
    assert len(db.execute("SELECT * FROM events").fetchall()) == 4, "what is not folded stays"
    fold(db)
    tidy(db, 0)
    assert len(db.execute("SELECT * FROM events").fetchall()) == 4, "0 keeps them for ever"
    tidy(db, 90)
    kept = [row[0] // 1000 - NOON for row in db.execute("SELECT at FROM events ORDER BY id")]
    assert kept == [-89 * DAY, 0]
    assert told(db, since=200 * DAY) == plain(events, "day", None, 200 * DAY)
    assert told(db, "key", "u1", since=200 * DAY) == plain(events, "key", "u1", 200 * DAY)


@pytest.mark.parametrize("rest", [(), (1,), (0, 3)], ids=["none", "the oldest", "some"])
def test_what_comes_after_all_went_is_counted(
    db: sqlite3.Connection, rest: tuple[int, ...]
) -> None:
    """Numbers of events are given out again, once those that had the highest are gone."""
    old = [at(0 if number in rest else -100 * DAY) for number in range(5)]
    add(db, *old)
    fold(db)
    tidy(db, 90)
    assert len(db.execute("SELECT * FROM events").fetchall()) == len(rest)
    new = [at(60, model="n"), at(61, model="n")]
    add(db, *new)
    for _ in range(2):
        assert told(db, "model", since=200 * DAY) == plain(old + new, "model", None, 200 * DAY)
        tokens = sum(one.prompt + one.completion for one in old + new if one.at > NOON * 1000 - 1)
        assert sum(row[2] for row in month_use(db, month_start(NOON))) == tokens
        fold(db)


def test_hours_go_after_sixty_days(db: sqlite3.Connection) -> None:
    add(db, at(-HOURS_KEPT - 2 * HOUR), at(-HOURS_KEPT - 2 * HOUR, user="u2"), at(0))
    fold(db)
    tidy(db, 90)
    for table, days in (("sums", 3), ("totals", 2), ("payers", 3)):
        sizes = db.execute(f"SELECT size, count(*) FROM {table} GROUP BY 1 ORDER BY 1").fetchall()
        assert sizes == [(HOUR, 1), (DAY, days)], table


def test_many_old_ones_go_bit_by_bit(
    db: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage, "PRUNE_AT_ONCE", 3)
    add(db, *(at(-100 * DAY) for _ in range(7)), at(0))
    fold(db)
    left = []
    while prune(db, NOON, KEPT):
        left.append(len(db.execute("SELECT * FROM events").fetchall()))
    assert left[:2] == [5, 2]
    assert len(db.execute("SELECT * FROM events").fetchall()) == 1


@pytest.mark.parametrize("when", [5 * 365 * DAY, DAY])
def test_events_of_a_clock_that_was_ahead_hold_up_no_others(
    db: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch, when: int
) -> None:
    monkeypatch.setattr(usage, "PRUNE_AT_ONCE", 5)
    ahead, old, young = at(when), at(-100 * DAY), at(-5 * DAY)
    add(db, *[ahead] * 12, *[old] * 20, *[ahead, old] * 6, *[young] * 9)
    while fold(db):
        pass
    for _ in range(20):
        tidy(db, 90)
    kept = [row[0] for row in db.execute("SELECT at FROM events ORDER BY id")]
    assert kept == [ahead.at] * 18 + [young.at] * 9
    later = NOON + when + 91 * DAY
    for _ in range(20):
        while prune(db, later, KEPT):
            pass
    assert db.execute("SELECT count(*) FROM events").fetchone() == (0,), "they go in their turn"


def noted(db: sqlite3.Connection, *when: int) -> None:
    """Entries of the audit log, by how long ago they are."""
    db.executemany(
        "INSERT INTO audit (at, actor, action, target, detail, peer) "
        "VALUES (?, '', '', '', '', '')", [(NOON - ago,) for ago in when],
    )  # fmt: skip


def test_the_audit_log_has_a_bound_and_the_oldest_go(
    db: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage, "PRUNE_AT_ONCE", 5)
    noted(db, *range(40, 0, -1))
    while prune(db, NOON, Kept(90, 30, 7)):
        pass
    assert [NOON - at for (at,) in db.execute("SELECT at FROM audit ORDER BY id")] == [
        *range(7, 0, -1)
    ]


def test_entries_of_a_clock_that_was_ahead_hold_up_no_others(
    db: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage, "PRUNE_AT_ONCE", 5)
    noted(db, *[-1000 * DAY] * 5, *[31 * DAY] * 12, DAY)
    for _ in range(5):
        while prune(db, NOON, KEPT):
            pass
    assert db.execute("SELECT count(*), min(at) FROM audit").fetchone() == (6, NOON - DAY)


def test_the_audit_log_goes_after_its_time(db: sqlite3.Connection) -> None:
    for days in (31, 29, 0):
        db.execute(
            "INSERT INTO audit (at, actor, action, target, detail, peer) "
            "VALUES (?, '', '', '', '', '')", (NOON - days * DAY,),
        )  # fmt: skip
    prune(db, NOON, KEPT)
    assert [row[0] for row in db.execute("SELECT (? - at) / ? FROM audit", (NOON, DAY))] == [29, 0]


# -- what is asked ---------------------------------------------------------------------------------


@pytest.mark.parametrize("since", [0, -1, HOUR - 1, MAX_SINCE + 1, 10**30])
def test_a_time_that_cannot_be(since: int) -> None:
    with refused(InvalidRequest, f"the last 3600 to 31622400 seconds .* not of {since}"):
        usage.check(UsageAsk(since_seconds=since))
    usage.check(UsageAsk(since_seconds=HOUR))
    usage.check(UsageAsk(since_seconds=MAX_SINCE))


def test_days_come_in_order_and_the_rest_by_what_it_came_to(db: sqlite3.Connection) -> None:
    add(
        db, at(0, model="b", prompt=1, completion=1), at(-DAY, model="a", prompt=5, completion=0),
        at(-2 * DAY, model="c", prompt=1, completion=1), at(0, model="c", prompt=0, completion=0),
    )  # fmt: skip
    assert list(told(db, "day")) == ["2026-11-16", "2026-11-17", "2026-11-18"]
    assert list(told(db, "model")) == ["a", "c", "b"]


def test_rows_are_bounded_and_the_total_is_of_all(
    db: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage, "MAX_ROWS", 3)
    add(db, *(at(-n * DAY, model=f"m{n}", prompt=n, completion=0) for n in range(5)))
    days = ask(db, UsageAsk(by="day", since_seconds=30 * DAY), None, NOON, str)
    assert [row.name for row in days.rows] == ["2026-11-16", "2026-11-17", "2026-11-18"]
    models = ask(db, UsageAsk(by="model", since_seconds=30 * DAY), None, NOON, str)
    assert [row.name for row in models.rows] == ["m4", "m3", "m2"]
    for reply in (days, models):
        assert (reply.left_out, reply.total.prompt_tokens, reply.total.requests) == (2, 10, 5)
        assert (reply.since, reply.until) == (MIDNIGHT - 30 * DAY, NOON)


async def test_everyones_and_ones_own_and_a_deleted_ones(tmp_path: Path) -> None:
    home = Home(tmp_path, registration="open")
    async with home.running():
        ann, bob = await home.register("ann"), await home.register("bob")
        hers, his = await home.key("k", ann.token), await home.key("k", bob.token)
        finishes(home.admit(hers.key), 5)
        finishes(home.admit(hers.key), 5)
        fails(home.admit(his.key), code="no_processor")
        finishes(home.admit(), 5)
        await home.written()
        assert (await home.usage(ann.token)).total.requests == 2
        assert (await home.usage(bob.token)).total.errors == 1
        assert (await home.usage()).total.requests == 1
        assert (await home.usage(user="ann")).total.requests == 2
        everyone = await home.usage(everyone=True, by="key")
        assert [(row.name, row.requests) for row in everyone.rows] == [
            ("k (ann)", 2), ("no key (operator)", 1), ("k (bob)", 1),
        ]  # fmt: skip
        assert [row.id for row in everyone.rows] == [hers.id, home.user("operator").id, his.id]
        await home.ask("keys.rotate", KeyRotate(key=his.id, user="bob"))
        rotated = await home.usage(everyone=True, by="key")
        assert rotated.rows[2].name == "k (bob) until rotated"
        await home.ask("users.delete", UserName(name="ann"))
        everyone = await home.usage(everyone=True, by="key")
        assert [row.name for row in everyone.rows] == [
            hers.id,
            "no key (operator)",
            "k (bob) until rotated",
        ]
        assert everyone.total.requests == 4
        with refused(InvalidRequest, "There is no account 'ann'"):
            await home.usage(user="ann")
        with refused(InvalidRequest, "an hour to a year"):
            await home.usage(since_seconds=1)


async def test_what_ended_a_moment_ago_is_told_and_folded_later_is_no_other(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with home.running():
        for number in range(5):
            finishes(home.admit(), number)
        await home.written()
        before = await home.usage(by="model")
        await home.accounts._house.writer.change(fold)
        assert (await home.usage(by="model")).rows == before.rows
        assert before.total.requests == 5
        assert [row.name for row in before.rows] == ["tiny"]


# -- months ----------------------------------------------------------------------------------------


@given(st.floats(0, 4_000_000_000))
def test_a_month_begins_where_the_calendar_says(when: float) -> None:
    then = time.gmtime(when)
    start = calendar.timegm((then.tm_year, then.tm_mon, 1, 0, 0, 0))
    year, month = divmod(then.tm_year * 12 + then.tm_mon, 12)
    assert month_start(when) == start
    assert next_month(start) == calendar.timegm((year, month + 1, 1, 0, 0, 0))
    assert month_number(when) == then.tm_year * 12 + then.tm_mon - 1
    assert start <= when < next_month(start)
    assert month_number(next_month(start)) == month_number(when) + 1


@pytest.mark.parametrize("seconds", [0.5, 0.999, 1e-6])
def test_the_last_moment_of_a_month_is_of_that_month(seconds: float) -> None:
    new_year = calendar.timegm((2027, 1, 1, 0, 0, 0))
    assert month_start(new_year - seconds) == calendar.timegm((2026, 12, 1, 0, 0, 0))
    assert month_start(new_year) == new_year
    assert next_month(month_start(new_year - seconds)) == new_year


def test_a_months_use_is_of_all_that_was_let_in_in_it(db: sqlite3.Connection) -> None:
    december = calendar.timegm((2026, 12, 1, 0, 0, 0))
    january = next_month(december)
    moments = (december - 0.001, december, december + 10 * DAY, january - 0.001, january)
    events = [
        event(0, at=round(moment * 1000), user=user, key=key, prompt=1, completion=10**place)
        for place, moment in enumerate(moments)
        for user, key in (("u1", "k1"), ("u1", ""), ("peer:x", ""))
    ]
    expected = sorted(
        (user, key, 1110 + 3) for user, key in (("peer:x", ""), ("u1", "k1"), ("u1", ""))
    )
    for folded in (0, 5, 8, 100):
        add(db, *events)
        fold(db, folded)
        assert sorted(month_use(db, december)) == expected, folded
        for table in ("events", "sums", "totals", "payers"):
            db.execute(f"DELETE FROM {table}")
        db.execute("UPDATE marks SET value = 0")


def test_the_last_minute_is_told_in_order(db: sqlite3.Connection) -> None:
    add(db, at(-60), at(-59.9, key="b"), at(-1, user="u2"), at(-30), at(0.5))
    found = [((ms - NOON * 1000) / 1000, user, key) for ms, user, key, _ in last_minute(db, NOON)]
    assert found == [(-59.9, "u1", "b"), (-30.0, "u1", "k1"), (-1.0, "u2", "k1")]


@pytest.mark.parametrize("jump", [-40 * DAY, -3600, 3600, 40 * DAY, 400 * DAY])
async def test_a_clock_that_jumps_loses_no_use(tmp_path: Path, jump: int) -> None:
    home = Home(tmp_path, Clock(MIDNIGHT))
    async with home.running():
        finishes(home.admit(), 5)
        home.clock.at += jump
        lease = home.admit()
        home.clock.at -= jump
        finishes(lease, 5)
        finishes(home.admit(), 5)
        await home.written()
        await home.accounts._house.writer.change(fold)
        home.clock.at += max(0, jump)
        assert (await home.usage(since_seconds=300 * DAY)).total.requests >= 2 - (jump > 300 * DAY)
        rows = home.rows("SELECT sum(requests) FROM sums WHERE size = ?", DAY)
        assert rows == [(3,)]
    home.clock.at -= max(0, jump)
    home.opened()
    subject = home.directory.owner.subject.id
    same = month_number(MIDNIGHT + jump) == month_number(MIDNIGHT)
    assert home.accounts._house.used_this_month(subject) == (51 if same else 34)
