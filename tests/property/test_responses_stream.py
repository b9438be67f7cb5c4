"""The Responses API tells the same answer however it came: in one batch, in many, or whole."""

from __future__ import annotations

from itertools import groupby, pairwise
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from aiplat.domain.answers import AnswerEvent, CallPiece, Delta, Logprobs, TokenLogprob
from aiplat.http.openai_api.responses.answering import Answering
from aiplat.http.openai_api.responses.parsing import parse_request
from aiplat.http.openai_api.responses.shapes import begun
from tests.support.fake_node import finished, started
from tests.unit.http.responses.helpers import NOW, REQUEST, Streamed

TOLD = st.sampled_from([None, "a", "é"])


@st.composite
def answers(draw: st.DrawFn) -> list[Delta]:
    """Texts and calls, the calls one after another, with log-probabilities of some tokens."""
    deltas, index, begun_call = [], -1, False
    for kind in draw(st.lists(st.sampled_from(["text", "call", "more", "nothing"]), max_size=12)):
        token = draw(TOLD)
        logprobs = None if token is None else Logprobs((TokenLogprob(1, token, -1.0),), ((),))
        if kind == "text":
            begun_call = False
            deltas.append(Delta((1,), draw(st.text(max_size=4)) or "x", logprobs))
        elif kind == "call" or (kind == "more" and not begun_call):
            index, begun_call = index + 1, True
            piece = CallPiece(index, f"tool{index}", draw(st.text(max_size=3)))
            deltas.append(Delta((1,), "", logprobs, (piece,)))
        elif kind == "more":
            deltas.append(Delta((1,), calls=(CallPiece(index, "", draw(st.text(max_size=3))),)))
        else:
            deltas.append(Delta((1,), "", logprobs))
    return deltas


def cut(events: list[AnswerEvent], places: set[int]) -> list[list[AnswerEvent]]:
    edges = [0, *sorted(place for place in places if 0 < place < len(events)), len(events)]
    return [events[a:b] for a, b in pairwise(edges)]


def joined(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The events, with deltas that follow one another made into one, and without numbers."""

    def key(numbered: tuple[int, dict[str, Any]]) -> tuple[object, ...]:
        place, event = numbered
        is_delta = event["type"].endswith(".delta")
        return (event["type"], event["item_id"]) if is_delta else (place,)

    found = []
    for _, group in groupby(enumerate(events), key):
        several = [event for _, event in group]
        one = dict(several[0], sequence_number=0)
        if len(several) > 1:
            one["delta"] = "".join(event["delta"] for event in several)
            if "logprobs" in one:
                one["logprobs"] = [told for event in several for told in event["logprobs"]]
        found.append(one)
    return found


@given(answers(), st.sets(st.integers(0, 14)))
def test_however_it_is_batched(deltas: list[Delta], places: set[int]) -> None:
    events: list[AnswerEvent] = [started(), *deltas, finished(len(deltas))]
    once = Streamed().feed(events).events
    cuts = Streamed().feed(*cut(events, places)).events
    assert joined(cuts) == joined(once)


@given(answers(), st.sets(st.integers(0, 14)))
def test_a_whole_answer_is_what_a_stream_ends_with(deltas: list[Delta], places: set[int]) -> None:
    events: list[AnswerEvent] = [started(), *deltas, finished(len(deltas))]
    streamed = Streamed().feed(*cut(events, places)).events
    request = parse_request(b'{"input": "hi", "model": "m"}', REQUEST)
    whole = Answering(begun(request, REQUEST, NOW), REQUEST, lambda: NOW + 5.5)
    whole.start(started())
    whole.feed(deltas)
    whole.finish(finished(len(deltas)))
    assert msgspec.json.decode(msgspec.json.encode(whole.response)) == streamed[-1]["response"]
    text = "".join(delta.text for delta in deltas)
    told = [event["delta"] for event in streamed if event["type"] == "response.output_text.delta"]
    assert "".join(told) == text


@given(answers(), st.sets(st.integers(0, 14)))
def test_each_item_is_its_deltas(deltas: list[Delta], places: set[int]) -> None:
    events: list[AnswerEvent] = [started(), *deltas, finished(len(deltas))]
    streamed = Streamed().feed(*cut(events, places)).events
    for place, item in enumerate(streamed[-1]["response"]["output"]):
        own = [event for event in streamed if event.get("output_index") == place]
        said = "".join(event["delta"] for event in own if event["type"].endswith(".delta"))
        whole = item["content"][0]["text"] if item["type"] == "message" else item["arguments"]
        assert said == whole
        assert own[0]["type"] == "response.output_item.added"
        assert own[-1] == dict(own[-1], type="response.output_item.done", item=item)
