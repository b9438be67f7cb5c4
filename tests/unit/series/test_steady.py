"""Whether the clock on the wall can be believed."""

from __future__ import annotations

from aiplat.series.steady import STEADY_SECONDS, Steady


def test_a_clock_is_believed_after_a_while() -> None:
    steady = Steady()
    assert not steady.believes(1_000.0, 5.0), "it may have started with a wrong one"
    assert not steady.believes(1_000.0 + STEADY_SECONDS - 1, 4.0 + STEADY_SECONDS)
    assert steady.believes(1_000.0 + STEADY_SECONDS, 5.0 + STEADY_SECONDS)


def test_a_clock_that_jumped_is_believed_after_a_while() -> None:
    steady = Steady()
    steady.believes(1_000.0 - STEADY_SECONDS, -STEADY_SECONDS)
    assert steady.believes(1_000.0, 0.0)
    assert steady.believes(1_030.0, 5.0), "a clock that is corrected a little goes on"
    assert not steady.believes(9e9, 10.0)
    assert not steady.believes(9e9 + STEADY_SECONDS - 1, 9.0 + STEADY_SECONDS)
    assert steady.believes(9e9 + STEADY_SECONDS, 10.0 + STEADY_SECONDS)
    assert not steady.believes(1_000.0, 20.0 + STEADY_SECONDS), "back again is a jump too"
