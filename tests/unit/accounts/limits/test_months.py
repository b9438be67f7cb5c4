"""Months are found again, few are kept, and one older than all is the oldest that is known."""

from __future__ import annotations

from aiplat.accounts.limits.months import MOST_MONTHS, Months, use_of


def used(months: Months, subject: str, month: int) -> int:
    use = months.find(subject, month)
    return 0 if use is None else use.used


def take(months: Months, subject: str, month: int, tokens: int) -> None:
    use_of(months.now(month), subject).used += tokens


def test_each_month_has_its_own() -> None:
    months = Months()
    take(months, "a", 10, 5)
    take(months, "b", 10, 1)
    take(months, "a", 11, 7)
    assert (used(months, "a", 10), used(months, "b", 10), used(months, "a", 11)) == (5, 1, 7)
    assert used(months, "b", 11) == 0


def test_a_month_that_was_seen_is_found_again() -> None:
    months = Months()
    take(months, "a", 10, 5)
    for _ in range(3):
        take(months, "a", 99, 1)
        take(months, "a", 10, 1)
    assert (used(months, "a", 10), used(months, "a", 99)) == (8, 3)


def test_one_older_than_all_is_the_oldest() -> None:
    months = Months()
    take(months, "a", 10, 5)
    take(months, "a", 12, 1)
    take(months, "a", 3, 2)
    assert used(months, "a", 10) == 7
    assert used(months, "a", 3) == 7
    assert used(months, "a", 11) == 0  # newer than one that is known: a month of its own


def test_what_the_store_knows_of_an_older_month_makes_that_known() -> None:
    months = Months()
    take(months, "a", 50, 5)
    take(months, "a", 10, 1)  # counts in the only one
    months.add("a", 10, 100)
    assert used(months, "a", 10) == 100
    take(months, "a", 10, 1)
    assert (used(months, "a", 10), used(months, "a", 50)) == (101, 6)


def test_what_was_used_before_adds_up() -> None:
    months = Months()
    months.add("a", 10, 100)
    months.add("a", 10, 20)
    take(months, "a", 10, 3)
    assert used(months, "a", 10) == 123


def test_few_months_are_kept_and_a_clock_that_jumps_about_loses_none_it_comes_back_to() -> None:
    months = Months()
    take(months, "a", 10, 5)
    for month in range(100, 120):
        take(months, "a", month, 1)
        take(months, "a", 10, 1)
    assert used(months, "a", 10) == 25
    assert len(months._tables) == MOST_MONTHS


def test_the_month_that_it_is_stays_whatever_is_told_of_others() -> None:
    months = Months()
    take(months, "a", 10, 5)
    for month in range(100, 120):
        months.add("a", month, 1)
    assert used(months, "a", 10) == 5
    take(months, "a", 10, 1)
    assert used(months, "a", 10) == 6


def test_looking_makes_nothing() -> None:
    months = Months()
    assert months.find("a", 10) is None
    take(months, "a", 10, 1)
    assert months.find("b", 10) is None
    assert months.find("a", 11) is None
    assert list(months._tables) == [10]


def test_a_subject_is_forgotten_in_all_months_and_an_empty_counter_is_tidied_away() -> None:
    months = Months()
    take(months, "a", 10, 5)
    take(months, "a", 11, 5)
    take(months, "b", 11, 0)
    months.tidy("a")
    months.tidy("b")
    assert months.find("a", 10) is not None
    assert months.find("b", 11) is None
    months.forget("a")
    assert (months.find("a", 10), months.find("a", 11)) == (None, None)
