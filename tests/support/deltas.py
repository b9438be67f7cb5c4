"""Any deltas, for property tests."""

from __future__ import annotations

from hypothesis import strategies as st

from aiplat.domain.answers import CallPiece, Delta, Logprobs, TokenLogprob

texts = st.text(max_size=20)


@st.composite
def deltas(draw: st.DrawFn) -> Delta:
    """All that one may hold."""
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
