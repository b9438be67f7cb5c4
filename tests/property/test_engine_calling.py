"""Calls of tools in a model's text: the same however it is cut, and nothing of it is lost."""

from __future__ import annotations

import json
import re

from hypothesis import given
from hypothesis import strategies as st

from aiplat.domain.answers import CallPiece, Delta, TokenLogprob
from aiplat.engine.backends.upstream.chunks import Scored
from aiplat.engine.backends.upstream.pending import Pending
from aiplat.engine.calling.formats import FORMATS, Format
from aiplat.engine.outbox import Outbox
from tests.unit.engine.calling.saying import ONE, cut, found

SCRAPS = st.sampled_from([
    "<tool_call>", "</tool_call>", "<tool_", "call>", "[TOOL_CALLS]", "[ARGS]", "<|python_tag|>",
    "<function=", "now>", "get_weather>", "</function>", "{", "}", "[", "]", '"name"', ": ",
    '"now"',
    '"get_weather"', ', "arguments": {}', ', "parameters": {}', '{"name": "now", "arguments": {}}',
    "<function=now>", "<parameter=x>", "</parameter>", " ", "\n", "now", "Hello.", "é", ";",
    *(text for _, text in ONE.values()),
])  # fmt: skip
TEXTS = st.lists(SCRAPS, max_size=12).map("".join)
CUTS = st.lists(st.integers(0, 500), max_size=8)


@given(st.sampled_from(FORMATS), TEXTS, CUTS)
def test_any_cut_gives_the_same(form: Format, text: str, places: list[int]) -> None:
    whole = found(form, [text])
    assert found(form, cut(text, places)) == whole
    assert found(form, text) == whole


@given(st.sampled_from(FORMATS), TEXTS)
def test_nothing_is_lost(form: Format, text: str) -> None:
    said, calls = found(form, [text])
    if not calls:
        assert said == text
        return
    # Of the text all is said but what the calls and the space around them are made of.
    rest = iter(re.sub(r"\s", "", text))
    assert all(character in rest for character in re.sub(r"\s", "", said))
    for call in calls:
        assert isinstance(json.loads(call.arguments), dict)
        assert call.name in text


@given(st.sampled_from(list(ONE.values())), st.text(max_size=30), CUTS)
def test_a_call_after_any_text_is_found(
    way: tuple[Format, str], before: str, places: list[int]
) -> None:
    form, text = way
    if form.bare and not text.startswith(form.begin):
        before = ""  # such a call stands alone
    said, calls = found(form, cut(before + text, places))
    assert [call.name for call in calls] == ["get_weather"]
    assert said == before.rstrip()


PIECES = st.lists(
    st.builds(CallPiece, st.integers(0, 3), st.text("ab", max_size=9), st.text("cd", max_size=40)),
    max_size=6,
)


@given(PIECES, st.text("xyz", max_size=20), st.lists(st.integers(0, 400), max_size=12))
def test_pieces_go_whole_after_the_text_and_within_the_credit(
    pieces: list[CallPiece], text: str, grants: list[int]
) -> None:
    box, other = Outbox(0), Pending(0)
    box.put((1, 2), text, None, tuple(pieces))
    other.put(text, (), pieces)
    for one in (box, other):
        given_text, calls, spent, granted = "", list[CallPiece](), 0, 0
        for grant in (*grants, 100_000, 0):
            one.grant(grant)
            granted += grant
            delta = one.take() or Delta()
            if delta.text:
                assert not calls
            given_text, calls = given_text + delta.text, calls + list(delta.calls)
            spent += delta.cost
            assert spent <= granted
        assert one.empty
        assert (given_text, calls) == (text, pieces)


def test_a_call_waits_for_the_log_probabilities_of_what_came_before_it() -> None:
    token, piece = TokenLogprob(1, "a", 0.0), CallPiece(0, "now", "{}")
    box, other = Outbox(60), Pending(60)
    box.put((1,), "a", (token, ()), (piece,))
    other.put("a", [Scored(token)], [piece])
    for one in (box, other):
        assert one.take() is None  # there is credit for the call, and for nothing before it
        one.grant(1000)
        delta = one.take()
        assert delta is not None
        assert (delta.text, delta.calls) == ("a", (piece,))
        assert delta.logprobs is not None
        assert one.empty
