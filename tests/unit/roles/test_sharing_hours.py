"""The hours in which a machine is shared: past midnight, and where the clocks change."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from aiplat.domain.errors import InvalidRequest
from aiplat.roles.sharing_hours import at, read_hours

HOUR = 3600.0
SPRING = datetime(2026, 3, 29, 1, tzinfo=UTC).timestamp()
"""Central Europe puts its clocks from 2:00 to 3:00."""
AUTUMN = datetime(2026, 10, 25, 1, tzinfo=UTC).timestamp()
"""And from 3:00 to 2:00."""
MONDAY = datetime(2026, 11, 23, tzinfo=UTC).timestamp()


def europe(when: float) -> datetime:
    """What a clock on a wall in central Europe shows in 2026."""
    hours = 2 if SPRING <= when < AUTUMN else 1
    return datetime.fromtimestamp(when, UTC) + timedelta(hours=hours)


def utc(when: float) -> datetime:
    return datetime.fromtimestamp(when, UTC)


def open_at(hours: str, times: dict[str, bool], day: float = MONDAY) -> None:
    found = read_hours(hours)
    for time, wanted in times.items():
        hour, _, minute = time.partition(":")
        when = utc(day + HOUR * int(hour) + 60 * int(minute))
        assert found.hold(when) is wanted, (hours, time)


def test_a_span_ends_before_its_last_minute_and_may_go_past_midnight() -> None:
    open_at("9-17:30", {"8:59": False, "9:00": True, "17:29": True, "17:30": False})
    open_at("22-08", {"21:59": False, "22:00": True, "0:00": True, "7:59": True, "8:00": False})
    open_at("00-24", {"0:00": True, "23:59": True})
    open_at("22-00, 6-7", {"23:59": True, "0:00": False, "6:30": True, "7:00": False})
    open_at("always", {"3:00": True})


def test_a_night_belongs_to_the_day_on_which_it_begins() -> None:
    friday, saturday = MONDAY + 4 * 24 * HOUR, MONDAY + 5 * 24 * HOUR
    open_at("mon-fri 22-08", {"7:59": False, "22:00": True}, MONDAY)
    open_at("mon-fri 22-08", {"7:59": True, "22:00": True}, friday)
    open_at("mon-fri 22-08", {"7:59": True, "22:00": False}, saturday)
    open_at("sat-mon 9-17", {"12:00": True}, saturday)
    open_at("sat-mon 9-17", {"12:00": False}, friday)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("22-8", "22-08"),
        (" Mon-Fri  9 - 17:05,sat 10-12 ", "mon-fri 09-17:05, sat 10-12"),
        ("22-0", "22-24"),
        ("mon-sun 1-2", "01-02"),
        ("ALWAYS", "always"),
    ],
)
def test_what_is_kept_reads_the_same_again(text: str, kept: str) -> None:
    assert str(read_hours(text)) == kept
    assert read_hours(kept) == read_hours(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is no span of hours"),
        ("22", "is no span of hours"),
        ("22-08,", "is no span of hours"),
        ("25-08", "the time 25, and a day goes from 00:00 to 24:00"),
        ("22-24:01", "the time 24:01"),
        ("22:60-23", "the time 22:60"),
        ("8-8", "holds no time: a whole day is 00-24"),
        ("mon-foo 8-9", "the day 'foo'"),
        ("\u0662-8", "is no span of hours"),
        (",".join(["1-2"] * 33), "has 33 spans; 32 are allowed"),
    ],
)
def test_wrong_hours_say_what_is_wrong_and_how_to_write_them(text: str, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words) as refusal:
        read_hours(text)
    assert "mon-fri 22-08" in str(refusal.value)


def seconds_open(hours: str, start: float, wall: Callable[[float], datetime]) -> float:
    """How long they hold in the 24 hours after `start`."""
    found = read_hours(hours)
    return 60.0 * sum(found.hold(wall(start + 60 * n)) for n in range(24 * 60))


@pytest.mark.parametrize(
    ("turn", "night"), [(SPRING, 9.0), (AUTUMN, 11.0), (MONDAY, 10.0)], ids=str
)
def test_on_the_days_when_the_clocks_change_the_wall_clock_counts(
    turn: float, night: float
) -> None:
    """The night before summer time is an hour shorter, and the one that ends it an hour longer."""
    evening = turn - 13 * HOUR
    assert seconds_open("22-08", evening, europe) == night * HOUR
    found = read_hours("22-08")
    opens = found.changes(evening, europe)
    assert opens is not None
    assert f"{europe(opens):%H:%M}" == "22:00"
    closes = found.changes(opens, europe)
    assert closes is not None
    assert (closes - opens, f"{europe(closes):%H:%M}") == (night * HOUR, "08:00")


def test_an_hour_that_the_clocks_skip_is_nobodys_and_one_that_comes_twice_is_shared_twice() -> None:
    assert seconds_open("02:00-03:00", SPRING - 12 * HOUR, europe) == 0
    assert seconds_open("02:00-03:00", AUTUMN - 12 * HOUR, europe) == 2 * HOUR
    opens = read_hours("02:30-04:00").changes(SPRING - HOUR, europe)
    assert opens == SPRING, "it is 3:00 at once, in the middle of the span"


def test_when_they_change_is_said_by_the_day() -> None:
    assert read_hours("always").changes(MONDAY, utc) is None
    assert read_hours("00-24").changes(MONDAY, utc) is None
    found = read_hours("sun 10:30-11")
    opens = found.changes(MONDAY + 5, utc)
    assert opens == MONDAY + 6 * 24 * HOUR + 10.5 * HOUR
    assert at(opens, MONDAY, utc) == "10:30 on Sunday"
    assert at(opens, opens - HOUR, utc) == "10:30"
    assert at(opens, opens - 20 * HOUR, utc) == "10:30 tomorrow"
