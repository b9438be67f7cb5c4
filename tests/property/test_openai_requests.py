"""Any JSON under the names of OpenAI's fields: taken, or refused by name; never another error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiplat.domain.chat import check_embed, check_generate
from aiplat.domain.errors import InvalidRequest, UnsupportedParameter
from aiplat.http.openai_api.completion_parsing import parse_completion
from aiplat.http.openai_api.embedding_parsing import parse_embedding
from aiplat.http.openai_api.parsing import parse_chat

ANY: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)  # fmt: skip


def some(**fields: Any) -> st.SearchStrategy[Any]:
    """An object that has some of these fields, each as it should be or anything; or anything."""
    values = {name: value | ANY for name, value in fields.items()}
    return st.fixed_dictionaries({}, optional=values) | ANY


def these(*values: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from(values)


NAME = these("f", "g", "a b", "")
SCHEMA = these({}, {"type": "object"}, {"type": "object", "properties": {"a": {"type": "string"}}})
FUNCTION = some(name=NAME, description=these("x"), parameters=SCHEMA, strict=these(True))
TOOL = some(type=these("function", "custom"), function=FUNCTION)
CHOICE = these("none", "auto", "required") | some(
    type=these("function", "allowed_tools"),
    function=some(name=NAME),
    allowed_tools=some(mode=these("auto", "required"), tools=st.lists(TOOL, max_size=2)),
)
CALL = some(
    id=these("c1", "c2"), type=these("function"),
    function=some(name=NAME, arguments=these("{}", "{")),
)  # fmt: skip
PART = some(type=these("text", "refusal", "image_url"), text=these("x"), refusal=these("no"))
MESSAGE = some(
    role=these("system", "developer", "user", "assistant", "tool", "function"),
    content=these("x") | st.lists(PART, max_size=2),
    name=NAME,
    tool_calls=st.lists(CALL, max_size=2),
    tool_call_id=these("c1", "c2"),
    function_call=some(name=NAME, arguments=these("{}")),
    refusal=these("no"),
)
FORMAT = some(
    type=these("text", "json_object", "json_schema"),
    json_schema=some(name=NAME, schema=SCHEMA, strict=these(True, False)),
)
COMMON = {
    "model": these("echo"), "temperature": these(0, 1.5), "top_p": these(0.5),
    "max_tokens": these(1, 0), "seed": these(1, -(2**63)), "stop": these("a", ["a", "b"], []),
    "n": these(1, 2, 99), "top_k": these(-1, 5), "min_p": these(0.1),
    "repetition_penalty": these(1.1), "presence_penalty": these(0, 1),
    "frequency_penalty": these(0, 1), "logit_bias": these({"1": 5}, {"x": 1}),
    "stream": these(True, False), "stream_options": some(include_usage=these(True)),
    "user": these("me"), "metadata": these({"a": "b"}), "suffix": these("", "x"),
    "echo": these(True, False), "best_of": these(1, 2), "privacy": these("any", "machine"),
}  # fmt: skip
CHAT = some(
    **COMMON, messages=st.lists(MESSAGE, max_size=3), tools=st.lists(TOOL, max_size=2),
    tool_choice=CHOICE, parallel_tool_calls=these(True, False),
    functions=st.lists(FUNCTION, max_size=2), function_call=these("auto") | some(name=NAME),
    response_format=FORMAT, logprobs=these(True, False), top_logprobs=these(0, 5),
    max_completion_tokens=these(1), store=these(False, True), modalities=these(["text"]),
    reasoning_effort=these("none", "high"), service_tier=these("auto"), verbosity=these("medium"),
    prompt_cache_options=these({}), safety_identifier=these("me"), prompt_cache_key=these("me"),
)  # fmt: skip
COMPLETION = some(
    **COMMON, prompt=these("x", ["x", "y"], [1], [[1]]) | st.lists(ANY, max_size=3),
    logprobs=these(0, 5),
)  # fmt: skip
EMBEDDING = some(
    model=these("mini"), input=these("x", ["x", "y"], [1]) | st.lists(ANY, max_size=3),
    dimensions=these(2), encoding_format=these("float", "base64"), user=these("me"),
)  # fmt: skip


def taken_or_refused(parse: Callable[[bytes], Any], value: Any) -> Any:
    """What was made of it; None where it was refused by name."""
    try:
        return parse(msgspec.json.encode(value))
    except (InvalidRequest, UnsupportedParameter):
        return None


@given(CHAT)
def test_chat(value: Any) -> None:
    asked = taken_or_refused(lambda body: parse_chat(body, 16), value)
    if asked is not None:
        for work in asked.works():
            check_generate(work)  # what is taken here is refused nowhere on its way


@given(COMPLETION)
def test_completions(value: Any) -> None:
    asked = taken_or_refused(lambda body: parse_completion(body, 16), value)
    if asked is not None:
        for work in asked.works():
            check_generate(work)


@given(EMBEDDING)
def test_embeddings(value: Any) -> None:
    asked = taken_or_refused(parse_embedding, value)
    if asked is not None:
        check_embed(asked.work)


def deep(levels: int) -> bytes:
    return b'{"a":' * levels + b"1" + b"}" * levels


@pytest.mark.parametrize("parse", [parse_chat, parse_completion, parse_embedding])
@pytest.mark.parametrize("levels", [100, 900, 100_000])
def test_what_nests_deeply_is_no_fault_of_ours(parse: Callable[[bytes], Any], levels: int) -> None:
    for name in ("tools", "messages", "response_format", "prompt", "input", "logit_bias", "new"):
        body = b'{"%s":%s}' % (name.encode(), deep(levels))
        with pytest.raises((InvalidRequest, UnsupportedParameter)):
            parse(body)


def test_a_schema_that_nests_deeply() -> None:
    def asked(levels: int) -> bytes:
        tool = b'{"type":"function","function":{"name":"f","parameters":%s}}' % deep(levels)
        return b'{"messages":[{"role":"user","content":"x"}],"tools":[%s]}' % tool

    assert parse_chat(asked(64)).work.tools
    for levels in (65, 900, 100_000):
        with pytest.raises(InvalidRequest):
            parse_chat(asked(levels))
