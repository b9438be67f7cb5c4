"""Times in buckets, and quantiles out of them."""

from __future__ import annotations

import random

import pytest

from aiplat.series.buckets import COUNT, EDGES, bucket, largest, quantile


def test_an_upper_bound_belongs_to_its_bucket() -> None:
    assert [bucket(edge) for edge in EDGES] == list(range(len(EDGES)))
    assert bucket(0.0) == 0
    assert bucket(EDGES[0] * 1.001) == 1
    assert bucket(1e9) == COUNT - 1


def test_the_columns_of_files_that_exist_do_not_change() -> None:
    assert EDGES[:3] == (0.005, 0.01, 0.02)
    assert EDGES[-1] == pytest.approx(163.84)
    assert COUNT == 17


def test_quantiles_are_straight_lines_within_a_bucket() -> None:
    counts = [0] * COUNT
    assert quantile(counts, 0.5) is None
    counts[2] = 4  # from 0.01 to 0.02
    assert quantile(counts, 0.5) == pytest.approx(0.015)
    assert quantile(counts, 1.0) == pytest.approx(0.02)
    counts[3] = 4  # to 0.04
    assert quantile(counts, 0.5) == pytest.approx(0.02)
    assert quantile(counts, 0.75) == pytest.approx(0.03)
    counts = [0] * (COUNT - 1) + [3]
    assert quantile(counts, 0.5) == EDGES[-1], "what lies beyond the last bound is told as it"


def test_a_quantile_is_within_a_bucket_of_the_true_one() -> None:
    chance = random.Random(5)
    times = sorted(chance.lognormvariate(-1.0, 1.2) for _ in range(5000))
    counts = [0] * COUNT
    for time in times:
        counts[bucket(time)] += 1
    for share in (0.5, 0.95, 0.99):
        true, found = times[int(share * len(times))], quantile(counts, share)
        assert found is not None
        assert true / 2 < found < true * 2


def test_the_longest_is_bounded_by_the_sum() -> None:
    def counts(*times: float) -> list[int]:
        found = [0] * COUNT
        for time in times:
            found[bucket(time)] += 1
        return found

    assert largest(13.4, counts(13.4)) == pytest.approx(13.4)
    times = (0.2, 0.3, 0.3, 13.4)
    assert 13.4 <= largest(sum(times), counts(*times)) < 14
    many = [0.3] * 50 + [19.0]
    assert 19.0 <= largest(sum(many), counts(*many)) <= 19.0 + 50 * 0.15
