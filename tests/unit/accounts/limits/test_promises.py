"""Whom one told to come back, and what that makes one tell the next."""

from __future__ import annotations

import pytest

from aiplat.accounts.limits.promises import LATE, MOST_PROMISES, Promises

STAY = 60_001


def told(promises: Promises, *, lacking: float, taken: int, leaving: list[tuple[int, int]]) -> int:
    last = leaving[-1][0] if leaving else 0
    return promises.free_at(lacking, taken, leaving, last, STAY)


def test_the_first_comes_when_enough_has_left() -> None:
    leaving = [(100, 1), (200, 2), (300, 3)]
    promises = Promises(1.0)
    assert told(promises, lacking=1, taken=6, leaving=leaving) == 100
    assert told(promises, lacking=3, taken=6, leaving=leaving) == 200
    assert told(promises, lacking=4, taken=6, leaving=leaving) == 300


def test_the_next_comes_when_there_is_room_for_both() -> None:
    leaving = [(100, 1), (200, 1), (300, 1)]
    promises = Promises(1.0)
    for expected in (100, 200, 300):
        at = told(promises, lacking=1, taken=3, leaving=leaving)
        assert at == expected
        promises.promise(at, 1)
    # All that is taken is promised. The next has the part of the first, a minute after that came.
    assert told(promises, lacking=1, taken=3, leaving=leaving) == 100 + STAY
    promises.promise(100 + STAY, 1)
    assert told(promises, lacking=1, taken=3, leaving=leaving) == 200 + STAY


def test_where_there_is_room_for_all_who_wait_nobody_waits() -> None:
    promises = Promises(1.0)
    promises.promise(50, 1)
    assert told(promises, lacking=-1, taken=3, leaving=[(100, 3)]) == 0
    assert told(promises, lacking=0, taken=3, leaving=[(100, 3)]) == 100


def test_a_promise_is_over_soon_after_its_time() -> None:
    promises = Promises(1.0)
    promises.promise(1000, 1)
    promises.move(1000 + LATE)
    assert not promises.is_empty(1000 + LATE)
    assert told(promises, lacking=1, taken=2, leaving=[(5000, 1), (6000, 1)]) == 6000
    assert promises.is_empty(1001 + LATE)
    promises.move(1001 + LATE)
    assert told(promises, lacking=1, taken=2, leaving=[(5000, 1), (6000, 1)]) == 5000


def test_who_comes_when_told_waits_no_more() -> None:
    promises = Promises(1.0)
    promises.promise(1000, 1)
    promises.promise(2000, 1)
    assert not promises.claim(500)
    assert promises.claim(1000)
    assert not promises.claim(1000)
    assert told(promises, lacking=1, taken=2, leaving=[(5000, 1), (6000, 1)]) == 6000
    assert promises.claim(2500)
    assert promises.is_empty(2500)


def test_nobody_comes_before_what_is_taken_has_left() -> None:
    promises = Promises(1.0)
    promises.promise(100, 1)
    # Somebody else took it since, for longer than the one that was told to come will.
    assert promises.free_at(1, 1, [(900, 1)], 900, 50) == 900


def test_a_promise_gets_more_room_when_others_come_between_and_less_when_not() -> None:
    leaving = [(100 * n, 1) for n in range(1, 11)]
    promises = Promises(1.0)
    promises.promise(50, 1)
    assert told(promises, lacking=1, taken=10, leaving=leaving) == 200
    for _ in range(8):
        promises.came(let_in=False)
    promises.promise(60, 1)  # counts for more than two now
    assert told(promises, lacking=1, taken=10, leaving=leaving) == 500
    for _ in range(200):
        promises.came(let_in=True)
    promises.promise(70, 1)  # for one again
    assert told(promises, lacking=1, taken=10, leaving=leaving) == 600
    for _ in range(100):
        promises.came(let_in=False)
    promises.promise(80, 1)  # for sixteen at most
    assert promises._promised == pytest.approx(1 + 1.1**8 + 1 + 16)


def test_what_a_promise_counts_for_leaves_with_the_one_that_came() -> None:
    promises = Promises(3.0)
    promises.promise(100, 1)
    promises.promise(200, 1)
    # Six are promised and one is taken: two more than that fit when the first three have left.
    assert promises.free_at(-2, 1, [(50, 1)], 50, 1000) == 1100
    assert promises.free_at(-1, 1, [(50, 1)], 50, 1000) == 1200


def test_promises_are_bounded_and_who_comes_after_is_told_a_window_more() -> None:
    promises = Promises(1.0)
    for number in range(MOST_PROMISES + 5):
        promises.promise(number, 1)
    assert len(promises._all) == MOST_PROMISES
    assert told(promises, lacking=1, taken=3, leaving=[(10, 3)]) == MOST_PROMISES - 1 + STAY


def test_what_leaves_is_looked_through_so_far_and_no_more() -> None:
    looked_at = 0

    def leaving() -> object:
        nonlocal looked_at
        for number in range(60_000):
            looked_at += 1
            yield number, 1

    at = Promises(1.0).free_at(30_000, 60_000, leaving(), 99_999, STAY)  # type: ignore[arg-type]  # it yields pairs
    assert at == 99_999
    assert looked_at <= 501
