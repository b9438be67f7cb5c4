"""Requests of Ollama's: what is taken, and with which words the rest is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from aiplat.domain.chat import Embed, Generate, Message, Sampling, ToolCall
from aiplat.domain.errors import AiplatError, UnsupportedParameter
from aiplat.http.ollama_api.parsing import (
    parse_chat,
    parse_embed,
    parse_embeddings,
    parse_generate,
)

USER = {"role": "user", "content": "hi"}
LOOK = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}


def chat(**fields: Any) -> Generate:
    return parse_chat(msgspec.json.encode({"model": "echo", "messages": [USER], **fields})).work


def generate(**fields: Any) -> Generate:
    return parse_generate(msgspec.json.encode({"model": "echo", "prompt": "hi", **fields})).work


def embed(**fields: Any) -> Embed:
    return parse_embed(msgspec.json.encode({"model": "echo", "input": "hi", **fields})).work


def refused(parse: Callable[..., object], **fields: Any) -> AiplatError:
    with pytest.raises(AiplatError) as caught:
        parse(**fields)
    return caught.value


def test_the_least_requests_are_streams() -> None:
    asked = parse_chat(b'{"model":"echo","messages":[{"role":"user","content":"hi"}]}')
    assert asked.work == Generate((Message("user", "hi"),))
    assert asked.stream
    assert generate() == Generate((Message("user", "hi"),))
    assert not parse_generate(b'{"model":"echo","prompt":"x","stream":false}').stream
    assert embed() == Embed(("hi",), truncate=True)


def test_all_that_options_have() -> None:
    options = {
        "num_predict": 7, "temperature": 1.5, "top_k": 3, "top_p": 0.5, "min_p": 0.1, "seed": 4,
        "stop": "END", "repeat_penalty": 1.1, "presence_penalty": 0.5, "frequency_penalty": -0.5,
    }  # fmt: skip
    wanted = Sampling(
        max_tokens=7, temperature=1.5, top_k=3, top_p=0.5, min_p=0.1, seed=4, stop=("END",),
        repetition_penalty=1.1, presence_penalty=0.5, frequency_penalty=-0.5, logprobs=2,
    )  # fmt: skip
    for parse in (chat, generate):
        work = parse(options=options, logprobs=True, top_logprobs=2)
        assert work.sampling == wanted


@pytest.mark.parametrize(
    ("name", "value"), [("num_predict", -1), ("num_predict", -2), ("seed", -1)]
)
def test_values_that_say_no_bound_and_any_seed(name: str, value: int) -> None:
    assert chat(options={name: value}).sampling == Sampling()


def test_what_is_about_the_machine_is_taken() -> None:
    options = {"num_ctx": 2048, "num_gpu": 1, "num_thread": 8, "use_mmap": True, "low_vram": False}
    for keep in ("5m", 300, 0, -1):
        assert chat(options=options, keep_alive=keep).sampling == Sampling()
    assert embed(options=options, keep_alive="5m") == embed()


def test_the_form_of_an_answer() -> None:
    assert chat(format="").grammar is None
    assert chat(format="json").grammar == {"type": "json_object"}
    assert generate(format={"type": "object"}).grammar == {
        "type": "json_schema", "schema": {"type": "object"},
    }  # fmt: skip


def test_calls_without_ids_are_answered_by_name_or_in_their_order() -> None:
    called = [
        {"function": {"name": "look", "arguments": {"at": "sea"}}}, {"function": {"name": "wait"}},
    ]  # fmt: skip
    turn = {"role": "assistant", "tool_calls": called}
    found = chat(
        messages=[
            USER, turn, {"role": "tool", "tool_name": "wait", "content": "done"},
            {"role": "tool", "content": "blue"}, {"role": "tool", "tool_name": "x", "content": "?"},
        ],
        tools=[LOOK],
    )  # fmt: skip
    assert found.messages[1:] == (
        Message(
            "assistant", "",
            calls=(ToolCall("call_0", "look", '{"at":"sea"}'), ToolCall("call_1", "wait", "{}")),
        ),
        Message("tool", "done", call_id="call_1", name="wait"),
        Message("tool", "blue", call_id="call_0", name="look"),
        Message("tool", "?", name="x"),
    )  # fmt: skip
    assert found.tools == ({"name": "look", "parameters": {"type": "object"}},)


def test_calls_of_one_tool_are_answered_one_after_another() -> None:
    calls = [{"function": {"name": "look", "arguments": {"at": at}}} for at in ("sea", "sky")]
    results = [{"role": "tool", "tool_name": "look", "content": text} for text in ("grey", "blue")]
    found = chat(messages=[USER, {"role": "assistant", "tool_calls": calls}, *results])
    assert [message.call_id for message in found.messages[2:]] == ["call_0", "call_1"]


def test_calls_with_ids_are_answered_by_them() -> None:
    calls = [{"id": name, "function": {"name": "look", "arguments": {}}} for name in ("a", "b")]
    found = chat(
        messages=[
            USER, {"role": "assistant", "tool_calls": calls},
            {"role": "tool", "tool_call_id": "b", "content": "2"},
            {"role": "tool", "tool_call_id": "z", "content": "?"},
        ]
    )  # fmt: skip
    assert [message.call_id for message in found.messages[2:]] == ["b", "z"]


def test_a_raw_prompt_has_no_template() -> None:
    assert generate(raw=True).prompt == "hi"
    assert generate(raw=True).messages == ()
    assert refused(generate, raw=True, system="s").param == "system"


def test_no_prompt_wants_the_model_loaded() -> None:
    for asked in (
        parse_chat(b'{"model":"echo","messages":[]}'), parse_generate(b'{"model":"echo"}'),
        parse_generate(b'{"name":"echo","prompt":"","keep_alive":-1}'),
    ):  # fmt: skip
        assert asked.loads
        assert asked.work.only_count
    for keep in (0, "0", "0s"):
        assert refused(chat, messages=[], keep_alive=keep).param == "keep_alive"


@pytest.mark.parametrize(
    ("parse", "fields", "param"),
    [
        (chat, {"think": True}, "think"),
        (chat, {"think": "high"}, "think"),
        (chat, {"truncate": True}, "truncate"),
        (chat, {"privacy": "machine"}, "privacy"),
        (chat, {"messages": [{**USER, "images": ["aGk="]}]}, "messages[0].images"),
        (chat, {"options": {"mirostat": 1}}, "options.mirostat"),
        (chat, {"options": {"typical_p": 0.5}}, "options.typical_p"),
        (chat, {"options": {"repeat_last_n": 64}}, "options.repeat_last_n"),
        (chat, {"tools": [{"type": "browser"}]}, "tools[0].type"),
        (generate, {"suffix": "x"}, "suffix"),
        (generate, {"template": "x"}, "template"),
        (generate, {"context": [1]}, "context"),
        (generate, {"images": ["aGk="]}, "images"),
        (generate, {"width": 64}, "width"),
        (embed, {"options": {"mirostat": 1}}, "options.mirostat"),
    ],
)
def test_what_is_out_of_reach_is_refused_by_name(
    parse: Callable[..., object], fields: dict[str, Any], param: str
) -> None:
    error = refused(parse, **fields)
    assert isinstance(error, UnsupportedParameter)
    assert error.param == param


@pytest.mark.parametrize(
    ("parse", "fields", "param"),
    [
        (chat, {"model": None}, "model"),
        (chat, {"messages": "x"}, "messages"),
        (chat, {"messages": [{"role": "x"}]}, "messages[0].role"),
        (chat, {"messages": [{**USER, "tool_calls": [1]}]}, "messages[0].tool_calls"),
        (chat, {"options": 1}, "options"),
        (chat, {"options": {"temperature": 3}}, "options.temperature"),
        (chat, {"options": {"num_predict": 0}}, "options.num_predict"),
        (chat, {"options": {"repeat_penalty": 0}}, "options.repeat_penalty"),
        (chat, {"options": {"stop": [1]}}, "options.stop"),
        (chat, {"options": {"stop": 1}}, "options.stop"),
        (chat, {"options": {"num_ctx": "big"}}, "options.num_ctx"),
        (chat, {"keep_alive": {}}, "keep_alive"),
        (chat, {"format": "xml"}, "format"),
        (chat, {"format": 1}, "format"),
        (chat, {"top_logprobs": 2}, "top_logprobs"),
        (chat, {"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        (chat, {"stream": "no"}, "stream"),
        (embed, {"input": None}, "input"),
        (embed, {"input": []}, "input"),
        (embed, {"input": ["a", 1]}, "input[1]"),
        (embed, {"input": ""}, "input"),
        (embed, {"dimensions": 0}, "dimensions"),
    ],
)
def test_what_is_wrong_is_named(
    parse: Callable[..., object], fields: dict[str, Any], param: str
) -> None:
    assert refused(parse, **fields).param == param


def test_the_older_route_has_one_text() -> None:
    assert parse_embeddings(b'{"model":"m","prompt":"x"}').work == Embed(("x",), truncate=True)
    with pytest.raises(AiplatError, match="prompt"):
        parse_embeddings(b'{"model":"m"}')
