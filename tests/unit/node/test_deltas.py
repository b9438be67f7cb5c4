"""Deltas cut: nothing is lost, doubled, or sent without credit."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from aiplat.domain.answers import Delta, Logprobs, TokenLogprob
from aiplat.domain.deltas import join
from aiplat.node.deltas import split
from tests.support.deltas import deltas

UNNAMED = Logprobs((TokenLogprob(-1, "x", -0.5),) * 3)


@given(deltas(), st.integers(0, 2000))
@example(Delta((), "", UNNAMED), 100)
@example(Delta((), "abc", UNNAMED), 140)
def test_a_cut_costs_no_more_than_the_credit_and_loses_nothing(delta: Delta, credit: int) -> None:
    head, rest = split(delta, credit)
    if head is None:
        assert rest == delta
        return
    assert 0 < head.cost <= credit or delta.cost == 0
    whole = head if rest is None else join(head, rest)
    assert (whole.ids, whole.text) == (delta.ids, delta.text)
    assert (whole.calls, whole.vectors) == (delta.calls, delta.vectors)
    assert whole.cost == delta.cost
    assert whole.logprobs == delta.logprobs
