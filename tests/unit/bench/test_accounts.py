"""bench/accounts at its smallest: every part runs, and measures what it says."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aiplat.accounts import database
from aiplat.accounts.usage import folded
from bench.accounts import door, run
from bench.accounts.events import add_events
from bench.accounts.people import add_people, places_in
from bench.accounts.run import Sizes
from bench.accounts.tables import report
from bench.accounts.traffic import Traffic

TINY = Sizes(
    users=20, keys=60, askers=20, asker_keys=60, admissions=10, batches=2, events=2_000,
    requests=3, seconds=0.05,
)  # fmt: skip
MACHINE = {
    "cores": 2, "cpu": "none", "date": "2026-01-02T03:04", "load_before": 0.1, "python": "3",
    "sqlite": "3", "commit": "abc",
}  # fmt: skip


@contextlib.contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        yield connection


def told(**parts: Any) -> list[str]:
    """The report's lines."""
    return report({"machine": MACHINE, "rounds": 1} | parts).splitlines()


def aim(lines: list[str], words: str) -> list[str]:
    """The cells of one aim: to reach, reached, whether."""
    [line] = [line for line in lines if line.startswith(f"| {words}")]
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


def test_admission_times_what_is_let_in_and_what_is_not(tmp_path: Path) -> None:
    found = run.measure_admission(tmp_path, TINY, 1)

    assert set(found["rows"]) == {
        "limited.admit", "limited.settle", "same.admit", "same.settle", "first.admit",
        "first.settle", "unlimited.admit", "unlimited.settle", "spent.admit", "wrong.admit",
        "door.admit", "floor.admit",
    }  # fmt: skip
    assert all(row["p99_us"] >= row["p50_us"] > [0] for row in found["rows"].values())
    assert aim(told(admission=found), "one admission")[0] == "≤ 20"


def test_rows_are_written_beside_the_same_into_a_bare_table(tmp_path: Path) -> None:
    found = run.measure_rows(tmp_path, TINY, 1)

    kinds = {
        f"{kind}.{rate}" for kind in ("ended", "long", "grown", "floor") for rate in (100, 1000)
    }
    assert set(found["empty"]["rows"]) == set(found["full"]["rows"]) == kinds
    assert (found["empty"]["events_before"], found["full"]["events_before"]) == (0, TINY.events)
    with opened(places_in(tmp_path / f"events-{TINY.events}").database) as store:
        # Two batches of each size and kind that ends, those that were under way all the time, and
        # two batches beside a busy loop.
        [(events, last)] = store.execute(
            "SELECT count(*), max(id) FROM events WHERE at >= ?", (run.UNTIL * 1000,)
        ).fetchall()
        assert events == 2 * 2 * 110 + 10 * 110 + 2 * 100
        assert folded(store) == last
        assert store.execute("SELECT count(*) FROM running").fetchone() == (0,)
    assert aim(told(rows=found), "one row of usage where")[0] == "≤ 10"


def test_usage_is_asked_over_events_that_are_all_in_the_sums(tmp_path: Path) -> None:
    found = run.measure_usage(tmp_path, TINY, 1)
    again = run.measure_usage(tmp_path, TINY, 1)

    assert len(found["rows"]) == 4 * 3 * 2
    assert found["filling"]["events"] == TINY.events
    assert again["filling"] == found["filling"]  # it was not made anew
    with opened(places_in(tmp_path / f"events-{TINY.events}").database) as store:
        for size, since in ((3600, run.UNTIL - 60 * 86_400), (86_400, 0)):  # old hours are gone
            counted = store.execute(
                "SELECT count(*), sum(outcome <> 'stop'), sum(prompt), sum(completion) "
                "FROM events WHERE at / 1000 / ?1 * ?1 >= ?2",
                (size, since),
            ).fetchone()
            for table in ("sums", "payers", "totals"):
                sums = store.execute(
                    f"SELECT sum(requests), sum(errors), sum(prompt), sum(completion) FROM {table} "
                    "WHERE size = ?",
                    (size,),
                ).fetchone()
                assert sums == counted
    lines = told(usage=found)
    assert aim(lines, "the slowest `usage --by day`")[0] == "≤ 200"
    assert any(line.startswith("| --by peer, 7 days |") for line in lines)


def test_events_are_spread_over_time_users_models_and_processors(tmp_path: Path) -> None:
    add_people(tmp_path, 100, 300)
    filling = add_events(tmp_path, 5_000, run.UNTIL)

    with opened(places_in(tmp_path).database) as store:
        spread = store.execute(
            "SELECT count(DISTINCT user), count(DISTINCT model), count(DISTINCT processor), "
            "count(DISTINCT at / 86400000), min(at), max(at) FROM events"
        ).fetchone()
        by_user = dict(
            store.execute(
                "SELECT name, count(*) FROM events JOIN users ON users.id = user GROUP BY user"
            ).fetchall()
        )
    assert spread[:3] == (100, 8, 12)
    assert 120 <= spread[3] <= 121
    assert spread[4] / 1000 >= run.UNTIL - 120 * 86_400
    assert spread[5] / 1000 < run.UNTIL
    assert by_user[filling.busiest] > 5 * by_user[filling.ordinary]


def test_traffic_is_what_a_meter_hands_over(tmp_path: Path) -> None:
    people = add_people(tmp_path, 10, 20)
    traffic = Traffic(tmp_path, people.limited, run.UNTIL)

    came = traffic.ended(5)
    leases, begun = traffic.begun(3)
    grown = traffic.grown(leases)
    over = traffic.over(leases)

    assert (len(came.running), len(came.ended), len(came.used)) == (0, 5, 5)
    assert (len(begun.running), len(begun.ended)) == (3, 0)
    assert {
        row.completion - begun.running[row.id].completion for row in grown.running.values()
    } == {5}
    assert {number for number, _ in over.ended} == set(begun.running)
    assert all(event.outcome == "stop" and event.completion == 50 for _, event in over.ended)
    with contextlib.closing(database.connect(places_in(tmp_path).database)) as store:
        for batch in (came, begun, grown, over):
            batch.write(store)
        assert store.execute("SELECT count(*) FROM events").fetchone() == (8,)
        assert store.execute("SELECT count(*) FROM running").fetchone() == (0,)


def test_the_aims_are_judged_by_what_was_measured() -> None:
    def node(p50: float, rate: float) -> dict[str, list[float]]:
        return {"p50_ms": [p50], "p99_ms": [9.0], "rate": [rate], "rate_p99_ms": [9.0],
                "cpu_us": [900.0]}  # fmt: skip

    good = told(door={"uncounted": node(1.0, 100), "counted": node(1.5, 90), "twin": node(1, 100)})
    assert aim(good, "added at the door") == ["≤ 0.5", "0.500", "yes"]
    assert aim(good, "requests a second kept") == ["≥ 0.9", "0.900", "yes"]

    bad = told(door={"uncounted": node(1.0, 100), "counted": node(1.51, 89), "twin": node(1, 100)})
    assert aim(bad, "added at the door") == ["≤ 0.5", "0.510", "**no**"]
    assert aim(bad, "requests a second kept") == ["≥ 0.9", "0.890", "**no**"]


@pytest.mark.slow
def test_the_door_is_asked_with_accounts_and_without(tmp_path: Path) -> None:
    found = door.measure(tmp_path, 1, TINY.requests, TINY.seconds)

    assert set(found) == set(door.NAMES)
    for node in found.values():
        assert all(len(values) == 1 for values in node.values())
        assert node["p99_ms"] >= node["p50_ms"] > [0]
    assert [path.parent.parent.name for path in tmp_path.glob("0/*/*/accounts.db")] == ["counted"]
    with opened(next(tmp_path.glob("0/counted/*/accounts.db"))) as store:
        rows = store.execute("SELECT count(*), sum(key = ''), sum(outcome = 'stop') FROM events")
        [(events, keyless, whole)] = rows.fetchall()
    assert events > 2 * TINY.requests + door.AT_ONCE
    assert (keyless, whole) == (0, events)
