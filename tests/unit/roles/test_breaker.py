"""The breaker: who failed rests, and comes back through one trial."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aiplat.roles.breaker import Breaker, Turn


def test_who_failed_rests_and_is_tried_with_one() -> None:
    breaker = Breaker(1.0, 8.0)
    breaker.placed().failed(10.0)
    assert not breaker.allows(10.9)
    assert breaker.rests_for(10.25) == 0.75
    assert breaker.allows(11.0)
    trial = breaker.placed()
    assert not breaker.allows(99.0), "one trial, and no more until it ended"
    trial.succeeded()
    assert breaker.allows(99.0)


def test_each_failure_doubles_the_rest_up_to_the_longest() -> None:
    breaker = Breaker(1.0, 4.0)
    rests = []
    for n in range(5):
        breaker.placed().failed(100.0 * n)
        rests.append(breaker.rests_for(100.0 * n))
    assert rests == [1.0, 2.0, 4.0, 4.0, 4.0]
    breaker.placed().succeeded()
    breaker.placed().failed(0.0)
    assert breaker.rests_for(0.0) == 1.0, "a success forgets them"


def test_a_trial_that_told_nothing_makes_way_for_another() -> None:
    breaker = Breaker(1.0, 4.0)
    breaker.placed().failed(0.0)
    breaker.placed().gave_up(5.0)
    assert breaker.allows(5.0)
    breaker.placed()
    assert not breaker.allows(5.0)


def test_ten_requests_that_fail_together_are_one_failure() -> None:
    breaker = Breaker(1.0, 64.0)
    for turn in [breaker.placed() for _ in range(10)]:
        turn.failed(0.0)
    assert breaker.rests_for(0.0) == 1.0


def test_what_was_placed_before_the_rest_neither_ends_the_trial_nor_makes_a_second() -> None:
    breaker = Breaker(1.0, 64.0)
    early = [breaker.placed() for _ in range(4)]
    early[0].failed(0.0)
    trial = breaker.placed()
    early[1].gave_up(2.0)
    early[2].failed(2.0)
    early[3].succeeded()
    assert not breaker.allows(99.0)
    trial.failed(3.0)
    assert breaker.rests_for(3.0) == 2.0


def test_an_answer_that_began_and_then_broke_is_a_failure_too() -> None:
    breaker = Breaker(1.0, 64.0)
    breaker.placed().failed(0.0)
    trial = breaker.placed()
    trial.succeeded()
    trial.failed(5.0)
    assert breaker.rests_for(5.0) == 1.0


def test_it_is_history_when_closed_or_long_after() -> None:
    breaker = Breaker(1.0, 8.0)
    assert breaker.is_history(0.0)
    breaker.placed().failed(0.0)
    assert not breaker.is_history(8.9)
    assert breaker.is_history(9.0)


@given(
    st.lists(
        st.tuples(st.sampled_from(["look", "fail", "succeed", "give up", "wait"]), st.integers(0)),
        max_size=60,
    )
)
def test_at_most_one_trial_at_once_and_never_for_ever(steps: list[tuple[str, int]]) -> None:
    breaker, now = Breaker(1.0, 8.0), 0.0
    under_way: list[Turn] = []
    trial: Turn | None = None
    for step, which in steps:
        if step == "wait":
            now += 0.7
        elif step == "look":
            if breaker.allows(now):
                assert trial not in under_way, "a second request while the trial runs"
                was = breaker.state
                turn = breaker.placed()
                under_way.append(turn)
                trial = turn if was == "open" else None
        elif under_way:
            turn = under_way.pop(which % len(under_way))
            if step == "fail":
                turn.failed(now)
            elif step == "succeed":
                turn.succeeded()
            else:
                turn.gave_up(now)
    for turn in under_way:
        turn.gave_up(now)
    assert breaker.allows(now + 8.0)
