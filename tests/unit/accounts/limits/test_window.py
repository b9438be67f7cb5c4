"""The last minute: what is in it to the millisecond, what is given back, and what it keeps."""

from __future__ import annotations

from aiplat.accounts.limits.window import SPAN, Window


def test_a_charge_counts_for_sixty_seconds_and_the_last_millisecond_too() -> None:
    window = Window()
    window.charge(1000, 1, 10)
    window.move(1000 + SPAN)
    assert (window.requests, window.tokens, window.held) == (1, 10, 10)
    window.move(1000 + SPAN + 1)
    assert (window.requests, window.tokens, window.held) == (0, 0, 0)
    assert window.is_empty(1000 + SPAN + 1)


def test_one_millisecond_has_one_bucket() -> None:
    window = Window()
    assert window.charge(5, 1, 10) is window.charge(5, 1, 20)
    assert window.charge(6, 1, 1) is not window.charge(7, 1, 1)
    assert (window.requests, window.tokens) == (4, 32)
    window.move(5 + SPAN + 1)
    assert (window.requests, window.tokens) == (2, 2)


def test_what_is_given_back_is_free_at_once_and_leaves_once() -> None:
    window = Window()
    bucket = window.charge(5, 1, 10)
    window.charge(6, 1, 1)
    window.change(7, bucket, back=8, released=10)
    assert (window.tokens, window.held) == (3, 1)
    window.move(5 + SPAN + 1)
    assert (window.tokens, window.held) == (1, 1)
    window.move(6 + SPAN + 1)
    assert (window.tokens, window.held) == (0, 0)


def test_a_charge_that_left_gives_nothing_back() -> None:
    window = Window()
    bucket = window.charge(5, 1, 10)
    window.charge(9, 1, 4)
    window.change(5 + SPAN + 1, bucket, back=10, released=10)  # before the window moved there
    assert window.tokens == 14
    window.move(5 + SPAN + 1)
    assert (window.tokens, window.held) == (4, 4)
    window.change(5 + SPAN + 1, bucket, back=10, released=10)  # and after
    assert (window.tokens, window.held) == (4, 4)


def test_it_keeps_no_more_than_a_bucket_for_each_millisecond_of_a_minute() -> None:
    window = Window()
    for ms in range(70_000):
        window.move(ms)
        window.charge(ms, 1, 2)
    assert sum(1 for _ in window.requests_leaving()) == SPAN + 1
    assert (window.requests, window.tokens) == (SPAN + 1, 2 * (SPAN + 1))


def test_a_bucket_that_left_holds_no_later_one() -> None:
    window = Window()
    bucket = window.charge(5, 1, 10)
    window.charge(6, 1, 10)
    assert bucket.after is not None
    window.move(5 + SPAN + 1)
    assert bucket.after is None  # else a long request would keep all that came after it


def test_it_says_what_leaves_when() -> None:
    window = Window()
    first = window.charge(5, 1, 10)
    window.charge(7, 2, 6)
    window.change(7, first, back=2, released=10)
    assert list(window.requests_leaving()) == [(60_006, 1), (60_008, 2)]
    assert list(window.tokens_leaving(0.5)) == [(60_006, 8), (60_008, 3)]
    assert (window.requests_free_at, window.tokens_free_at) == (60_008, 60_008)
    window.charge(9, 0, 1)  # by an adjustment
    assert (window.requests_free_at, window.tokens_free_at) == (60_008, 60_010)
