"""Rows as points of graphs: which, how coarse, how many, and what they say."""

from __future__ import annotations

import pytest

from aiplat.control.series import MachineRow, SeriesAsk, ShareSum
from aiplat.domain.errors import InvalidRequest
from aiplat.series.graph import (
    MAX_NAMES,
    answered,
    looks_of,
    machine_rows,
    points_of,
    series_rows,
    total_of,
)
from aiplat.series.wanted import DAY, HOUR, MAX_POINTS, Wanted, point, wanted
from tests.unit.series.helpers import NOON, figures, key, page


def step_of(seconds: int, step: int = 60, kept_since: int = 0) -> tuple[int, int]:
    found = wanted(SeriesAsk(since=NOON - seconds, step=step), NOON, kept_since)
    return found.step, found.span


def test_a_step_is_as_fine_as_the_rows_are_and_no_finer_than_a_screen() -> None:
    assert step_of(900) == step_of(HOUR) == (60, 60)
    assert step_of(900, step=61) == (120, 60)
    assert step_of(6 * HOUR - 60) == (60, 60)
    assert step_of(DAY) == (300, 300), "a day by the minute is more than a screen"
    assert step_of(DAY, step=301) == (600, 300)
    assert step_of(DAY, step=HOUR - 1) == (HOUR, HOUR)
    assert step_of(DAY, step=HOUR) == (HOUR, HOUR)
    assert step_of(30 * DAY) == (3 * HOUR, HOUR)
    assert 30 * DAY / step_of(30 * DAY)[0] <= MAX_POINTS
    assert step_of(DAY, kept_since=NOON - HOUR) == (HOUR, HOUR), "hours are not minutes"
    assert step_of(30 * DAY, step=DAY, kept_since=NOON) == (DAY, HOUR)
    assert step_of(30 * DAY, step=DAY + 1) == (DAY + HOUR, HOUR)


def test_the_present_minute_is_within_and_the_first_one_whole() -> None:
    found = wanted(SeriesAsk(since=NOON - 59, by="key", role="client"), NOON + 0.5, 0)
    assert found == Wanted(
        span=60, minutes_since=NOON - 60, since=NOON - 60, until=NOON + 60, step=60, by="key",
        role="client",
    )  # fmt: skip
    assert wanted(SeriesAsk(since=0, until=120), NOON, 0).until == 120


def test_a_span_that_is_begun_comes_by_minutes_as_long_as_there_are_some() -> None:
    now = NOON + 100.0
    ask = SeriesAsk(since=NOON - DAY + 660, step=HOUR)
    found = wanted(ask, now, NOON - 2 * DAY)
    assert (found.minutes_since, found.since, found.until, found.step) == (
        NOON - DAY + 660, NOON - DAY + HOUR, NOON + HOUR, HOUR,
    )  # fmt: skip
    few = wanted(ask.__replace__(step=300), now, NOON - 2 * DAY)
    assert (few.minutes_since, few.since, few.until) == (
        NOON - DAY + 660, NOON - DAY + 900, NOON + 300,
    )  # fmt: skip
    folded = wanted(ask, now, NOON - HOUR)
    assert (folded.minutes_since, folded.since) == (NOON - DAY, NOON - DAY)


def test_all_of_it_in_one_is_one_point_that_begins_with_it() -> None:
    ask = SeriesAsk(since=NOON - DAY + 600, step=0)
    found = wanted(ask, NOON + 100.0, NOON - 2 * DAY, without=("p",))
    assert found.without == ("p",)
    begins = found.minutes_since
    assert found.step == found.until - begins
    assert {point(at, found) for at in (begins, found.until - 1)} == {begins} == {NOON - DAY + 600}


@pytest.mark.parametrize(
    ("since", "until", "step"),
    [(NOON + 60, 0, 60), (60, 60, 60), (-60, 0, 60), (0, 2**41, 60), (0, 0, -1)],
)
def test_no_time_at_all_is_refused_with_the_bounds(since: int, until: int, step: int) -> None:
    with pytest.raises(InvalidRequest, match=r"(from|at least) 0"):
        wanted(SeriesAsk(since=since, until=until, step=step), NOON, 0)


def test_minutes_in_memory_are_picked_as_those_in_the_file() -> None:
    pages = [
        page(NOON, {key(model="a"): figures(1), key(model="b", role="client"): figures(2)}),
        page(NOON + 60, m=[1, 1.0, 1, 5, 1.0, 5, 0]),
        page(NOON + HOUR),
    ]
    what = Wanted(
        span=HOUR, minutes_since=NOON, since=NOON, until=NOON + HOUR, step=HOUR, by="model"
    )
    assert [(at, name, row[0]) for at, name, row in points_of(pages, what)] == [
        (NOON, "a", 1), (NOON, "b", 2), (NOON, "m", 1),
    ]  # fmt: skip
    client = Wanted(span=60, minutes_since=0, since=0, until=2 * NOON, step=60, role="client")
    assert [(at, name, row[0]) for at, name, row in points_of(pages, client)] == [(NOON, "", 2)]
    assert points_of(pages, what.__replace__(without=("p",))) == []
    assert looks_of(pages, what) == [(NOON, ("engine", "m"), [1, 1.0, 1, 5, 1.0, 5, 0])]


def test_a_point_says_what_it_came_to_and_how_long_it_took() -> None:
    found = [(NOON, "m", figures(3)), (NOON, "m", figures(1, failed=True, first_seconds=None))]
    [row] = series_rows(found)
    assert (row.at, row.name, row.requests, row.errors) == (NOON, "m", 4, 1)
    assert (row.prompt_tokens, row.cached_tokens, row.completion_tokens) == (40, 8, 20)
    assert row.first is not None and row.total is not None
    assert row.first.mean == pytest.approx(0.1)
    assert 0.08 < row.first.p50 < row.first.p95 <= row.first.p99 <= 0.16
    assert row.total.mean == pytest.approx(1.0)
    assert total_of(found, 7) == row.__replace__(at=7, name="")
    assert total_of([], 7).first is None
    [dead] = series_rows([(NOON, "m", figures(1, first_seconds=None))])
    assert dead.first is None


def test_many_names_are_a_few_and_the_rest() -> None:
    names = [f"n{number:02}" for number in range(MAX_NAMES + 3)]
    found = [
        (NOON + 60 * at, name, figures(n + 1)) for at in (1, 0) for n, name in enumerate(names)
    ]
    rows = series_rows(found)
    first = [row for row in rows if row.at == NOON]
    assert [row.name for row in first] == [*names[:2:-1], "other"]
    assert first[-1].requests == 1 + 2 + 3
    assert [row.at for row in rows] == sorted(row.at for row in rows)
    assert len(rows) == 2 * (MAX_NAMES + 1)
    just = series_rows([(NOON, name, figures(1)) for name in names[: MAX_NAMES + 1]])
    assert "other" not in [row.name for row in just], "no rest is made of one alone"


def test_a_machine_is_told_on_average_and_at_most() -> None:
    found = [
        (NOON, ("gpu", "0 X"), [2, 1.0, 3, 600, 0.75, 300, 1000]),
        (NOON, ("engine", "m"), [0, 0.0, 1, 70, 0.0, 70, 0]),
        (NOON, ("gpu", "0 X"), [2, 0.5, 1, 200, 0.5, 200, 1000]),
    ]
    assert machine_rows(found) == (
        MachineRow(at=NOON, part="engine", name="m", memory_bytes=70, memory_most=70),
        MachineRow(
            at=NOON, part="gpu", name="0 X", busy=0.375, busy_most=0.75, memory_bytes=200,
            memory_most=300, memory_total=1000,
        ),
    )  # fmt: skip


def test_what_was_answered_leaves_out_failures() -> None:
    found = [(0, "", figures(4)), (0, "", figures(1, failed=True, completion_tokens=1))]
    assert answered(found) == ShareSum(requests=4, prompt_tokens=50, completion_tokens=21)
