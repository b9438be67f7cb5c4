"""What a refusal says: the words, the numbers, and when to come back."""

from __future__ import annotations

import math

import pytest

from aiplat.accounts.limits.limiter import QuotaHit, RateLimitHit, Subject
from aiplat.accounts.limits.promises import MOST_PROMISES
from aiplat.domain.answers import Failed
from aiplat.domain.errors import QuotaExceeded, RateLimited
from aiplat.http.errors import problem_of

from .world import World, key


def waits(world: World, count: int, *subjects: Subject, tokens: int = 0) -> list[float]:
    return [world.hit(*subjects, tokens=tokens).retry_after or 0 for _ in range(count)]


def test_the_words_of_requests() -> None:
    world, laptop = World(), key("laptop", rpm=2)
    world.admit(laptop)
    world.wait(48)
    world.admit(laptop)
    hit = world.hit(laptop)
    assert str(hit) == (
        "The key 'laptop' may send 2 requests a minute, and 2 were let in within the last 60 "
        "seconds. Come back in 13 seconds."
    )
    assert (type(hit), hit.retry_after, hit.subject) == (RateLimitHit, 13, "key:laptop")


def test_the_words_of_tokens() -> None:
    world, laptop = World(), key("laptop", tpm=1000)
    world.admit(laptop, tokens=500).settle(300)
    world.admit(laptop, tokens=600)
    world.wait(30)
    assert str(world.hit(laptop, tokens=250)) == (
        "The key 'laptop' may take 1000 tokens a minute: 300 are used, 600 reserved by requests "
        "under way, and this request may come to 250. Come back in 31 seconds, or ask for fewer "
        "(max_tokens)."
    )


def test_the_words_of_requests_at_once() -> None:
    world, laptop = World(), key("laptop", at_once=1)
    world.admit(laptop)
    assert str(world.hit(laptop)) == (
        "The key 'laptop' may have 1 requests under way at once, and has 1. Come back in 10 "
        "seconds."
    )


def test_the_words_of_a_month() -> None:
    world, laptop = World(), key("laptop", month=1000)
    world.limiter.used_before("key:laptop", world.month, 300)
    world.admit(laptop, tokens=600)
    world.ends = 12.5 * 86_400
    hit = world.hit(laptop, tokens=101)
    assert str(hit) == (
        "The key 'laptop' may take 1000 tokens a month: 300 are used, 600 reserved by requests "
        "under way, and this request may come to 101. The next month (UTC) begins in 13 days."
    )
    assert (type(hit), hit.retry_after) == (QuotaHit, 12.5 * 86_400)


@pytest.mark.parametrize(
    ("ends", "words", "retry"),
    [(0.4, "1 second.", 1), (-5, "1 second.", 1), (90.2, "91 seconds.", 91),
     (7000, "117 minutes.", 7000), (80_000, "23 hours.", 80_000), (1e9, "31 days.", 31 * 86_400)],
)  # fmt: skip
def test_until_the_month_ends(ends: float, words: str, retry: float) -> None:
    world, laptop = World(), key(month=10)
    world.admit(laptop, tokens=10)
    world.ends = ends
    hit = world.hit(laptop, tokens=1)
    assert str(hit).endswith(words)
    assert hit.retry_after == retry


def test_they_are_the_leaves_for_all_others() -> None:
    world = World()
    world.admit(key(rpm=1, month=5), tokens=5)
    rate, quota = world.hit(key(rpm=1)), world.hit(key(month=5), tokens=1)
    for hit, leaf in ((rate, RateLimited), (quota, QuotaExceeded)):
        assert leaf in type(hit).__mro__
        assert type(Failed.of(hit).error()) is leaf
        assert problem_of(hit).status == 429
    assert dict(problem_of(rate).headers)[b"retry-after"] == b"61"


def test_who_comes_when_it_was_told_is_let_in() -> None:
    for laptop in (key(rpm=3), key(tpm=30)):
        world = World()
        for _ in range(3):
            world.admit(laptop, tokens=10).settle(10)
            world.wait(7.77)
        wait = world.hit(laptop, tokens=10).retry_after
        assert wait is not None
        world.wait(wait - 1)
        assert not world.lets_in(laptop, tokens=10)
        world.wait(1)
        assert world.lets_in(laptop, tokens=10)


def test_those_who_wait_for_requests_are_told_one_time_after_the_other() -> None:
    world, laptop = World(), key(rpm=6)
    for _ in range(6):
        world.admit(laptop)
        world.wait(10)
    # Each counts for two, since others will come between.
    assert waits(world, 5, laptop) == [1, 21, 41, 62, 82]


def test_those_who_wait_for_tokens_are_told_times_by_what_they_ask() -> None:
    world, laptop = World(), key(tpm=60)
    for _ in range(6):
        world.admit(laptop, tokens=10).settle(10)
        world.wait(10)
    # Each counts for six times its part, since others will come between.
    assert world.hit(laptop, tokens=4).retry_after == 1
    assert world.hit(laptop, tokens=3).retry_after == 21
    assert world.hit(laptop, tokens=1).retry_after == 41
    # Now there is only room again when the first has left, and others what it gave back.
    assert world.hit(laptop, tokens=20).retry_after == 64


def test_tokens_that_are_reserved_are_not_counted_on_as_a_whole() -> None:
    world, laptop = World(), key(tpm=100)
    world.admit(laptop, tokens=60)  # half of that will be given back, and others take it
    world.wait(20)
    world.admit(laptop, tokens=40).settle(40)
    assert world.hit(laptop, tokens=30).retry_after == 41
    assert World().lets_in(laptop, tokens=100)
    world, laptop = World(), key(tpm=100)
    world.admit(laptop, tokens=60)
    world.wait(20)
    world.admit(laptop, tokens=40).settle(40)
    assert world.hit(laptop, tokens=31).retry_after == 61


def test_what_requests_use_of_what_they_reserve_is_learned() -> None:
    world, laptop = World(), key(tpm=100)
    world.admit(laptop, tokens=60)
    world.hit(laptop, tokens=100)
    for _ in range(100):
        world.wait(61)
        world.admit(laptop, tokens=100).settle(100)
    world.wait(100)
    world.admit(laptop, tokens=60)  # nothing of that will be given back
    world.wait(20)
    world.admit(laptop, tokens=40).settle(40)
    assert world.hit(laptop, tokens=58).retry_after == 41


def test_those_who_came_when_told_and_were_refused_make_the_next_wait_longer() -> None:
    for missed, last in ((0, 61), (8, 122)):
        world, laptop = World(), key(rpm=20)
        for _ in range(20):
            world.admit(laptop)
        wait = world.hit(laptop).retry_after or 0
        for number in range(missed):
            before = 0.4 - number * 0.04
            world.wait(wait - before)
            for _ in range(20):
                world.admit(laptop)  # others, before the one that was told to come
            world.wait(before)
            wait = world.hit(laptop).retry_after or 0
        assert round(waits(world, 8, laptop)[-1]) == pytest.approx(last, abs=1)


def test_those_who_came_when_told_and_were_let_in_make_the_next_wait_shorter() -> None:
    for kept, last in ((0, 122), (110, 61)):
        world, laptop = World(), key(rpm=20)
        for _ in range(kept):
            for _ in range(20):
                world.admit(laptop)
            world.wait(world.hit(laptop).retry_after or 0)
            world.admit(laptop)
            world.wait(30)
            for _ in range(19):
                world.admit(laptop)
            world.wait(61)
        for _ in range(20):
            world.admit(laptop)
        assert waits(world, 16, laptop)[-1] == last


def test_who_waits_for_the_next_month_is_in_nobodys_way_until_then() -> None:
    told = []
    for others in (0, 5):
        world, user = World(), key("user", rpm=10)
        empty, laptop = key("empty", month=5), key("laptop")
        world.limiter.used_before("key:empty", world.month, 5)
        for _ in range(10):
            world.admit(laptop, user)
            world.wait(2)
        for _ in range(others):
            assert world.hit(empty, user, tokens=1).limit == "tokens_per_month"
        told.append(world.hit(laptop, user).retry_after)
    assert told == [41, 41]


def test_those_who_wait_for_a_place_are_told_times_by_how_long_requests_take() -> None:
    world, laptop = World(), key(at_once=2)
    for seconds in [4] * 10:
        running = world.admit(laptop)
        world.wait(seconds)
        running.settle(0)
    world.admit(laptop)
    world.wait(1.5)
    world.admit(laptop)
    # In 2.5 s the first ends. Each of those who wait counts for two, who come and take 4 s.
    assert waits(world, 4, laptop) == [3, 7, 11, 15]


def test_a_subjects_own_requests_tell_more_than_all() -> None:
    world, laptop, other = World(), key(at_once=1), key("other")
    slow = world.admit(laptop)
    assert world.hit(laptop).retry_after == 10  # nobody knows
    for _ in range(20):
        quick = world.admit(other)
        world.wait(0.2)
        quick.settle(0)
    world.wait(25)
    slow.settle(0)
    slow = world.admit(laptop)
    assert world.hit(laptop).retry_after == 1  # as all others take
    for _ in range(8):
        world.wait(20)
        slow.settle(0)
        slow = world.admit(laptop)
    for _ in range(200):
        world.admit(other).settle(0)
    assert world.hit(laptop).retry_after == 29  # its first was its slowest


def test_what_a_busy_subject_showed_is_kept_while_nothing_is_under_way() -> None:
    world, laptop = World(), key(at_once=1)
    running = world.admit(laptop)
    world.hit(laptop)
    for _ in range(20):
        world.wait(30)
        running.settle(0)
        world.wait(30)
        running = world.admit(laptop)
    assert world.hit(laptop).retry_after == 30


def test_one_that_takes_longer_than_usual_is_awaited_as_those_were_that_did() -> None:
    for seconds, wait in ((1.5, 1), (5, 15)):  # a second at least
        world, laptop = World(), key(at_once=1)
        for took in [2] * 95 + [20] * 5:
            running = world.admit(laptop)
            world.wait(took)
            running.settle(0)
        world.admit(laptop)
        world.wait(seconds)
        assert world.hit(laptop).retry_after == wait


def test_nobody_is_refused_for_a_promise_and_a_missed_one_is_over_a_second_later() -> None:
    world, laptop = World(), key(rpm=1)
    world.admit(laptop)
    assert waits(world, 2, laptop) == [61, 122]
    world.wait(60.5)
    assert world.lets_in(laptop)  # before the one who was told to come now
    world = World()
    world.admit(laptop)
    assert waits(world, 2, laptop) == [61, 122]
    world.wait(62.001)
    world.admit(laptop)
    world.wait(1)
    assert waits(world, 1, laptop) == [119]  # only the second is expected still, at 122


def test_one_key_of_a_user_waits_for_those_of_the_others() -> None:
    told = []
    for others in (0, 1):
        world, user = World(), key("user", rpm=4)
        laptop, phone = key("laptop", rpm=1), key("phone")
        world.admit(laptop, user)
        for _ in range(3):
            world.wait(10)
            world.admit(phone, user)
        for _ in range(others):
            assert world.hit(laptop, user).retry_after == 31
        hit = world.hit(phone, user)
        assert hit.subject == "key:user"
        told.append(hit.retry_after)
    assert told == [31, 51]


def test_who_comes_must_fit_all_limits_then() -> None:
    """Places will be free, but others will have sent by then what one may send in a minute."""
    world, laptop = World(), key(rpm=5, at_once=2)
    for _ in range(2):
        world.admit(laptop)
    hits = [world.hit(laptop) for _ in range(4)]
    assert {hit.limit for hit in hits} == {"concurrent"}
    assert [hit.retry_after for hit in hits] == [10, 20, 61, 71]


def test_a_crowd_without_end_is_told_an_hour_at_most_and_remembered_in_part() -> None:
    world, laptop = World(), key(rpm=1)
    world.admit(laptop)
    told = waits(world, MOST_PROMISES + 500, laptop)
    assert told[:3] == [61, 122, 183]
    assert told[-1] == 3600
    assert told == sorted(told)
    assert len(world.limiter._states["key:k"].waiting("requests_per_minute")._all) <= MOST_PROMISES


def test_times_are_whole_seconds_as_the_door_says_them() -> None:
    world, laptop = World(), key(rpm=1, at_once=1)
    world.admit(laptop)
    world.wait(12.345)
    wait = world.hit(laptop).retry_after
    assert wait is not None
    assert wait == math.ceil(wait)
    assert wait == 48


def test_an_adjustment_that_is_refused_says_when_the_whole_would_fit() -> None:
    world, laptop = World(), key("laptop", tpm=100)
    world.admit(laptop, tokens=40).settle(40)
    world.wait(10)
    running = world.admit(laptop, tokens=50)
    world.wait(5)
    with pytest.raises(RateLimitHit) as refused:
        running.adjust(70)
    assert str(refused.value) == (
        "The key 'laptop' may take 100 tokens a minute: 40 are used, 0 reserved by requests under "
        "way, and this request may come to 70. Come back in 46 seconds, or ask for fewer "
        "(max_tokens)."
    )
    running.settle(0)
    world.wait(46)
    assert world.lets_in(laptop, tokens=70)
