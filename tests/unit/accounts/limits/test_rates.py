"""The figures for the rate-limit headers."""

from __future__ import annotations

import pytest

from aiplat.domain.accounts import RateState

from .world import World, key


def test_nothing_is_said_of_limits_that_are_not_there() -> None:
    world = World()
    world.admit(key(at_once=1, month=5), tokens=5)
    assert world.limiter.state([key(at_once=1, month=5)]) == RateState()


def test_a_subject_of_which_nothing_is_known_has_everything() -> None:
    world = World()
    assert world.limiter.state([key(rpm=5, tpm=100)]) == RateState(
        requests_limit=5, requests_remaining=5, tokens_limit=100, tokens_remaining=100
    )
    assert len(world.limiter) == 0  # asking makes nothing


def test_what_is_left_and_when_all_of_it_is_free() -> None:
    world, laptop = World(), key(rpm=5, tpm=100)
    world.admit(laptop, tokens=10)
    world.wait(20)
    running = world.admit(laptop, tokens=50)
    state = world.limiter.state([laptop])
    assert (state.requests_remaining, state.tokens_remaining) == (3, 40)
    assert state.requests_reset == pytest.approx(60.001)
    world.wait(30)
    running.adjust(60)
    state = world.limiter.state([laptop])
    assert (state.requests_remaining, state.tokens_remaining) == (3, 30)
    assert state.requests_reset == pytest.approx(30.001)
    assert state.tokens_reset == pytest.approx(60.001)
    running.settle(0)
    world.wait(10.001)
    state = world.limiter.state([laptop])
    assert (state.requests_remaining, state.tokens_remaining, state.tokens_reset) == (4, 100, 0)
    world.wait(60)
    assert world.limiter.state([laptop]).requests_reset == 0


def test_of_each_kind_whose_leaves_least() -> None:
    world = World()
    laptop, user = key("laptop", rpm=10, tpm=50), key("user", rpm=3, tpm=1000)
    world.admit(laptop, user, tokens=10)
    state = world.limiter.state([laptop, user])
    assert (state.requests_limit, state.requests_remaining) == (3, 2)
    assert (state.tokens_limit, state.tokens_remaining) == (50, 40)
    assert world.limiter.state([user, laptop]) == state


def test_a_limit_that_was_lowered_below_its_use_leaves_nothing() -> None:
    world = World()
    for _ in range(5):
        world.admit(key(rpm=5))
    assert world.limiter.state([key(rpm=2)]).requests_remaining == 0
