"""A chat request of OpenAI's: what is taken, and with which words the rest is refused."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from aiplat.domain.chat import Generate, Message, Sampling
from aiplat.domain.errors import AiplatError, InvalidRequest, UnsupportedParameter
from aiplat.http.openai_api.parsing import ChatRequest, parse_chat
from tests.unit.http.openai_api.wrong import check_words

USER = {"role": "user", "content": "hi"}


def parse(**fields: Any) -> ChatRequest:
    body = {"model": "echo", "messages": [USER], **fields}
    return parse_chat(msgspec.json.encode(body), most_choices=16)


def refused(**fields: Any) -> AiplatError:
    with pytest.raises(AiplatError) as caught:
        parse(**fields)
    return caught.value


def test_the_least_request() -> None:
    asked = parse()
    assert asked.model == "echo"
    assert asked.work.messages == (Message("user", "hi"),)
    assert asked.work.sampling == Sampling()
    assert not asked.stream
    assert not asked.include_usage


def test_no_model_takes_the_gateways_first() -> None:
    assert parse(model=None).model == ""


def test_everything_that_sampling_carries() -> None:
    sampling = parse(
        temperature=1, top_p=0.5, max_completion_tokens=7, seed=-3, stop=["a", "b"], top_k=5,
        min_p=0.1, repetition_penalty=1.1, presence_penalty=0.5, frequency_penalty=-0.5,
        logit_bias={"42": -100}, logprobs=True, top_logprobs=3,
    ).work.sampling  # fmt: skip
    assert sampling == Sampling(
        temperature=1.0, top_p=0.5, max_tokens=7, seed=-3, stop=("a", "b"), top_k=5, min_p=0.1,
        repetition_penalty=1.1, presence_penalty=0.5, frequency_penalty=-0.5,
        logit_bias={"42": -100.0}, logprobs=3,
    )  # fmt: skip


def test_top_k_is_written_as_vllm_writes_it() -> None:
    assert parse(top_k=-1).work.sampling.top_k == 0
    assert refused(top_k=-2).param == "top_k"


def test_each_choice_has_the_next_seed() -> None:
    asked = parse(n=3, seed=2**63 - 2)
    seeds = [work.sampling.seed for work in asked.works()]
    assert seeds == [2**63 - 2, 2**63 - 1, -(2**63)]
    assert {work.sampling.n for work in asked.works()} == {1}
    assert [work.sampling.seed for work in parse(n=2).works()] == [None, None]


@pytest.mark.parametrize(
    "fields",
    [
        {"n": 1}, {"tools": []}, {"tool_choice": "auto"}, {"functions": []}, {"stream": False},
        {"response_format": {"type": "text"}}, {"logprobs": False}, {"top_logprobs": 0},
        {"presence_penalty": 0, "frequency_penalty": 0.0}, {"logit_bias": {}}, {"stop": []},
        {"modalities": ["text"]}, {"store": False}, {"service_tier": "auto"},
        {"audio": None, "prediction": None, "tools": None, "stop": None, "n": None, "seed": None},
        {"stream_options": None}, {"user": "me", "metadata": {"a": "b"}, "safety_identifier": "x"},
        {"something_new": {"of": ["next", "year"]}}, {"parallel_tool_calls": True},
        {"max_tokens": 5, "max_completion_tokens": 5, "temperature": None},
    ],
)  # fmt: skip
def test_what_asks_for_nothing_is_taken(fields: dict[str, Any]) -> None:
    sampling = parse(**fields).work.sampling
    assert sampling.__replace__(max_tokens=None) == Sampling()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("modalities", ["text", "audio"]),
        ("audio", {"voice": "x"}),
        ("best_of", 2),
        ("prediction", {"type": "content"}),
        ("reasoning_effort", "high"),
        ("store", True),
        ("store", 0),  # no neutral value, though equal to one
        ("web_search_options", {}),
        ("service_tier", "flex"),
        ("verbosity", "low"),
        ("moderation", {"model": "x"}),
        ("prompt_cache_options", {"mode": "explicit"}),
        ("prompt_cache_retention", "24h"),
        ("echo", True),
        ("guided_json", {}),
        ("chat_template_kwargs", {"enable_thinking": False}),
        ("stop_token_ids", [2]),
        ("privacy", "machine"),
    ],
)
def test_what_nothing_can_honour_is_refused_by_name(field: str, value: object) -> None:
    error = refused(**{field: value})
    assert isinstance(error, UnsupportedParameter)
    assert error.param == field
    assert field in str(error)


@pytest.mark.parametrize(
    ("fields", "param", "words"),
    [
        ({"temperature": 2.5}, "temperature", ["2.5", "0", "2"]),
        ({"temperature": "hot"}, "temperature", ["a number", "'hot'"]),
        ({"temperature": True}, "temperature", ["a number", "true"]),
        ({"temperature": 10**400}, "temperature", ["64 bits"]),
        ({"top_p": -0.1}, "top_p", ["-0.1"]),
        ({"max_tokens": 0}, "max_tokens", ["max_tokens", "1", "0"]),
        ({"max_tokens": 1.5}, "max_tokens", ["whole number", "1.5"]),
        ({"max_completion_tokens": 0}, "max_completion_tokens", ["max_completion_tokens must"]),
        ({"max_tokens": 5, "max_completion_tokens": 6}, "max_tokens", ["5", "6"]),
        ({"seed": 2**63}, "seed", ["9223372036854775808"]),
        ({"seed": 10**30}, "seed", ["64 bits"]),
        ({"n": 0}, "n", ["from 1", "0"]),
        ({"n": 17}, "n", ["to 16", "17"]),
        ({"n": 1.5}, "n", ["whole number", "1.5"]),
        ({"stop": 5}, "stop", ["a string or an array", "5"]),
        ({"stop": ["a", None]}, "stop", ["stop[1]", "null"]),
        ({"stop": [""]}, "stop", ["1 to 256"]),
        ({"stop": ["x"] * 17}, "stop", ["16", "17"]),
        ({"top_logprobs": 3}, "top_logprobs", ["logprobs is true"]),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs", ["top_logprobs must", "21"]),
        ({"logprobs": 1}, "logprobs", ["true or false", "1"]),
        ({"logit_bias": {"x": 1}}, "logit_bias", ["token ids", "'x'"]),
        ({"logit_bias": {"1": 101}}, "logit_bias", ["-100", "101"]),
        ({"logit_bias": [1]}, "logit_bias", ["an object", "an array of 1"]),
        ({"logit_bias": dict.fromkeys(map(str, range(1025)), 1)}, "logit_bias", ["1024", "1025"]),
        ({"stream": "yes"}, "stream", ["true or false", "'yes'"]),
        ({"model": 5}, "model", ["a string", "5"]),
        ({"messages": None}, "messages", ["missing"]),
        ({"messages": []}, "messages", ["at least one"]),
        ({"messages": {}}, "messages", ["an array", "an object"]),
        ({"messages": ["hi"]}, "messages[0]", ["an object", "'hi'"]),
        ({"messages": [USER] * 4097}, "messages", ["4096", "4097"]),
        ({"messages": [{"content": "x"}]}, "messages[0].role", ["null"]),
        ({"messages": [USER, {"role": "cat"}]}, "messages[1].role", ["'cat'"]),
        ({"messages": [{"role": "user"}]}, "messages[0].content", ["null"]),
        ({"messages": [{"role": "user", "content": []}]}, "messages[0].content", ["array of 0"]),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": 5}]}]},
            "messages[0].content[0].text",
            ["a string", "5"],
        ),
        ({"stream_options": {"include_usage": True}}, "stream_options", ["stream is true"]),
        ({"stream_options": {}}, "stream_options", ["stream is true"]),
        ({"stream": True, "stream_options": 1}, "stream_options", ["an object"]),
        ({"user": 5}, "user", ["a string", "5"]),
        ({"safety_identifier": "x" * 1025}, "safety_identifier", ["1024", "1025"]),
        ({"prompt_cache_key": []}, "prompt_cache_key", ["a string", "an array of 0"]),
        ({"metadata": "x"}, "metadata", ["an object", "'x'"]),
        ({"metadata": {str(n): "" for n in range(17)}}, "metadata", ["16", "17"]),
        ({"metadata": {"k" * 65: ""}}, "metadata", ["64", "65"]),
        ({"metadata": {"k": 5}}, "metadata.k", ["a string", "5"]),
        ({"metadata": {"k": "v" * 513}}, "metadata.k", ["512", "513"]),
        ({"tools": {}}, "tools", ["an array"]),
        ({"response_format": "json"}, "response_format", ["an object", "'json'"]),
    ],
)
def test_what_is_wrong_is_said_with_value_and_bound(
    fields: dict[str, Any], param: str, words: list[str]
) -> None:
    check_words(refused(**fields), param, words)


def test_a_request_may_have_the_usage_in_its_stream() -> None:
    assert parse(stream=True, stream_options={"include_usage": True}).include_usage
    assert not parse(stream=True, stream_options={}).include_usage
    error = refused(stream=True, stream_options={"include_obfuscation": True})
    assert error.param == "stream_options.include_obfuscation"


def test_everything_at_once() -> None:
    """Tools, a format and how it is sampled reach one work, and each of its choices."""
    tool = {"name": "f", "parameters": {"type": "object"}}
    asked = parse(
        tools=[{"type": "function", "function": tool}], tool_choice="required", n=2, seed=1,
        parallel_tool_calls=False, response_format={"type": "json_object"}, stream=True,
        max_completion_tokens=5,
    )  # fmt: skip
    assert asked.limit_name == "max_completion_tokens"
    assert not asked.is_old
    for place, work in enumerate(asked.works()):
        assert work == Generate(
            (Message("user", "hi"),), Sampling(max_tokens=5, seed=1 + place), tools=(tool,),
            grammar={"type": "json_object"}, tool_choice="required", one_call=True,
        )  # fmt: skip


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b'{"temperature": NaN}', "not valid JSON"),
        (b'{"temperature": 1e999}', "not valid JSON"),
        (b'{"model": "\\ud800"}', "half of a character"),
        (b'{"model": "\xff"}', "not valid UTF-8: byte 11"),
        (b"[1]", "must be a JSON object, but is an array of 1"),
        (b"null", "must be a JSON object, but is null"),
        (b'{"a":' * 50_000, "nested too deeply"),
        (
            b'{"messages": [{"role":"user","content":""}], "seed": ' + b"9" * 5000 + b"}",
            "seed|JSON",
        ),
    ],
)
def test_what_is_no_json_object(body: bytes, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words):
        parse_chat(body)
