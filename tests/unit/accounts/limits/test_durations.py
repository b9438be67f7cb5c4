"""How long one more request will take, by those before it."""

from __future__ import annotations

from aiplat.accounts.limits.durations import Durations


def of(*seconds: float) -> Durations:
    durations = Durations(100)
    for one in seconds:
        durations.add(round(one * 1000))
    return durations


def test_it_is_a_high_quantile_and_not_the_longest() -> None:
    durations = of(*(n / 5 for n in range(1, 100)), 3000)
    assert durations.says_something
    assert durations.still_takes(0) == 18_200


def test_one_that_lasts_already_is_compared_with_those_that_lasted_as_long() -> None:
    durations = of(*[2] * 90, *[20] * 10)
    assert durations.still_takes(1000) == 19_000
    assert durations.still_takes(5000) == 15_000
    assert durations.still_takes(30_000) == 30_000  # longer than all: as long again


def test_it_is_from_one_second_to_sixty() -> None:
    assert of(*[0.01] * 20).still_takes(0) == 1000
    assert of(*[400] * 20).still_takes(0) == 60_000
    assert of().still_takes(300_000) == 60_000


def test_a_few_say_nothing_and_none_is_a_guess() -> None:
    assert not of(*[3] * 7).says_something
    assert of(*[3] * 8).says_something
    assert of().still_takes(0) == 10_000


def test_only_the_latest_count() -> None:
    durations = of(*[50] * 100)
    assert durations.still_takes(0) == 50_000
    for _ in range(100):
        durations.add(2000)
    assert durations.still_takes(0) == 2000
