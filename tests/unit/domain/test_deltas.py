"""Deltas joined: nothing is lost, and it costs what it did."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aiplat.domain.answers import AnswerEvent, Delta, Queued
from aiplat.domain.deltas import coalesced, join
from tests.support.deltas import deltas
from tests.support.fake_node import finished, started


@given(deltas(), deltas())
def test_what_is_joined_costs_what_it_did(first: Delta, second: Delta) -> None:
    joined = join(first, second)
    assert joined.cost == first.cost + second.cost
    assert joined.ids == first.ids + second.ids
    assert joined.text == first.text + second.text
    assert joined.calls == first.calls + second.calls
    assert joined.vectors == first.vectors + second.vectors


@given(st.lists(deltas(), max_size=6), st.booleans())
def test_those_of_a_batch_say_and_cost_what_they_did_apart(apart: list[Delta], ended: bool) -> None:
    events: list[AnswerEvent] = [Queued(), started(), *apart]
    events += [finished(1)] if ended else []
    joined = list(coalesced(events))
    rest = [event for event in joined if isinstance(event, Delta)]
    assert [event for event in joined if event not in rest] == [
        event for event in events if not isinstance(event, Delta)
    ]
    assert len(rest) == min(1, len(apart))
    assert sum(event.cost for event in rest) == sum(delta.cost for delta in apart)
    assert sum((event.ids for event in rest), ()) == sum((delta.ids for delta in apart), ())
    assert "".join(event.text for event in rest) == "".join(delta.text for delta in apart)
    assert sum((event.calls for event in rest), ()) == sum((one.calls for one in apart), ())
    assert sum((event.vectors for event in rest), ()) == sum((one.vectors for one in apart), ())


@given(deltas(), deltas())
def test_what_stands_between_parts_them(first: Delta, second: Delta) -> None:
    events: list[AnswerEvent] = [first, Queued(), second]
    assert list(coalesced(events)) == events
