"""Wrong passwords make the next try wait; on a clock that is set by hand."""

from __future__ import annotations

import pytest

from aiplat.accounts import slowdown
from aiplat.accounts.slowdown import FORGET_SECONDS, Slowdown
from aiplat.domain.errors import RateLimited
from tests.unit.accounts.helpers import Clock, refused


def waits(slow: Slowdown, name: str = "ann") -> float:
    """How long the next try has to wait."""
    try:
        slow.check(name)
    except RateLimited as error:
        return error.retry_after or -1.0
    return 0.0


def test_after_three_in_a_row_each_waits_twice_as_long_up_to_a_minute() -> None:
    clock = Clock()
    slow = Slowdown(clock.now, "in a row for this account")
    found = []
    for _ in range(12):
        slow.failed("ann")
        found.append(waits(slow))
        clock.passes(found[-1])
        assert waits(slow) == 0, "who waits so long is heard"
    assert found == [0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60, 60]


def test_who_comes_too_early_is_told_when() -> None:
    clock = Clock()
    slow = Slowdown(clock.now, "in a row for this account")
    for _ in range(5):
        slow.failed("ann")
    clock.passes(3.6)
    words = "There were 5 wrong passwords in a row for this account: the next try is heard in 1 s"
    with refused(RateLimited, words) as caught:
        slow.check("ann")
    assert caught.value.retry_after == pytest.approx(0.4)
    assert waits(slow, "bob") == 0, "others are not concerned"


def test_the_right_one_ends_it_and_so_does_an_hour() -> None:
    clock = Clock()
    slow = Slowdown(clock.now, "", free=1)
    for name in ("ann", "bob"):
        for _ in range(4):
            slow.failed(name)
    slow.succeeded("ann")
    slow.succeeded("unknown")
    slow.failed("ann")
    assert waits(slow, "ann") == 1
    clock.passes(FORGET_SECONDS + 1)
    slow.failed("bob")
    assert waits(slow, "bob") == 1


def test_one_that_was_none_is_taken_back_and_no_other() -> None:
    clock = Clock()
    slow = Slowdown(clock.now, "", free=1)
    for _ in range(3):
        slow.failed("ann")
    clock.passes(3)
    counted = slow.failed("ann")
    assert waits(slow) == 8
    slow.take_back("ann", counted)
    assert waits(slow) == 1, "of three, as long as before"
    counted = slow.failed("ann")
    clock.passes(1)
    slow.failed("ann")
    slow.take_back("ann", counted)
    assert waits(slow) == 8, "one that came since stays, with its time"
    slow.take_back("bob", slow.failed("bob"))
    slow.take_back("bob", counted)
    assert list(slow._failures) == ["ann"], "there is nothing left to know of bob"


def test_who_is_slowed_does_not_make_it_worse_by_asking() -> None:
    clock = Clock()
    slow = Slowdown(clock.now, "", free=1)
    slow.failed("ann")
    for _ in range(1000):
        waits(slow)
    clock.passes(1)
    assert waits(slow) == 0


def test_names_are_bounded_and_the_oldest_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slowdown, "MAX_KNOWN", 10)
    slow = Slowdown(Clock().now, "", free=1)
    for number in range(25):
        slow.failed(f"user{number}")
        slow.failed("ann")
    assert len(slow._failures) == 10
    assert waits(slow, "ann") == 60, "who fails again and again stays"
    assert waits(slow, "user0") == 0


def test_a_very_long_row_is_no_overflow() -> None:
    slow = Slowdown(Clock().now, "")
    for _ in range(5000):
        slow.failed("ann")
    assert waits(slow) == 60
