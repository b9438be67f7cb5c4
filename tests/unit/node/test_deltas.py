"""Deltas joined and cut: nothing is lost, doubled, or sent without credit."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from aiplat.domain.answers import CallPiece, Delta, Logprobs, TokenLogprob
from aiplat.node.deltas import join, split

texts = st.text(max_size=20)


@st.composite
def deltas(draw: st.DrawFn) -> Delta:
    ids = tuple(draw(st.lists(st.integers(0, 999), max_size=8)))
    logprobs, scored = None, ids
    if draw(st.booleans()):  # an upstream may tell of tokens without their ids
        ids, scored = (), tuple(draw(st.lists(st.just(-1), max_size=8)))
    if len(scored) > 0 and draw(st.booleans()):
        tokens = tuple(TokenLogprob(i, "x", -0.5) for i in scored)
        tops = tuple(tokens[: draw(st.integers(0, 3))] for _ in scored)
        logprobs = Logprobs(tokens, tops)
    calls = tuple(draw(st.lists(st.builds(CallPiece, st.integers(0, 2), texts, texts), max_size=3)))
    vectors = tuple(draw(st.lists(st.binary(min_size=4, max_size=40), max_size=3)))
    return Delta(ids, draw(texts), logprobs, calls, vectors)


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


@given(deltas(), deltas())
def test_what_is_joined_costs_what_it_did(first: Delta, second: Delta) -> None:
    joined = join(first, second)
    assert joined.cost == first.cost + second.cost
    assert joined.ids == first.ids + second.ids
    assert joined.text == first.text + second.text
    assert joined.calls == first.calls + second.calls
    assert joined.vectors == first.vectors + second.vectors
