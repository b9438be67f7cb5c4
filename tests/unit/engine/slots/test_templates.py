"""Chat templates: with tools and without, what they are given, marks that are special tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aiplat.domain.answers import CallPiece
from aiplat.domain.chat import Generate, Message, Sampling, ToolCall
from aiplat.domain.errors import InvalidRequest, UnsupportedParameter
from aiplat.engine.calling.formats import HERMES, LLAMA, MISTRAL, SMOLLM, TEKKEN, format_of
from aiplat.engine.calling.rendering import tools_for
from tests.support import tool_model
from tests.support.tiny_model import make_tiny_model
from tests.unit.engine.calling.saying import ONE, TOOLS

pytest.importorskip("torch")

from transformers import AutoTokenizer  # needs torch

from aiplat.engine.backends.slots.templates import Templates  # needs torch

END = 2
ECHOES = (
    "{% for t in tools or [] %}{{ t | tojson }}\n{% endfor %}{% for m in messages %}"
    "{{ m | tojson }}\n{% endfor %}"
)
QUESTION = Message("user", "How is it in Paris?")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("m") / "tiny")


def templates(folder: Path, template: str, *special: str) -> tuple[Templates, Any]:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = template
    if special:
        tokenizer.add_special_tokens({"additional_special_tokens": list(special)})
    return Templates("tiny", tokenizer, frozenset({END})), tokenizer


def prompt(of: tuple[Templates, Any], work: Generate) -> str:
    made, tokenizer = of
    return str(tokenizer.decode(made.encode(work)))


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("<tool_call>\n{\"name\"", HERMES),
        (tool_model.TEMPLATE, SMOLLM),
        ("[TOOL_CALLS] [", MISTRAL),
        ("[TOOL_CALLS]x[ARGS]", TEKKEN),
        ("Environment: ipython … \"parameters\"", LLAMA),
        ("<|python_tag|>", LLAMA),
        ("{{ tools }}", None),
        ("", None),
    ],
)  # fmt: skip
def test_the_form_of_calls_is_read_off_the_template(text: str, form: object) -> None:
    assert format_of(text) == form


def test_a_template_without_tools_says_so(folder: Path) -> None:
    plain = templates(folder, "{% for m in messages %}{{ m.content }}{% endfor %}<tool_call>")
    assert plain[0].form is None
    for work in (
        Generate((QUESTION,), tools=TOOLS),
        Generate((Message("assistant", "", (ToolCall("1", "now", "{}"),)), QUESTION)),
    ):
        with pytest.raises(UnsupportedParameter, match="template of tiny has no tools"):
            plain[0].encode(work)
    none = Generate((QUESTION,), tools=TOOLS, tool_choice="none")
    assert plain[0].encode(none) == plain[0].encode(Generate((QUESTION,)))


def test_tools_whose_calls_nobody_here_can_read_are_refused(folder: Path) -> None:
    strange = templates(folder, ECHOES)[0]
    assert strange.form is None
    with pytest.raises(UnsupportedParameter, match="a form that is not known here") as refused:
        strange.encode(Generate((QUESTION,), tools=TOOLS))
    assert refused.value.param == "tools"


def test_a_template_that_breaks_on_tools_has_none(folder: Path) -> None:
    broken = "{% if tools %}{{ raise_exception('no') }}{% endif %}<tool_call>"
    assert templates(folder, broken)[0].form is None


def test_tools_and_calls_are_given_in_openais_form(folder: Path) -> None:
    made = templates(folder, ECHOES + "<tool_call>")
    call = ToolCall("call_1", "get_weather", '{"city": "Paris"}')
    told = prompt(
        made,
        Generate(
            (
                QUESTION,
                Message("assistant", "", (call,)),
                Message("tool", "12°", (), "call_1", "get_weather"),
            ),
            tools=TOOLS,
        ),
    )
    assert '{"type": "function", "function": {"name": "now"}}' in told
    assert '"function": {"name": "get_weather", "arguments": {"city": "Paris"}}' in told
    assert (
        '"role": "tool", "content": "12°", "tool_call_id": "call_1", "name": "get_weather"' in told
    )
    assert "<tool_call>" in told


@pytest.mark.parametrize("arguments", ["", "[]", "{", "nothing", "[" * 100_000])
def test_a_call_whose_arguments_are_no_object_is_refused(folder: Path, arguments: str) -> None:
    made, _ = templates(folder, ECHOES + "<tool_call>")
    work = Generate((Message("assistant", "", (ToolCall("1", "now", arguments),)), QUESTION))
    if not arguments:
        assert made.encode(work)
        return
    with pytest.raises(InvalidRequest, match="no JSON object") as refused:
        made.encode(work)
    assert refused.value.param == "messages"


def test_ids_are_short_where_the_template_wants_them_so(folder: Path) -> None:
    made = templates(folder, ECHOES + "[TOOL_CALLS]")
    calls = (ToolCall("call_0123456789abcdef", "now", "{}"),)
    told = prompt(made, Generate(
        (QUESTION, Message("assistant", "", calls), Message("tool", "12", (), calls[0].id)),
        tools=TOOLS,
    ))  # fmt: skip
    assert "call_0123" not in told
    (first, second) = (told.split(f'"{name}": "')[1][:10] for name in ("id", "tool_call_id"))
    assert first == second
    assert first[9] == '"'
    assert first[:9].isalnum()


def test_a_bare_prompt_has_no_template(folder: Path) -> None:
    made = templates(folder, ECHOES)
    assert prompt(made, Generate((), prompt="Once upon")) == "Once upon"


def say(made: Templates, tokenizer: Any, work: Generate, text: str) -> tuple[str, list[CallPiece]]:
    voice = made.voice(work)
    said, calls = "", list[CallPiece]()
    for token in tokenizer.encode(text, add_special_tokens=False):
        if voice.ended:
            break
        said += voice.say(token)
        calls += voice.take_calls()
    said += voice.flush()
    calls += voice.take_calls()
    assert voice.called == bool(calls)
    return said, calls


def test_a_mark_that_is_a_special_token_is_seen_and_no_other(folder: Path) -> None:
    made, tokenizer = templates(folder, ECHOES + MISTRAL.begin, MISTRAL.begin, "<|other|>")
    work = Generate((QUESTION,), tools=TOOLS)
    text = "It is<|other|> so." + ONE["mistral"][1]
    said, calls = say(made, tokenizer, work, text)
    assert said == "It is so."
    assert calls == [CallPiece(0, "get_weather", '{"city": "Paris"}')]
    assert say(made, tokenizer, Generate((QUESTION,)), text)[0].startswith("It is so.[{")


def test_one_call_and_no_more_ends_the_answer(folder: Path) -> None:
    made, tokenizer = templates(folder, ECHOES + "<tool_call>")
    twice = ONE["hermes"][1] * 2
    work = Generate((QUESTION,), tools=TOOLS)
    assert [piece.index for piece in say(made, tokenizer, work, twice)[1]] == [0, 1]
    one = Generate((QUESTION,), tools=TOOLS, one_call=True)
    assert len(say(made, tokenizer, one, twice + " and more")[1]) == 1
    both = '<tool_call>[{"name": "now"}, {"name": "now"}]</tool_call>'
    assert say(made, tokenizer, one, both) == ("", [CallPiece(0, "now", "{}")])


def test_a_call_of_a_tool_that_was_not_to_be_called_is_text(folder: Path) -> None:
    made, tokenizer = templates(folder, ECHOES + "<tool_call>")
    text = ONE["hermes"][1]
    for work in (
        Generate((QUESTION,), tools=TOOLS, tool="now"),
        Generate((QUESTION,), tools=TOOLS, tool_choice="none"),
        Generate((QUESTION,)),
    ):
        assert say(made, tokenizer, work, text) == (text, [])


def test_a_stop_string_is_told(folder: Path) -> None:
    made, tokenizer = templates(folder, ECHOES + "<tool_call>")
    for tools in ((), TOOLS):
        work = Generate((QUESTION,), Sampling(stop=("Oslo", "aris")), tools=tools)
        voice = made.voice(work)
        said = "".join(voice.say(t) for t in tokenizer.encode("In Paris.") if not voice.ended)
        assert said + voice.flush() == "In P"
        assert voice.stop == "aris"


def test_a_model_is_not_told_how_its_calls_are_held() -> None:
    plain, strict = TOOLS[0], {**TOOLS[0], "strict": True}
    assert tools_for(Generate((QUESTION,), tools=(strict,))) == tools_for(
        Generate((QUESTION,), tools=(plain,))
    )
