"""Calls in a model's text: as each family writes them, among text, and what only looks like one."""

from __future__ import annotations

import json

import pytest

from aiplat.domain.answers import MAX_PIECE_CHARS
from aiplat.engine.calling.bodies import Call
from aiplat.engine.calling.finding import Finder
from aiplat.engine.calling.formats import CODER, HERMES, LLAMA, MISTRAL, SMOLLM, TEKKEN
from aiplat.engine.calling.voice import pieces_of
from tests.unit.engine.calling.saying import ONE, PARIS, SCHEMAS, found


@pytest.mark.parametrize("way", ONE)
def test_a_call_is_found_as_its_family_writes_it(way: str) -> None:
    form, text = ONE[way]
    assert found(form, [text]) == ("", [PARIS])
    assert found(form, text) == ("", [PARIS])  # a character at a time


@pytest.mark.parametrize("way", [way for way in ONE if way != "llama"])
def test_text_before_a_call_is_said_and_the_space_around_it_is_not(way: str) -> None:
    form, text = ONE[way]
    assert found(form, [f"I look it up.\n\n{text}\n"]) == ("I look it up.", [PARIS])


def test_several_calls_one_after_another() -> None:
    one = ONE["hermes"][1]
    clock = '<tool_call>{"name": "now"}</tool_call>'
    text, calls = found(HERMES, f"{one}\n{clock}\nDone.")
    assert calls == [PARIS, Call("now", "{}")]
    assert text.strip() == "Done."
    named = '[TOOL_CALLS]now[ARGS]{}[TOOL_CALLS]get_weather[ARGS]{"city": "Paris"}'
    two = [Call("now", "{}"), PARIS]
    assert found(TEKKEN, named) == ("", two)
    both = json.dumps(
        [{"name": call.name, "arguments": json.loads(call.arguments)} for call in two]
    )
    assert found(SMOLLM, f"<tool_call>{both}</tool_call>") == ("", two)
    assert found(MISTRAL, f"[TOOL_CALLS] {both}") == ("", two)
    text = '{"name": "now", "parameters": {}}; {"name": "now", "parameters": {}}'
    assert found(LLAMA, text) == ("", [Call("now", "{}")] * 2)


@pytest.mark.parametrize(
    ("form", "text"),
    [
        (HERMES, "<tool_call>\nnothing of the kind\n</tool_call>"),
        (HERMES, '  <tool_call>{"name": "get_weather", "arguments": {"city": "Par'),
        (HERMES, '<tool_call>{"name": "no_such_tool", "arguments": {}}</tool_call>'),
        (HERMES, '<tool_call>{"name": "now", "arguments": [1]}</tool_call>'),
        (HERMES, '<tool_call>{"name": "now", "arguments": NaN}</tool_call>'),
        (HERMES, '<tool_call>{"name": 7}</tool_call>'),
        (HERMES, "<tool_call>" + "[" * 100_000 + "</tool_call>"),
        (HERMES, "<tool_call></tool_call>"),
        (HERMES, "a <tool_ca"),
        (HERMES, "<tool_call><tool_call><tool_call>"),
        (SMOLLM, "<tool_call>[]</tool_call>"),
        (CODER, "<tool_call><function=now><parameter=x>1</function></tool_call>"),
        (CODER, "<tool_call><function=now>spare</function></tool_call>"),
        (LLAMA, '{"city": "Paris"}'),
        (LLAMA, '{"name": "Ada", "age": 36}'),
        (LLAMA, "{ }"),
        (LLAMA, " {"),
        (LLAMA, "  "),
        (MISTRAL, "[TOOL_CALLS] now"),
        (TEKKEN, "[TOOL_CALLS]now[ARGS]{"),
    ],
)  # fmt: skip
def test_what_is_no_call_is_text_to_the_last_character(form: object, text: str) -> None:
    assert found(form, text if len(text) < 1000 else [text]) == (text, [])  # type: ignore[arg-type]  # one of them


def test_a_call_after_a_broken_one_is_found() -> None:
    one = ONE["hermes"][1]
    text, calls = found(HERMES, f"<tool_call>broken {one}")
    assert (text, calls) == ("<tool_call>broken", [PARIS])


def test_an_end_within_a_calls_text_does_not_end_it() -> None:
    body = '{"name": "get_weather", "arguments": {"city": "</tool_call> \\" Paris"}}'
    (call,) = found(HERMES, f"<tool_call>{body}</tool_call>")[1]
    assert call.arguments == '{"city": "</tool_call> \\" Paris"}'


def test_arguments_stay_as_they_were_written() -> None:
    body = '{"arguments": {"city":  "Z\\u00fcrich",\n"days": 1.0e0}, "name": "get_weather"}'
    (call,) = found(HERMES, f"<tool_call>{body}</tool_call>")[1]
    assert call.arguments == '{"city":  "Z\\u00fcrich",\n"days": 1.0e0}'
    told = '{"name": "get_weather", "arguments": "{\\"city\\": \\"Paris\\"}"}'
    assert found(HERMES, f"<tool_call>{told}</tool_call>")[1] == [PARIS]
    told = (
        '{"type": "function", "function": {"name": "get_weather", "arguments": {"city": "Paris"}}}'
    )
    assert found(HERMES, f"<tool_call>{told}</tool_call>")[1] == [PARIS]


def test_values_in_xml_are_what_the_tools_schema_says() -> None:
    text = (
        "<tool_call>\n<function=get_weather>\n<parameter=city>\n42\nnorth\n</parameter>\n"
        "<parameter=days>\n3\n</parameter>\n<parameter=unknown>\nfree text\n</parameter>\n"
        "</function>\n</tool_call>"
    )
    (call,) = found(CODER, text)[1]
    assert call.arguments == '{"city": "42\\nnorth", "days": 3, "unknown": "free text"}'


def test_text_is_not_held_longer_than_it_may_become_a_call() -> None:
    finder = Finder(HERMES, SCHEMAS)
    assert finder.push("Paris <b") == "Paris <b"
    assert finder.push(" <tool") == ""
    assert finder.push("s>") == " <tools>"
    finder = Finder(LLAMA, SCHEMAS)
    assert finder.push('{"na') == ""
    assert finder.push('tion": "France"') == '{"nation": "France"'


def test_pieces_are_short_and_whole_together() -> None:
    call = Call("n" * 64, '{"text": "' + "x" * 1000 + '"}')
    pieces = pieces_of(3, call)
    assert all(piece.chars <= MAX_PIECE_CHARS and piece.index == 3 for piece in pieces)
    assert "".join(piece.arguments for piece in pieces) == call.arguments
    assert [piece.name for piece in pieces if piece.name] == [call.name]
    assert pieces_of(0, Call("now", "{}"))[0].arguments == "{}"
