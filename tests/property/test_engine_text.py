"""Text, however it is cut: echo's tokens, stop strings, credit."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aiplat.domain.answers import TokenLogprob
from aiplat.engine import pieces
from aiplat.engine.outbox import Outbox
from aiplat.engine.stops import StopFilter

SHORT = st.text("ab", max_size=12)
STOPS = st.lists(st.text("ab", min_size=1, max_size=4), max_size=3).map(tuple)


@given(st.text())
def test_echo_tokens_give_the_text_back(text: str) -> None:
    texts = pieces.cut(text)
    ids = pieces.encode(texts)
    assert pieces.decode(ids) == text
    assert [pieces.piece(token) for token in ids] == texts
    assert all(0 <= token < pieces.VOCABULARY for token in ids)


def test_echo_tokens_are_as_long_as_a_models() -> None:
    text = "The quick brown fox jumps over the lazy dog. " * 10
    assert len(pieces.cut(text)) < len(text) / 2.5


def expected(text: str, stops: tuple[str, ...]) -> str:
    """Character by character: the first moment at which a stop string is whole."""
    for end in range(1, len(text) + 1):
        whole = [stop for stop in stops if text[:end].endswith(stop)]
        if whole:
            return text[: end - max(map(len, whole))]
    return text


@given(st.lists(SHORT, max_size=8), STOPS)
def test_stops_are_the_same_however_the_text_is_cut(
    parts: list[str], stops: tuple[str, ...]
) -> None:
    found = StopFilter(stops)
    said = ""
    for part in parts:
        said += found.push(part)
        assert expected("".join(parts), stops).startswith(said)  # nothing is said too early
    said += found.flush()
    assert said == expected("".join(parts), stops)
    assert found.stopped == any(stop in "".join(parts) for stop in stops)


@given(
    st.lists(st.tuples(st.lists(st.integers(0, 9), max_size=5), SHORT), max_size=6),
    st.lists(st.integers(-5, 40), max_size=30),
)
def test_no_more_is_given_than_was_granted(
    puts: list[tuple[list[int], str]], grants: list[int]
) -> None:
    box = Outbox(0)
    for ids, text in puts:
        box.put(tuple(ids), text)
    given_ids: tuple[int, ...] = ()
    given_text, cost = "", 0
    for granted, grant in enumerate(grants, 1):
        box.grant(grant)
        if (delta := box.take()) is not None:
            given_ids, given_text = given_ids + delta.ids, given_text + delta.text
            cost += delta.cost
        assert cost <= sum(max(0, grant) for grant in grants[:granted])
    box.grant(10_000)
    if (delta := box.take()) is not None:
        given_ids, given_text = given_ids + delta.ids, given_text + delta.text
    assert box.empty
    assert given_ids == tuple(token for ids, _ in puts for token in ids)
    assert given_text == "".join(text for _, text in puts)
    assert box.delivered == len(given_ids)


@given(
    st.lists(st.tuples(st.text("aé", max_size=3), st.integers(0, 3)), max_size=12),
    st.lists(st.integers(0, 1500), max_size=12),
)
def test_logprobs_travel_with_their_tokens_and_are_paid_for(
    said: list[tuple[str, int]], grants: list[int]
) -> None:
    outbox, taken, given_credit = Outbox(0), [], 0
    for token, (text, tops) in enumerate(said):
        own = TokenLogprob(token, text, -0.5)
        outbox.put((token,), text, (own, (own,) * tops))
    for credit in [*grants, 100_000]:
        outbox.grant(credit)
        given_credit += credit
        while (delta := outbox.take()) is not None:
            assert delta.ids or delta.text
            told = delta.logprobs.tokens if delta.logprobs else ()
            assert tuple(one.id for one in told) == delta.ids
            taken.append(delta)
        assert sum(delta.cost for delta in taken) <= given_credit
    assert outbox.empty
    assert [token for delta in taken for token in delta.ids] == list(range(len(said)))
    assert "".join(delta.text for delta in taken) == "".join(text for text, _ in said)
    told_tops = [len(top) for delta in taken if delta.logprobs for top in delta.logprobs.top]
    assert told_tops == [count for _, count in said]
