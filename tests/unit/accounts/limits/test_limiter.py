"""Each rule of the limits, as a gateway meets it."""

from __future__ import annotations

import time

import pytest

from aiplat.accounts.limits.limiter import Limiter, QuotaHit, RateLimitHit
from aiplat.domain.errors import RateLimited

from .world import World, key


def test_requests_of_any_sixty_seconds() -> None:
    world, laptop = World(), key("laptop", rpm=2)
    world.admit(laptop).settle(0)
    world.wait(20)
    world.admit(laptop).settle(0)  # a failure, too, stays counted
    assert world.hit(laptop).limit == "requests_per_minute"
    world.wait(40)
    assert not world.lets_in(laptop)
    world.wait(0.001)
    assert world.lets_in(laptop)
    assert not world.lets_in(laptop)
    world.wait(20)
    assert world.lets_in(laptop)


def test_tokens_are_reserved_first_and_what_was_not_used_is_free_at_once() -> None:
    world, laptop = World(), key(tpm=100)
    first = world.admit(laptop, tokens=70)
    assert world.hit(laptop, tokens=31).limit == "tokens_per_minute"
    first.settle(20)
    assert world.lets_in(laptop, tokens=80)
    assert not world.lets_in(laptop, tokens=1)


def test_tokens_count_at_the_moment_the_request_was_let_in() -> None:
    world, laptop = World(), key(tpm=100)
    slow = world.admit(laptop, tokens=100)
    world.wait(50)
    slow.settle(60)
    world.wait(10)
    assert not world.lets_in(laptop, tokens=41)
    world.wait(0.001)
    assert world.lets_in(laptop, tokens=100)


def test_one_longer_than_a_minute_gives_nothing_back() -> None:
    world, laptop = World(), key(tpm=100)
    slow = world.admit(laptop, tokens=100)
    world.wait(60.001)
    other = world.admit(laptop, tokens=100)
    slow.settle(0)
    assert not world.lets_in(laptop, tokens=1)
    other.settle(0)
    assert world.lets_in(laptop, tokens=100)


def test_requests_at_once() -> None:
    world, laptop = World(), key(at_once=2)
    first, _ = world.admit(laptop), world.admit(laptop)
    world.wait(600)
    assert world.hit(laptop).limit == "concurrent"
    first.settle(5)
    assert world.lets_in(laptop)
    assert not world.lets_in(laptop)


def test_a_second_settlement_does_nothing() -> None:
    world, laptop = World(), key(at_once=1, tpm=100, month=1000)
    first = world.admit(laptop, tokens=50)
    first.settle(40)
    second = world.admit(laptop, tokens=60)
    first.settle(0)
    first.adjust(0)
    first.adjust(100)
    assert world.hit(laptop).limit == "concurrent"
    second.settle(60)
    assert world.hit(laptop, tokens=1).limit == "tokens_per_minute"
    assert world.limiter.used_this_month("key:k") == 100


def test_tokens_of_a_month() -> None:
    world, laptop = World(), key(month=100)
    world.limiter.used_before("key:k", world.month, 30)
    first = world.admit(laptop, tokens=70)
    assert world.limiter.used_this_month("key:k") == 30
    hit = world.hit(laptop, tokens=1)
    assert (hit.limit, hit.code, hit.retry_after) == ("tokens_per_month", "insufficient_quota", 1e6)
    first.settle(10)
    assert world.limiter.used_this_month("key:k") == 40
    assert not world.lets_in(laptop, tokens=61)
    world.admit(laptop, tokens=60).settle(60)
    world.wait(1e5)
    assert not world.lets_in(laptop, tokens=1)
    world.month += 1
    assert world.limiter.used_this_month("key:k") == 0
    assert world.lets_in(laptop, tokens=100)


def test_a_request_counts_in_the_month_in_which_it_was_let_in() -> None:
    world, laptop = World(), key(month=100)
    running = world.admit(laptop, tokens=100)
    world.month += 1
    new = world.admit(laptop, tokens=90)
    running.adjust(40)
    assert world.hit(laptop, tokens=11).limit == "tokens_per_month"
    running.adjust(100)  # there is that much in its own month
    running.settle(30)
    new.settle(90)
    assert world.limiter.used_this_month("key:k") == 90
    world.month -= 1
    assert world.limiter.used_this_month("key:k") == 30
    assert world.lets_in(laptop, tokens=70)


def test_use_of_a_month_is_counted_without_a_limit_for_when_one_is_set() -> None:
    world = World()
    world.admit(key(), tokens=80).settle(70)
    running = world.admit(key(), tokens=20)
    assert world.hit(key(month=100), tokens=11).limit == "tokens_per_month"
    assert world.hit(key(at_once=1)).limit == "concurrent"
    running.settle(0)
    assert world.lets_in(key(month=100, at_once=1), tokens=30)


def test_all_subjects_decide_together_and_a_refusal_takes_nothing() -> None:
    world = World()
    laptop, phone = key("laptop", rpm=5, tpm=100, at_once=5, month=100), key("phone")
    user = key("user", rpm=2, tpm=150, at_once=2, month=150)
    world.admit(phone, user, tokens=60).settle(60)
    hit = world.hit(laptop, user, tokens=95)
    assert (hit.limit, hit.subject) == ("tokens_per_month", "key:user")
    for _ in range(10):
        world.hit(laptop, user, tokens=95)
    assert world.limiter.used_this_month("key:laptop") == 0
    running = world.admit(laptop, user, tokens=90)  # all of it is there still
    assert world.limiter.state([laptop]).requests_remaining == 4
    assert world.hit(phone, user).limit == "requests_per_minute"
    running.settle(90)


def test_of_several_limits_the_one_with_the_longest_wait_is_told() -> None:
    world, laptop = World(), key(rpm=1, tpm=10, month=10)
    world.admit(laptop, tokens=5)
    world.wait(30)
    assert world.hit(laptop, tokens=2).limit == "requests_per_minute"
    assert world.hit(laptop, tokens=6).limit == "tokens_per_month"
    world.ends = 3.2
    hit = world.hit(laptop, tokens=6)
    assert hit.limit != "tokens_per_month"
    assert hit.retry_after is not None
    assert hit.retry_after > 30


def test_what_can_never_fit_is_told_so() -> None:
    world, laptop = World(), key("laptop", tpm=100)
    hit = world.hit(laptop, tokens=101)
    assert isinstance(hit, RateLimited)
    assert hit.limit == "tokens_per_minute"
    assert hit.retry_after == 86_400
    assert str(hit) == (
        "The key 'laptop' may take 100 tokens a minute, and this request alone may come to 101: no "
        "waiting helps. Send a shorter prompt, or a smaller max_tokens."
    )
    running = world.admit(laptop, tokens=10)
    with pytest.raises(RateLimitHit, match="no waiting helps"):
        running.adjust(101)
    month = world.hit(key(month=100, rpm=1), tokens=101)
    assert (month.limit, month.code) == ("tokens_per_month", "insufficient_quota")
    assert "100 tokens a month" in str(month)


def test_more_is_taken_at_the_moment_of_the_adjustment() -> None:
    world, laptop = World(), key(tpm=100)
    running = world.admit(laptop, tokens=40)
    world.wait(30)
    running.adjust(90)
    assert not world.lets_in(laptop, tokens=11)
    world.wait(30.001)
    assert not world.lets_in(laptop, tokens=51)  # the fifty of the adjustment are there still
    assert world.lets_in(laptop, tokens=50)


def test_an_adjustment_that_does_not_fit_everywhere_changes_nothing() -> None:
    world = World()
    laptop, user = key("laptop", tpm=100), key("user", month=120)
    other = world.admit(user, tokens=40)
    running = world.admit(laptop, user, tokens=50)
    beside = world.admit(laptop, tokens=40)
    with pytest.raises(RateLimitHit) as minute:
        running.adjust(61)
    assert (minute.value.limit, minute.value.subject) == ("tokens_per_minute", "key:laptop")
    beside.settle(0)
    with pytest.raises(QuotaHit) as month:
        running.adjust(81)
    assert month.value.subject == "key:user"
    assert "120 tokens a month: 0 are used, 40 reserved" in str(month.value)
    running.adjust(80)
    assert world.hit(user, tokens=1).limit == "tokens_per_month"
    running.settle(80)
    other.settle(40)
    assert world.lets_in(laptop, tokens=20)
    assert world.limiter.used_this_month("key:user") == 120


def test_what_was_added_last_is_given_back_first() -> None:
    world, laptop = World(), key(tpm=100)
    running = world.admit(laptop, tokens=40)
    for whole in (70, 100):
        world.wait(10)
        running.adjust(whole)
    running.adjust(80)
    assert world.lets_in(laptop, tokens=20)
    assert not world.lets_in(laptop, tokens=1)
    world.wait(40.001)
    assert world.lets_in(laptop, tokens=40)  # those of its beginning have left
    assert not world.lets_in(laptop, tokens=1)
    world.wait(10)
    assert world.lets_in(laptop, tokens=30)
    assert not world.lets_in(laptop, tokens=1)
    world.wait(9.999)
    assert not world.lets_in(laptop, tokens=1)
    world.wait(0.001)
    assert world.lets_in(laptop, tokens=10)


def test_what_is_held_and_what_is_used_are_told_apart_to_the_end() -> None:
    def told(tokens: int) -> str:
        return str(world.hit(laptop, tokens=tokens)).split(": ")[1].split(" by")[0]

    world, laptop = World(), key(tpm=100)
    running = world.admit(laptop, tokens=40)
    world.wait(1)
    running.adjust(60)
    world.wait(1)
    running.adjust(100)
    assert told(1) == "0 are used, 100 reserved"
    running.adjust(30)
    assert told(71) == "0 are used, 30 reserved"
    world.wait(1)
    running.adjust(90)
    running.settle(60)
    assert told(41) == "60 are used, 0 reserved"
    world.wait(60)
    assert told(71) == "30 are used, 0 reserved"
    world.wait(1)
    assert world.lets_in(laptop, tokens=100)


def test_what_was_used_beyond_the_reservation_counts_too() -> None:
    world, laptop = World(), key(tpm=100, month=200)
    running = world.admit(laptop, tokens=10)
    world.wait(30)
    running.settle(150)
    assert world.limiter.used_this_month("key:k") == 150
    assert world.hit(laptop, tokens=1).limit == "tokens_per_minute"
    world.wait(30.001)
    assert not world.lets_in(laptop, tokens=1)
    world.wait(30)
    assert world.lets_in(laptop, tokens=50)


def test_numbers_below_zero_are_nobodys_tokens() -> None:
    world, laptop = World(), key(tpm=100)
    with pytest.raises(ValueError, match="-1"):
        world.admit(laptop, tokens=-1)
    running = world.admit(laptop, tokens=100)
    with pytest.raises(ValueError, match="-5"):
        running.adjust(-5)
    running.settle(-5)  # a settlement always gives the place back
    assert world.limiter.used_this_month("key:k") == 0
    assert world.lets_in(laptop, tokens=100)


def test_limits_may_change_from_one_call_to_the_next() -> None:
    world = World()
    for _ in range(3):
        world.admit(key(rpm=3, tpm=90), tokens=30)
    assert not world.lets_in(key(rpm=3, tpm=90))
    assert not world.lets_in(key(rpm=1))
    assert world.hit(key(tpm=60), tokens=1).limit == "tokens_per_minute"
    running = world.admit(key(rpm=4, tpm=200), tokens=30)
    assert not world.lets_in(key(rpm=4))
    assert world.lets_in(key())
    world.hit(key(tpm=125), tokens=6)  # now these are its limits
    with pytest.raises(RateLimitHit):
        running.adjust(36)
    running.adjust(35)


def test_a_limit_of_a_minute_counts_from_when_it_was_set() -> None:
    world = World()
    before = world.admit(key(), tokens=50)
    running = world.admit(key(tpm=100), tokens=100)
    before.settle(0)
    assert not world.lets_in(key(tpm=100), tokens=1)
    running.settle(0)
    assert world.lets_in(key(tpm=100), tokens=100)


def test_a_forgotten_subject_begins_anew_and_its_requests_end_as_they_would() -> None:
    world, laptop = World(), key(rpm=1, tpm=100, at_once=1, month=100)
    user = key("user", tpm=100)
    running = world.admit(laptop, user, tokens=60)
    world.limiter.forget("key:k")
    world.limiter.forget("key:never")
    assert world.limiter.used_this_month("key:k") == 0
    new = world.admit(laptop, tokens=100)
    running.adjust(80)
    running.settle(70)
    assert world.limiter.used_this_month("key:k") == 0
    assert world.hit(laptop).limit == "requests_per_minute"
    assert not world.lets_in(user, tokens=31)
    assert world.lets_in(user, tokens=30)
    new.settle(100)
    assert world.limiter.used_this_month("key:k") == 100


def test_looking_for_the_idle_does_not_meet_those_that_were_forgotten() -> None:
    world, laptop = World(), key(rpm=1)
    world.admit(laptop).settle(0)
    world.admit(key("gone")).settle(0)
    world.limiter.forget("key:k")
    world.limiter.forget("key:gone")
    world.wait(30)
    world.admit(laptop).settle(0)
    world.wait(30.001)
    assert not world.lets_in(key("other", rpm=1), laptop)
    assert len(world.limiter) == 2


def test_a_clock_that_goes_back_stands_still() -> None:
    world, laptop = World(), key(rpm=1, tpm=10)
    world.admit(laptop, tokens=10)
    world.wait(30)
    assert not world.lets_in(laptop)
    world.wait(-4000)
    assert not world.lets_in(laptop)
    world.wait(4000 + 30)
    assert not world.lets_in(laptop)
    world.wait(0.001)
    running = world.admit(laptop, tokens=10)
    world.wait(-50)
    running.settle(4)
    assert world.limiter.state([laptop]).tokens_remaining == 6


def test_what_is_taken_while_the_clock_is_back_counts_from_the_latest_time() -> None:
    world, laptop = World(), key(rpm=1)
    world.limiter.state([laptop])
    world.wait(-30)
    world.admit(laptop)
    world.wait(60.001)
    assert not world.lets_in(laptop)
    world.wait(30)
    assert world.lets_in(laptop)


def test_what_is_known_of_idle_subjects_is_dropped_but_their_months_stay() -> None:
    world = World()
    running = world.admit(key("slow", rpm=9, tpm=99), tokens=9)
    for number in range(500):
        world.admit(key(str(number), rpm=9, tpm=99, at_once=9), tokens=9).settle(number % 2)
        world.hit(key(f"refused {number}", tpm=1), tokens=5)
    assert len(world.limiter) == 1001
    world.wait(60.001)
    for _ in range(300):
        world.admit(key("other")).settle(0)
    assert len(world.limiter) == 2
    assert world.limiter.used_this_month("key:3") == 1
    assert set(world.limiter._months.now(world.month)) == {
        "key:slow", "key:other", *(f"key:{number}" for number in range(1, 500, 2))
    }  # fmt: skip
    running.settle(0)
    world.wait(60.001)
    for _ in range(3):
        world.admit(key("other")).settle(0)
    assert len(world.limiter) == 1


def test_looking_for_the_idle_is_bounded() -> None:
    world = World()
    for number in range(1000):
        world.admit(key(str(number))).settle(0)
    world.wait(61)
    world.admit(key("other")).settle(0)
    assert len(world.limiter) == 1000 - 8 + 1


def test_who_waits_for_a_promise_is_not_forgotten() -> None:
    """Else the next would be told the time that was told before."""
    world, laptop = World(), key(at_once=1)
    running = world.admit(laptop)
    waits = [world.hit(laptop).retry_after for _ in range(20)]
    assert waits == sorted(set(waits), key=lambda wait: wait or 0)
    world.wait(0.5)
    running.settle(0)
    world.wait(61)
    for _ in range(5):
        world.admit(key("other")).settle(0)
    assert len(world.limiter) == 2
    world.wait(400)
    for _ in range(5):
        world.admit(key("other")).settle(0)
    assert len(world.limiter) == 1


def test_what_it_is_made_of_costs_nothing_until_it_is_needed() -> None:
    world = World()
    world.admit(key()).settle(0)
    (state,) = world.limiter._states.values()
    assert (state.window, state.promises, state.durations) == (None, None, None)


def test_a_limiter_by_real_clocks() -> None:
    limiter = Limiter(time.monotonic, lambda: 24_000, lambda: 1e6)
    limiter.admit([key(rpm=1)], 5).settle(5)
    with pytest.raises(RateLimitHit) as refused:
        limiter.admit([key(rpm=1)], 5)
    assert refused.value.retry_after in (60.0, 61.0)
