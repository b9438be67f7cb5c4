"""Of clients that wait as long as they are told, at least eight in ten are let in.

They ask again as soon as they have an answer, and so take what is free for others, too: nobody is
refused who fits. What each then has of the limit is less than nothing to wait for.
"""

from __future__ import annotations

from typing import Any

import pytest

from .crowd import Crowd
from .world import key

SECONDS = 1800


def never(_: Any) -> float:
    return 1e9


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("rpm", [5, 20, 60, 300])
def test_requests(rpm: int, seed: int) -> None:
    counted = Crowd(key(rpm=rpm), seed=seed).run(50, SECONDS)
    assert counted.others_out > 50
    assert counted.back_in > 50
    assert counted.share >= 0.8


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("rpm", [20, 60])
def test_requests_of_those_who_come_at_any_time(rpm: int, seed: int) -> None:
    counted = Crowd(key(rpm=rpm), seed=seed, comes=60).run(50, SECONDS)
    assert counted.back_in > 50
    assert counted.share >= 0.8


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("tpm", [5_000, 20_000, 50_000])
def test_tokens_of_which_a_random_share_is_used(tpm: int, seed: int) -> None:
    counted = Crowd(key(tpm=tpm), seed=seed, asks=lambda r: r.uniform(50, 500)).run(50, SECONDS)
    assert counted.back_in > 30
    assert counted.share >= 0.8


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("tpm", [20_000, 50_000, 100_000])
def test_tokens_of_large_requests_and_small_ones(tpm: int, seed: int) -> None:
    counted = Crowd(key(tpm=tpm), seed=seed, asks=lambda r: r.uniform(100, 2000)).run(50, SECONDS)
    assert counted.back_in > 30
    assert counted.share >= 0.8


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("at_once", [1, 4, 10])
def test_places_for_a_crowd_that_each_asks_once(at_once: int, seed: int) -> None:
    crowd = Crowd(key(at_once=at_once), seed=seed, rests=never, lasts=lambda r: r.expovariate(0.3))
    counted = crowd.run(50, SECONDS)
    assert counted.back_in == 50 - at_once  # all had their turn
    assert counted.share >= 0.8


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("lasts", [lambda r: r.uniform(0.2, 5), lambda r: r.expovariate(1 / 3),
                                   lambda r: min(r.lognormvariate(0.5, 1.2), 120)])  # fmt: skip
def test_places_for_those_who_rest_between(lasts: Any, seed: int) -> None:
    crowd = Crowd(key(at_once=4), seed=seed, lasts=lasts, rests=lambda r: r.expovariate(1 / 30))
    counted = crowd.run(50, 2 * SECONDS)
    assert counted.back_in > 50
    assert counted.share >= 0.8


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_key_and_its_user_with_all_limits_at_once(seed: int) -> None:
    laptop = key("laptop", rpm=60, tpm=60_000, at_once=20)
    user = key("user", rpm=100, tpm=40_000, at_once=10)
    crowd = Crowd(
        laptop, user, seed=seed, asks=lambda r: r.uniform(50, 500), rests=lambda r: r.expovariate(1)
    )
    counted = crowd.run(50, 2 * SECONDS)
    assert counted.back_in > 50
    assert counted.share >= 0.8
