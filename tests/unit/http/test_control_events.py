"""The control API's events: what is joined, and what stays as it was."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aiplat.domain.answers import AnswerEvent, Delta, Logprobs, Queued, TokenLogprob
from aiplat.http.control import coalesced
from tests.support.fake_node import finished, started

TOKEN = TokenLogprob(1, "a", -0.5)
DELTAS = st.builds(
    Delta,
    ids=st.lists(st.integers(0, 9), max_size=3).map(tuple),
    text=st.text(max_size=3),
    logprobs=st.none() | st.just(Logprobs((TOKEN,), ((TOKEN, TOKEN),))),
)


@given(st.lists(DELTAS, max_size=6), st.booleans())
def test_joined_deltas_say_and_cost_what_they_did_apart(deltas: list[Delta], ended: bool) -> None:
    events: list[AnswerEvent] = [Queued(), started(), *deltas]
    events += [finished(1)] if ended else []
    joined = list(coalesced(events))
    rest = [event for event in joined if isinstance(event, Delta)]
    assert [event for event in joined if event not in rest] == [
        event for event in events if not isinstance(event, Delta)
    ]
    assert len(rest) == min(1, len(deltas))
    assert sum(event.cost for event in rest) == sum(delta.cost for delta in deltas)
    assert sum((event.ids for event in rest), ()) == sum((delta.ids for delta in deltas), ())
    assert "".join(event.text for event in rest) == "".join(delta.text for delta in deltas)
