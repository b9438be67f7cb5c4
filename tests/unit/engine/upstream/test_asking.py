"""What an upstream is asked for, where it may be, and the key it is shown."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace

from aiplat.domain.answers import Resume
from aiplat.domain.chat import Embed, Generate, Message, Sampling, ToolCall
from aiplat.domain.errors import AiplatError, ConfigError
from aiplat.engine.backends.upstream.address import parse_address
from aiplat.engine.backends.upstream.body import LLAMA_CPP, OLLAMA, Dialect, accepted, request_body
from aiplat.engine.backends.upstream.key import Key, read_key
from tests.unit.engine.hearing import asking

ALL: dict[str, Any] = {
    "temperature": 0.5, "top_p": 0.9, "max_tokens": 5, "seed": 3, "presence_penalty": 0.1,
    "frequency_penalty": 0.2, "logit_bias": {"7": 1.0}, "top_k": 4, "min_p": 0.05,
    "repetition_penalty": 1.1,
}  # fmt: skip


def body(kind: str = "", **options: Any) -> dict[str, Any]:
    work = accepted(asking("hi", **options), kind)
    told: dict[str, Any] = json.loads(request_body("m", work, kind, Dialect()))
    return told


def test_every_parameter_is_passed_on() -> None:
    told = body(**ALL, stop=("a", "b"), logprobs=2)
    assert told == ALL | {
        "model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": True,
        "stream_options": {"include_usage": True}, "stop": ["a", "b"], "logprobs": True,
        "top_logprobs": 2,
    }  # fmt: skip
    ours = body(LLAMA_CPP, **ALL)
    assert ours["repeat_penalty"] == 1.1
    assert "repetition_penalty" not in ours


def test_what_asks_for_nothing_is_left_out() -> None:
    nothing = body(top_k=0, min_p=0.0, repetition_penalty=1.0, logit_bias={})
    assert set(nothing) == {"model", "messages", "stream", "stream_options"}


@pytest.mark.parametrize("name", ["top_k", "min_p", "repetition_penalty", "logit_bias"])
def test_what_ollama_would_pass_over_is_refused(name: str) -> None:
    with pytest.raises(AiplatError, match=f"Ollama's OpenAI API does not honour {name}") as told:
        body(OLLAMA, **{name: ALL[name]})
    assert (told.value.code, told.value.param) == ("unsupported_parameter", name)
    body(OLLAMA, top_k=0, seed=3)


def test_what_no_upstream_is_asked_for() -> None:
    counts = Generate((Message("user", "hi"),), only_count=True)
    scored = Generate((), Sampling(logprobs=1), prompt="Once")
    formed = Generate((), prompt="Once", grammar={"type": "json_object"})
    for work, param in (
        (Embed(("a",)), "input"), (counts, "messages"), (scored, "logprobs"),
        (formed, "response_format"),
    ):  # fmt: skip
        with pytest.raises(AiplatError) as told:
            accepted(replace(asking("hi"), work=work), "")
        assert told.value.param == param
    with pytest.raises(AiplatError, match="n is 2"):
        body(n=2)
    with pytest.raises(AiplatError, match="takes no token ids") as told:
        body(resume=Resume((1, 2)))
    assert told.value.recoverable  # who has the model itself can go on
    with pytest.raises(AiplatError, match="takes 1600"):
        body(logprobs=20, credit=1599)


def told_of(work: Generate, kind: str = "") -> dict[str, Any]:
    accepted(replace(asking("hi"), work=work), kind)
    told: dict[str, Any] = json.loads(request_body("m", work, kind, Dialect()))
    return told


def test_tools_calls_and_forms_go_as_openai_has_them() -> None:
    call = ToolCall("call_1", "now", '{"zone": "UTC"}')
    messages = (
        Message("user", "What time is it?"),
        Message("assistant", "", (call,)),
        Message("tool", "12:00", (), "call_1", "now"),
    )
    now = {"name": "now", "parameters": {"type": "object"}}
    told = told_of(Generate(messages, tools=(now,), one_call=True))
    assert told["tools"] == [{"type": "function", "function": now}]
    assert told["parallel_tool_calls"] is False
    assert "tool_choice" not in told
    assert told["messages"][1]["tool_calls"] == [
        {"id": "call_1", "type": "function",
         "function": {"name": "now", "arguments": '{"zone": "UTC"}'}}
    ]  # fmt: skip
    assert told["messages"][2] == {"role": "tool", "content": "12:00", "tool_call_id": "call_1"}
    must = told_of(Generate(messages, tools=(now,), tool_choice="required"))
    assert must["tool_choice"] == "required"
    this = told_of(Generate(messages, tools=(now,), tool="now"))
    assert this["tool_choice"] == {"type": "function", "function": {"name": "now"}}
    none = told_of(Generate(messages, tools=(now,), tool_choice="none"))
    assert not {"tools", "tool_choice"} & set(none)
    with pytest.raises(AiplatError, match="leaves it to the model") as refused:
        told_of(Generate(messages, tools=(now,), tool="now"), OLLAMA)
    assert refused.value.param == "tool_choice"
    told_of(Generate(messages, tools=(now,)), OLLAMA)
    strict = Generate(messages, tools=({**now, "strict": True},))
    assert told_of(strict)["tools"][0]["function"]["strict"] is True
    with pytest.raises(AiplatError, match="leave strict out") as refused:
        told_of(strict, OLLAMA)
    assert refused.value.param == "tools"
    kept = told_of(Generate(messages, grammar={"type": "json_schema", "schema": {"type": "null"}}))
    assert kept["response_format"]["json_schema"]["schema"] == {"type": "null"}
    free = told_of(Generate(messages, grammar={"type": "json_object"}))
    assert free["response_format"] == {"type": "json_object"}


def test_a_bare_prompt_goes_as_it_is() -> None:
    told = told_of(Generate((), Sampling(max_tokens=3), prompt="Once upon"))
    assert told["prompt"] == "Once upon"
    assert "messages" not in told
    assert told["max_tokens"] == 3


@pytest.mark.parametrize(
    ("text", "base", "host", "loopback", "tls"),
    [
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000/v1", "127.0.0.1:8000", True, False),
        ("http://localhost/", "http://localhost/v1", "localhost", True, False),
        ("http://[::1]:1/v1/", "http://[::1]:1/v1", "::1:1", True, False),
        ("https://a.example/api/v3", "https://a.example/api/v3", "a.example", False, True),
        ("http://10.0.0.7:1/v1", "http://10.0.0.7:1/v1", "10.0.0.7:1", False, False),
    ],
)
def test_addresses(text: str, base: str, host: str, loopback: bool, tls: bool) -> None:
    address = parse_address(text)
    assert (address.base, address.host) == (base, host)
    assert (address.is_loopback, address.is_tls) == (loopback, tls)
    assert address.is_open == (not loopback and not tls)
    # A proxy must neither read what is in the clear nor stand before this machine itself.
    assert address.trusts_environment == (tls and not loopback)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ftp://a/v1", "must begin with http:// or https://"),
        ("a.example:8000/v1", "must begin with http://"),
        ("http://", "name a host"),
        ("http://a:x/v1", "cannot be read"),
        ("http://a/v1?key=7", "must end with its path"),
        ("http://a/v1/chat/completions", "leave /chat/completions off"),
        ("http://me:hunter2@a/v1", "holds a name or a password"),
    ],
)
def test_addresses_that_are_none(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as told:
        parse_address(text)
    assert "hunter2" not in str(told.value)


def test_the_key_is_in_its_variable_and_nowhere_else() -> None:
    environ = {"GOOD": " sk-0123456789 ", "EMPTY": " ", "ODD": "two words"}
    key = read_key("GOOD", environ)
    assert key.headers == {"authorization": "Bearer sk-0123456789"}
    assert repr(key) == "Key('GOOD')"
    assert key.scrubbed(b"no sk-0123456789!") == b"no [key]!"
    assert read_key("", environ).headers == Key().headers == {}
    for name, said in (
        ("GONE", "GONE shall hold the upstream's key, but is not set"),
        ("EMPTY", "is empty"),
        ("ODD", "holds what cannot be a key"),
        ("sk-0123456789", "takes the NAME of an environment variable"),
    ):
        with pytest.raises(ConfigError, match=said) as told:
            read_key(name, environ)
        assert "0123456789" not in str(told.value)
