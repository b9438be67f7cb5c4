"""The breaker: who failed rests, and comes back through one trial."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aiplat.roles.breaker import Breaker


def test_who_failed_rests_and_is_tried_with_one() -> None:
    breaker = Breaker(1.0, 8.0)
    breaker.placed()
    breaker.failed(10.0)
    assert not breaker.allows(10.9)
    assert breaker.rests_for(10.25) == 0.75
    assert breaker.allows(11.0)
    breaker.placed()
    assert not breaker.allows(99.0), "one trial, and no more until it ended"
    breaker.succeeded()
    assert breaker.allows(99.0)


def test_each_failure_doubles_the_rest_up_to_the_longest() -> None:
    breaker = Breaker(1.0, 4.0)
    rests = []
    for n in range(5):
        breaker.failed(100.0 * n)
        rests.append(breaker.rests_for(100.0 * n))
    assert rests == [1.0, 2.0, 4.0, 4.0, 4.0]
    breaker.succeeded()
    breaker.failed(0.0)
    assert breaker.rests_for(0.0) == 1.0, "a success forgets them"


def test_a_trial_that_told_nothing_makes_way_for_another() -> None:
    breaker = Breaker(1.0, 4.0)
    breaker.failed(0.0)
    breaker.placed()
    breaker.gave_up(5.0)
    assert breaker.allows(5.0)
    breaker.placed()
    assert not breaker.allows(5.0)


@given(st.lists(st.sampled_from(["look", "fail", "succeed", "give up", "wait"]), max_size=60))
def test_at_most_one_trial_at_once_and_never_for_ever(steps: list[str]) -> None:
    breaker, now, under_way = Breaker(1.0, 8.0), 0.0, 0
    trial = False
    for step in steps:
        if step == "wait":
            now += 0.7
        elif step == "look" and breaker.allows(now):
            assert not trial, "a second request while the trial runs"
            breaker.placed()
            trial = breaker.state == "trial"
            under_way += 1
        elif under_way and step == "fail":
            under_way -= 1
            breaker.failed(now)
        elif under_way and step == "succeed":
            under_way -= 1
            breaker.succeeded()
        elif under_way and step == "give up":
            under_way -= 1
            breaker.gave_up(now)
        trial = trial and breaker.state == "trial"
    while under_way:
        under_way -= 1
        breaker.gave_up(now)
    assert breaker.allows(now + 8.0)
